package identity

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
)

var (
	campaignDays = flag.Int("campaign", 0, "simulated days of TestCampaign; 0 is a few")
	campaignSeed = flag.Uint64("campaign-seed", 0,
		"play only the days of one seed in TestCampaign; 0 plays others each time")
)

// TestCampaign: random days of a host's faults, clock steps, suspensions, replaced secrets and
// panicking code of the user's, with 50 concurrent callers of one credential, of a chain with it,
// and of another credential with its own Retry options that shares the tokens. Whatever happens,
//
//   - no caller gets a token that has ended, or another identity's, or another resource's;
//   - none gets an error while a valid token is held, or waits for more than 2 s then, or at all if
//     it is good for long;
//   - none waits past its context, or past its own credential's budget;
//   - the host is left alone for as long as the cool-down, or its own Retry-After, says, also by
//     callers who press;
//   - within a minute of the host's recovery callers have a token, those of another Retry aside,
//     and one that was due is renewed;
//   - code of the user's that panics costs no more than the request it is in;
//   - the last good token is held until it ends;
//   - no goroutine stays.
//
// A failure names its seed, with which -campaign-seed plays the same days: all is the same then but
// the library's own jitter and the order of what happens at the same moment.
//
//	go test -run Campaign .                    a few days
//	go test -run Campaign -campaign 10000 -timeout 2h -v .   as many, with what was injected
func TestCampaign(t *testing.T) {
	t.Parallel()
	days := *campaignDays
	switch {
	case *campaignSeed != 0:
		days = 1
	case days == 0 && testing.Short():
		days = 3
	case days == 0:
		days = 10
	}
	// what a day allocates is gone with it, and collecting it less often saves a third
	if *campaignDays > 0 {
		defer debug.SetGCPercent(debug.SetGCPercent(800))
	}
	var mu sync.Mutex
	total := map[string]int{}
	t.Run("days", func(t *testing.T) {
		for played := 0; played < days; {
			seed := rand.Uint64()
			if *campaignSeed != 0 {
				seed = *campaignSeed
			}
			random := rand.New(rand.NewPCG(seed, 0))
			long := 1 + random.IntN(4)
			played += long
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					// a bubble's clock begins where the library takes an end before it for no date
					time.Sleep(24 * time.Hour)
					w := newWorld(t, random, dir)
					w.play(t, seed, time.Duration(long)*24*time.Hour)
					w.mu.Lock()
					defer w.mu.Unlock()
					w.counts["days"] += long
					mu.Lock()
					defer mu.Unlock()
					for what, n := range w.counts {
						total[what] += n
					}
				})
			})
		}
	})
	t.Logf("in all:\n%s", summary(total))
}

