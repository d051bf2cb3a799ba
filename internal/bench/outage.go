package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/internal/bench/draw"
)

// An outage that no token outlives: it begins when the token is 6 hours old, and ends 2 hours after
// the token. docs/operations.md tells what is to be seen of it, hour by hour.
const (
	outageWatched = 30 * time.Hour
	outageFrom    = 6 * time.Hour
	outageTo      = 26 * time.Hour
	tokenEnds     = 24 * time.Hour
	outageBin     = 5 * time.Minute // for what is counted
	// nearEnd is how long before a token's end a renewal is retried like an acquisition without a held
	// token: the last 5 minutes, in which callers may wait, and before those the time that an
	// acquisition may take on IMDS.
	nearEnd = 5*time.Minute + 76*time.Second
)

// bin is what happened within outageBin.
type bin struct {
	left          time.Duration // of the held token, at the end
	renewalIn     time.Duration // until it is due, at the end
	requests      int64
	tokens, fails int
	slowest       time.Duration // call that brought a token
	slowestFail   time.Duration // call that didn't
	first         time.Duration // token, since the beginning
}

// measureOutage calls GetToken all the time, on a VM, in virtual time.
func measureOutage(context.Context, bool, func(string)) (section, error) {
	setHost()
	bins, err := inBubble(liveOutage)
	if err != nil {
		return section{}, err
	}
	return outageSection(bins), nil
}

// liveOutage is to run in a bubble.
func liveOutage() ([]bin, error) {
	f := &fake{life: tokenEnds, delay: hostAnswers}
	f.slow.Store(true)
	cred, err := identity.NewCredential(&identity.CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: f}, Host: identity.HostIMDS})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	time.AfterFunc(outageFrom, func() { f.down.Store(true) })
	time.AfterFunc(outageTo, func() { f.down.Store(false) })
	bins := make([]bin, outageWatched/outageBin)
	var mu sync.Mutex
	var calls sync.WaitGroup
	for i := range bins {
		before := f.requests.Load()
		for end := began.Add(time.Duration(i+
			1) * outageBin); time.Now().Before(end); time.Sleep(min(scale.every/60, outageBin)) {
			calls.Go(func() {
				at := time.Now()
				_, err := cred.GetToken(context.Background(),
					policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
				mu.Lock()
				defer mu.Unlock()
				b := &bins[min(int(time.Since(began)/outageBin), len(bins)-1)]
				if took := time.Since(at); err == nil {
					if b.tokens++; b.tokens == 1 {
						b.first = time.Since(began)
					}
					b.slowest = max(b.slowest, took)
				} else {
					b.fails++
					b.slowestFail = max(b.slowestFail, took)
				}
			})
		}
		r := cred.Status().Resources[0]
		mu.Lock()
		bins[i].requests = f.requests.Load() - before
		bins[i].left, bins[i].renewalIn = max(time.Until(r.ExpiresOn), 0), time.Until(r.RefreshOn)
		mu.Unlock()
	}
	calls.Wait()
	return bins, nil
}

// phase is a stretch of the outage that looks alike.
type phase struct {
	name     string
	from, to time.Duration
}

// phases of an outage with that renewal time.
func phases(due time.Duration) []phase {
	last := tokenEnds - nearEnd.Round(outageBin)
	return []phase{
		{"before the outage", 0, outageFrom},
		{"down, the token is fresh", outageFrom, due},
		{"down, the renewal is due", due, last},
		{"down, the last minutes of the token", last, tokenEnds},
		{"down, no token", tokenEnds, outageTo},
		{"afterwards", outageTo, outageWatched},
	}
}