// newWorld draws a host, an identity and the lives of tokens.
func newWorld(t *testing.T, random *rand.Rand, dir string) *world {
	w := &world{
		random: random, ailment: "well", well: time.Now(), base: "http://localhost:4141",
		granted: map[string]*granted{}, cached: map[string]*granted{}, seen: map[string]*granted{},
		last: map[string]sent{}, counts: map[string]int{},
		hostCache: random.IntN(3) == 0,
	}
	awake := make(chan struct{})
	w.suspension.Store(&awake)
	hosts := []struct {
		name      string
		selects   bool
		new       func(*identitytest.Options) *identitytest.Endpoint
		frequency int
	}{
		{"IMDS", true, identitytest.NewIMDS, 4}, {"App Service", true, identitytest.NewAppService, 3},
		{"Azure Arc", true, identitytest.NewArc, 1},
		{"Azure ML", true, identitytest.NewAzureML, 1},
		{"Cloud Shell", false, identitytest.NewCloudShell, 1},
		{"workload identity", false, identitytest.NewWorkloadIdentity, 2},
		{"Service Fabric", false, identitytest.NewServiceFabric, 2},
	}
	n := random.IntN(14)
	host := hosts[0]
	for _, host = range hosts {
		if n -= host.frequency; n < 0 {
			break
		}
	}
	w.count("credentials on " + host.name)
	options := &identitytest.Options{Dir: dir}
	if host.selects && random.IntN(3) > 0 {
		options.Identities = []identitytest.Identity{{ClientID: guid}, {System: true}}
		w.selects = true
	}
	if host.name == "workload identity" {
		w.base, w.hostCache = "https://localhost:4141", false
	}
	if host.name == "Service Fabric" {
		w.base, w.hostCache, w.viaPolicy = "https://localhost:4141", false, true
	}
	w.fake = host.new(options)
	w.env = &variables{values: variablesAt(w.fake, w.base)}
	low, high := 24*time.Hour, 24*time.Hour
	switch n := random.IntN(20); {
	case n < 1:
		low, high = 20*time.Second, 10*time.Minute
	case n < 4:
		low = 20 * time.Second
	case n < 8:
		low, high = time.Hour, 90*time.Minute // Entra's
	}
	w.life = func() time.Duration { return between(w.random, low, high) }
	w.longest = 5 * time.Hour
	if low < 24*time.Hour { // an outage that nothing bridges is always the same
		w.longest = 30 * time.Minute
	}
	w.fragile = random.IntN(2) == 0
	adjust := func(o *CredentialOptions) {
		if w.selects {
			o.ID = ClientID(guid)
		}
		if w.fragile {
			o.Logger = slog.New(&fragileHandler{})
			o.TracingProvider = fragileTracing()
		}
	}
	w.cred = w.credential(t, "", newShared(), adjust)
	w.askers = w.people(t, adjust)
	return w
}

// days are those that pass for a world.
type days struct {
	*world
	t          *testing.T
	seed       uint64
	began, end time.Time
	over       chan struct{} // closed at the end
	group      sync.WaitGroup
	resources  []string
}

func (d *days) fail(format string, args ...any) {
	d.t.Errorf("seed %d, %v into it: %s", d.seed, time.Since(d.began).Round(time.Millisecond),
		fmt.Sprintf(format, args...))
}

// stream is chance of its own for each thing that goes on.
func (d *days) stream(n uint64) *rand.Rand { return rand.New(rand.NewPCG(d.seed, n)) }

// pause waits. It is false at the end.
func (d *days) pause(long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !d.t.Failed() && time.Now().Before(d.end)
	case <-d.over:
		return false
	}
}

// play lets the days pass.
func (w *world) play(t *testing.T, seed uint64, long time.Duration) {
	const callers = 50
	d := &days{world: w, t: t, seed: seed, began: time.Now(), end: time.Now().Add(long),
		over: make(chan struct{}), resources: []string{"https://vault.azure.net",
			"https://management.azure.com", "api://one"}[:1+w.random.IntN(8)/3]}
	d.group.Go(d.health)
	d.group.Go(d.clock)
	if w.rotates() {
		d.group.Go(d.secret)
	}
	for i := range callers {
		d.group.Go(func() {
			c := caller{w, d.fail, d.stream(100 + uint64(i))}
			for d.pause(between(c.random, time.Millisecond, 3*time.Hour)) {
				c.call(d.resources[c.random.IntN(len(d.resources))])
			}
		})
	}
	for time.Now().Before(d.end) && !t.Failed() {
		time.Sleep(time.Hour)
	}
	close(d.over)
	d.group.Wait()
	longest := time.Duration(0)
	for _, by := range w.askers {
		longest = max(longest, by.budget)
	}
	// for what is under way; a goroutine that is left then fails the test
	time.Sleep(longest + time.Minute)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.problems {
		d.fail("%s", problem)
	}
}

// watch is a busy caller of each resource, after the host's recovery.
func (d *days) watch() {
	for _, resource := range d.resources {
		d.group.Go(func() {
			c := caller{d.world, d.fail, d.stream(rand.Uint64())}
			c.watchRecovery(resource, d.pause)
		})
	}
}

// press is callers who won't take no for an answer.
func (d *days) press(random *rand.Rand) {
	for _, resource := range d.resources {
		until := time.Now().Add(between(random, time.Minute, 5*time.Minute))
		d.group.Go(func() {
			c := caller{d.world, d.fail, d.stream(uint64(until.UnixNano()))}
			for time.Now().Before(until) && d.pause(between(c.random, time.Millisecond, time.Second)) {
				c.call(resource)
			}
		})
	}
}

// health is the host's.
func (d *days) health() {
	random := d.stream(1)
	for {
		ailment, longest := "well", 5*time.Hour
		if random.IntN(2) == 0 {
			ailment, longest = ailments[random.IntN(len(ailments))], d.longest
		}
		d.suffer(ailment)
		switch {
		case ailment == "well":
			d.watch()
		case random.IntN(3) == 0:
			random, longest := d.stream(random.Uint64()), longest // of its own
			d.group.Go(func() {
				if d.pause(between(random, time.Millisecond, longest)) {
					d.press(random)
				}
			})
		}
		if ailment == "too large" { // a megabyte for each request
			longest = time.Minute
		}
		if !d.pause(between(random, time.Second, longest)) {
			return
		}
	}
}

// clock is the machine's.
func (d *days) clock() {
	random := d.stream(2)
	for d.pause(between(random, time.Minute, 24*time.Hour)) {
		switch random.IntN(3) {
		case 0:
			// ends are told in whole seconds
			d.jump(between(random, time.Minute, 6*time.Hour).Truncate(time.Second), true)
			d.watch()
		case 1:
			step := time.Duration(random.IntN(7201)-3600) * time.Second
			d.jump(step, false)
			if !d.pause(between(random, time.Second, 3*time.Hour)) {
				return
			}
			d.jump(-step, false)
			d.watch()
		}
	}
}

// secret is the host's, which is replaced.
func (d *days) secret() {
	random := d.stream(3)
	for d.pause(between(random, time.Hour, 24*time.Hour)) {
		follow := d.rotate()
		ok := d.pause(between(random, time.Millisecond, 10*time.Minute))
		follow()
		if !ok {
			return
		}
		d.watch()
	}
}

// caller is one of those who ask.
type caller struct {
	*world
	fail   func(format string, args ...any)
	random *rand.Rand
}

// moment is what the books say at one time.
type moment struct {
	at      time.Time
	shifted time.Duration
	well    time.Time
	ends    time.Time // of the newest token that was returned; zero for none
}

func (c caller) now(resource string) moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := moment{at: time.Now(), shifted: c.shifted, well: c.well}
	c.forget()
	if g := c.seen[resource]; g != nil {
		m.ends = g.end.Add(-c.shifted)
	}
	return m
}

// call is one call of one kind or another.
func (c caller) call(resource string) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	limit := time.Duration(0)
	switch c.random.IntN(4) {
	case 0:
		limit = between(c.random, time.Microsecond, 10*time.Minute)
		ctx, cancel = context.WithTimeout(ctx, limit)
	case 1:
		limit = between(c.random, time.Microsecond, time.Minute)
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(limit, cancel).Stop()
	}
	defer cancel()
	options, by := c.options(resource), c.askers[c.random.IntN(len(c.askers))]
	switch n := c.random.IntN(40); {
	case n == 0:
		_ = c.cred.Status()
	case n == 1:
		options.Claims = `{"access_token":{"nbf":{"essential":true}}}`
		c.judge(resource, ctx, by, "GetToken with claims", limit, true,
			func() (azcore.AccessToken, error) {
				return by.get(ctx, options)
			})
	case n == 2 && by.refresh != nil:
		c.judge(resource, ctx, by, "Refresh", limit, true, func() (azcore.AccessToken, error) {
			tk, _, err := by.refresh(ctx, options.Scopes[0])
			return tk, err
		})
	case n == 3:
		if limit == 0 {
			limit = 5 * time.Minute
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, limit)
			defer stop()
		}
		began := time.Now()
		err := by.ready(ctx, options.Scopes...)
		if took := time.Since(began); took > limit {
			c.fail("Ready of %s took %v with a context of %v: %v", by.name, took, limit, err)
		}
	default:
		c.judge(resource, ctx, by, "GetToken", limit, false, func() (azcore.AccessToken, error) {
			return by.get(ctx, options)
		})
	}
}