func outageSection(bins []bin) section {
	hour := func(i int) float64 { return (time.Duration(i+1) * outageBin).Hours() }
	due := outageTo
	life := draw.Line{Name: "of the held token"}
	asked := draw.Line{Name: "of this library\nat IMDS"}
	good := draw.Line{Name: "calls that bring\na token"}
	bad := draw.Line{Name: "calls that fail", Look: draw.Failure}
	seconds := func(calls int, slowest time.Duration) float64 {
		if calls == 0 {
			return math.NaN() // a gap
		}
		return max(slowest.Seconds(), 1e-3) // a log axis has no zero
	}
	for i, b := range bins {
		if b.renewalIn <= 0 {
			due = min(due, time.Duration(i)*outageBin)
		}
		life.X, life.Y = append(life.X, hour(i)), append(life.Y, b.left.Hours())
		asked.X, asked.Y = append(asked.X, hour(i)),
			append(asked.Y, float64(b.requests)/outageBin.Minutes())
		good.X, good.Y = append(good.X, hour(i)), append(good.Y, seconds(b.tokens, b.slowest))
		bad.X, bad.Y = append(bad.X, hour(i)), append(bad.Y, seconds(b.fails, b.slowestFail))
	}
	t := table{head: []string{"hours", "what", "requests", "an hour", "longest call with a token",
		"calls that fail", "longest of them"}}
	var bridged, waited time.Duration
	failed, rate := 0, 0.0
	for i, p := range phases(due) {
		var sum bin
		for k := int(p.from / outageBin); k < int(p.to/outageBin); k++ {
			b := bins[k]
			sum.requests += b.requests
			sum.tokens, sum.fails = sum.tokens+b.tokens, sum.fails+b.fails
			sum.slowest, sum.slowestFail = max(sum.slowest, b.slowest), max(sum.slowestFail, b.slowestFail)
		}
		hourly := float64(sum.requests) / (p.to - p.from).Hours()
		switch {
		case i == 1, i == 2:
			bridged = max(bridged, sum.slowest)
			failed += sum.fails
			rate = max(rate, hourly)
		case i == 3:
			waited = sum.slowest
			failed += sum.fails
		}
		longest, fails := "none", "none"
		if sum.tokens > 0 {
			longest = duration(sum.slowest)
		}
		if sum.fails > 0 {
			fails = duration(sum.slowestFail)
		}
		t.rows = append(t.rows, []string{fmt.Sprintf("%.1f to %.1f", p.from.Hours(), p.to.Hours()),
			p.name, figure(float64(sum.requests)), figure(hourly), longest, figure(float64(sum.fails)), fails})
	}
	recovered := bins[outageTo/outageBin].first - outageTo
	return section{
		title: "An outage that no token outlives",
		text: []string{
			fmt.Sprintf("A service on a VM has got a token of 24 hours at 0 and calls GetToken once a "+
				"second; IMDS answers in %s, and 503 from hour %d to hour %d. The real code, in virtual time "+
				"(testing/synctest). [operations.md](operations.md) has what Status and the log say meanwhile.", hostAnswers, int(outageFrom.Hours()), int(outageTo.Hours())),
		},
		tables: []table{t},
		pictures: []draw.Picture{{
			File:  "outage.svg",
			Title: "A VM whose IMDS is down for longer than the token lives, one call a second",
			Finding: fmt.Sprintf("Until the token's end every call has it at once; then calls fail, and "+
				"the first token is there %.1f s after IMDS is back.", recovered.Seconds()),
			Alt: fmt.Sprintf("A token of 24 hours, an outage from hour 6 to 26. Until hour 24 every call "+
				"has a token, at once; from hour 24 to 26 calls fail; at hour 26 there is a new token. The "+
				"renewal is due at hour %.1f, and from then on the host gets about %.0f requests an hour.",
				due.Hours(), rate),
			X: "hours since the token was acquired", StepX: 6,
			Bands: []draw.Band{{From: outageFrom.Hours(), To: outageTo.Hours(),
				Name: "IMDS is down (503)"}},
			Moments: []draw.Moment{{At: due.Hours(), Name: "renewal is due"},
				{At: tokenEnds.Hours(), Name: "token ends"}},
			Panels: []draw.Panel{
				{Title: "Life left", Y: "hours", Lines: []draw.Line{life}},
				{Title: "Requests", Y: "per minute", Lines: []draw.Line{asked}},
				{Title: "The longest call of each five minutes", Y: "seconds", LogY: true,
					Lowest: "at once", Lines: []draw.Line{good, bad}},
			},
		}},
		verdicts: []verdict{
			{what: "errors while a token is held, in an outage of 20 hours", got: float64(failed),
				bound: 0, why: "a token is served until it ends"},
			{what: "the longest call of those hours, the last minutes aside",
				got: float64(bridged) / 1e6, bound: 1, unit: "ms",
				why: "nobody waits for a renewal"},
			{what: "the longest call in the last minutes", got: waited.Seconds(), bound: 2,
				unit: "s", why: "what a caller gives a renewal before it takes the old token"},
			{what: "requests an hour in that outage, while the token bridges it", got: rate,
				bound: 240, why: "a try in 15 to 30 s"},
			{what: "the first token after that outage", got: recovered.Seconds(), bound: 15,
				unit: "s",
				why:  "the cool-down without a token is 10 s at most, the wait between tries 5 s"},
		},
	}
}