// judge makes a call and checks what it brings against the books.
func (c caller) judge(
	resource string, ctx context.Context, by asker, kind string, limit time.Duration, forced bool,
	get func() (azcore.AccessToken, error),
) {
	kind += " of " + by.name
	before := c.now(resource)
	if !before.ends.IsZero() && before.ends.After(before.at) &&
		!c.heldUntil(resource).After(before.at) {
		c.fail("the last good token of %s has %v to live, and isn't held any more", resource,
			before.ends.Sub(before.at))
	}
	tk, err := get()
	after := c.now(resource)
	took := after.at.Sub(before.at)
	jumped := after.shifted != before.shifted
	c.mu.Lock()
	c.count("calls")
	if err != nil {
		c.count("errors to callers")
	}
	g := c.granted[tk.Token]
	c.mu.Unlock()

	switch {
	case err == nil && g == nil:
		c.fail("%s brought a token that was never granted: %q", kind, tk.Token)
	case err == nil && g.foreign:
		c.fail("%s brought another identity's token", kind)
	case err == nil && g.resource != resource:
		c.fail("%s for %s brought a token for %s", kind, resource, g.resource)
	case err == nil && !g.end.Add(-min(before.shifted, after.shifted)).After(after.at):
		c.fail("%s brought a token that ended %v ago", kind, after.at.Sub(g.end.Add(-after.shifted)))
	case err == nil:
		c.saw(resource, g)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()) && took >= limit:
		c.fail("%s: the error after the context's end is none of the context's: %v", kind, err)
	}
	if limit > 0 && took > limit {
		c.fail("%s took %v with a context of %v: %v", kind, took, limit, err)
	}
	if budget := by.budget + overtime; took > budget {
		c.fail("%s took %v, the budget is %v: %v", kind, took, budget, err)
	}
	if by.usual && !jumped && ctx.Err() == nil && err != nil && !after.well.IsZero() &&
		before.at.Sub(after.well) > time.Minute {
		c.fail("%s failed although the host has been well for %v: %v", kind, before.at.Sub(after.well),
			err)
	}
	if forced || jumped || before.ends.IsZero() || !before.ends.After(after.at) {
		return // without a valid token errors and waits are right
	}
	left := before.ends.Sub(before.at)
	switch {
	case err != nil:
		c.fail("%s failed while a token was held that has %v to live: %v", kind, left, err)
	case took > expiringWait, took > 0 && left > expiringWindow:
		c.fail("%s took %v with a token that has %v to live", kind, took, left)
	}
}

// watchRecovery asks once a second for a minute after the host is well again.
func (c caller) watchRecovery(resource string, pause func(time.Duration) bool) {
	began := c.now(resource)
	if began.well.IsZero() {
		return
	}
	for {
		now := c.now(resource)
		if now.well != began.well || now.shifted != began.shifted { // not for long
			return
		}
		if now.at.Sub(now.well) > time.Minute && now.at.Sub(began.at) > time.Minute {
			break
		}
		by := c.askers[0]
		c.judge(resource, context.Background(), by, "GetToken", 0, false,
			func() (azcore.AccessToken, error) {
				return by.get(context.Background(), c.options(resource))
			})
		if !pause(time.Second) {
			return
		}
	}
	tk, err := c.cred.GetToken(context.Background(), c.options(resource))
	after := c.now(resource)
	if after.well != began.well || after.shifted != began.shifted {
		return
	}
	c.mu.Lock()
	c.count("recoveries")
	c.mu.Unlock()
	switch {
	case err != nil:
		c.fail("no token %v after the host's recovery: %v", after.at.Sub(after.well), err)
	case tk.RefreshOn.Before(after.at.Add(-2 * time.Second)):
		c.fail("%v after the host's recovery the token hasn't been renewed, which was due %v ago",
			after.at.Sub(after.well), after.at.Sub(tk.RefreshOn))
	}
}

// between is a time whose logarithm is uniformly distributed: as many seconds as hours.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), random.Float64()))
}
