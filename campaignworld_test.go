package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/tokencache"
)

// world is what random days do to one credential: a host that is well or not, clocks that jump, a
// secret that is replaced, and the books on what the host has granted. The host is a fake of
// identitytest, whose answers are changed on their way.
//
// The clock of a bubble can't be set, so that all else moves when this machine's clock jumps: the
// tokens that are held, see shiftClock, and what the books say of their ends.
type world struct {
	fake *identitytest.Endpoint
	cred *Credential
	base string     // where the fake is found
	env  *variables // of the process
	// the credential asks for one identity, so that another's token is noticed
	selects   bool
	hostCache bool                 // the host repeats a token until that has ended
	life      func() time.Duration // of the next token
	longest   time.Duration        // of the host's ailments
	viaPolicy bool                 // requests come by a policy, not by the transport
	// the user's log handler, tracer and ContinueOn panic now and then
	fragile bool
	shared  bool    // another credential, with another Retry, shares the tokens
	askers  []asker // who asks; the first is the credential

	flights sync.Map // *flightUnderWay

	suspension atomic.Pointer[chan struct{}] // closed when the machine is suspended

	mu       sync.Mutex
	random   *rand.Rand
	shifted  time.Duration // by how much this machine's clock has jumped, suspensions included
	skew     time.Duration // by how much it is ahead of the host's
	ailment  string        // what the host suffers from
	well     time.Time     // since when callers may expect tokens; zero while they may not
	rotating bool          // the host has another secret than the environment
	granted  map[string]*granted
	cached   map[string]*granted // by the host, for each resource
	seen     map[string]*granted // by callers: the newest that was returned
	last     map[string]sent     // by credential and resource
	counts   map[string]int
	problems []string
}

// granted is a token in the books.
type granted struct {
	token, resource string
	number          int       // in the order of issue
	end             time.Time // by this machine's clock, had it never jumped
	foreign         bool      // of another identity
}

// sent is a request in the books.
type sent struct {
	at     time.Time // of a calm one, when its try began
	calm   bool      // nobody waited for it, and nobody had to for a while
	failed bool
	// 1 if the host named a time that it wants, which is a cool-down of its own; otherwise 0
	told int
	// calm ones before it that brought nothing, since one brought a token, by told
	refused  [2]int
	patience time.Time   // the host wants none before
	minute   []time.Time // it and all others of the last minute
}

// crowd is more requests for a resource than a minute of failures has, with retries of callers
// without a token, tokens of some seconds, a secret that is replaced, and forced requests in
// between.
const crowd = 60

// ailments are what a host can suffer from for a while, each as often as the next. "well" comes in
// between.
var ailments = []string{
	"refused", "reset", "hangs", "slow", "slow body", "half a body", "redirect", "HTML 200",
	"HTML 403", "HTML 502", "garbage", "error with 200",
	"400", "401", "403", "404", "410", "429", "429 and Retry-After", "500", "503 and Retry-After",
	"504", "status 600",
	"another identity", "expired token", "no token", "no end", "too large", "panics",
	"ends its goroutine", "policy panics", "now this, now that",
}

func (w *world) count(what string) { w.counts[what]++ }

// errSuspended is what comes of a connection on which the machine slept.
var errSuspended = fmt.Errorf("after a suspension: %w", syscall.ECONNRESET)

// door is where the requests of one credential arrive.
type door struct {
	*world
	credential string
}

// Do implements policy.Transporter.
func (d door) Do(r *http.Request) (*http.Response, error) {
	w := d.world
	body, resource, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	books := d.credential + resource
	w.mu.Lock()
	ill, due := w.arrive(r, resource, books), time.Duration(0)
	switch ill {
	case "well":
		due = between(w.random, time.Millisecond, 300*time.Millisecond)
	case "slow", "slow body":
		due = between(w.random, time.Second, 100*time.Second)
	case "hangs":
		due = 24 * time.Hour
	case "refused": // at once
	default:
		due = between(w.random, time.Millisecond, 5*time.Second)
	}
	w.mu.Unlock()
	suspended := *w.suspension.Load()
	wait := func() error {
		timer := time.NewTimer(due)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-suspended:
			return errSuspended
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	if ill == "slow body" {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			Body: &lateBody{read: func() (io.Reader, error) {
				if err := wait(); err != nil {
					w.failed(books, nil, nil)
					return nil, err
				}
				resp, err := w.answer(r, body, resource, books, "well")
				if err != nil || resp.StatusCode != 200 {
					return nil, io.ErrUnexpectedEOF
				}
				return resp.Body, nil
			}}, Request: r}, nil
	}
	if due > 0 {
		if err := wait(); err != nil {
			w.failed(books, nil, nil)
			return nil, err
		}
	}
	switch ill {
	case "panics":
		w.failed(books, nil, nil)
		panic("a fault of the user's Transport")
	case "ends its goroutine":
		w.failed(books, nil, nil)
		runtime.Goexit()
	}
	return w.answer(r, body, resource, books, ill)
}

// tooLarge is more than any host has to say.
var tooLarge = `{"access_token":"` + strings.Repeat("x", 1<<20) + `","expires_in":"3600"}`

// lateBody makes its content at the first Read.
type lateBody struct {
	read func() (io.Reader, error)
	from io.Reader
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.from == nil {
		from, err := b.read()
		if err != nil {
			return 0, err
		}
		b.from = from
	}
	return b.from.Read(p)
}

func (b *lateBody) Close() error { return nil }

// readRequest returns the body of a request, and the resource that it asks for.
func readRequest(r *http.Request) (body []byte, resource string, err error) {
	values := r.URL.Query()
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, "", err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, "", err
		}
		maps.Copy(values, form)
	}
	return body, resourceOf(values.Get("resource") + values.Get("scope")), nil
}

// arrive writes a request into the books, and returns what will happen to it. It is called under
// mu.
func (w *world) arrive(r *http.Request, resource, books string) string {
	ill := w.ailment
	if ill == "now this, now that" {
		ill = append(ailments[:len(ailments)-2:len(ailments)-2], "well", "well",
			"well")[w.random.IntN(len(ailments)+1)]
	}
	if ill == "another identity" && !w.selects { // nobody could tell
		ill = "well"
	}
	// the bound is the transport's; what a policy makes up is its own
	if ill == "too large" && w.viaPolicy {
		ill = "garbage"
	}
	w.count("requests")
	w.count("answered: " + ill)
	if !strings.HasPrefix(r.URL.String(), w.base) {
		w.problems = append(w.problems, "a request to "+r.URL.String())
	}
	now := time.Now()
	before, calm, began := w.last[books], w.calm(resource, now), now
	// a try that meets a new secret has two requests, and cool-downs count from its beginning
	if flight := w.flight(resource); calm {
		began = flight.began
	}
	challenged := r.Header.Get("Authorization") != "" // Arc: the second half of a try
	if !challenged {
		if now.Before(before.patience) {
			w.problems = append(w.problems,
				fmt.Sprintf("a request %v before the time that a Retry-After asked for",
					before.patience.Sub(now)))
		}
		refused := before.refused
		switch {
		case !before.failed:
			refused = [2]int{}
		case before.calm && calm && began.Equal(before.at): // the same try
		case before.calm:
			refused[before.told]++
			least := min(renewalCoolDown<<min(refused[before.told]-1, 10), maxRenewalCoolDown) / 2
			if gap := began.Sub(before.at); calm && !w.shared && gap < least {
				w.problems = append(w.problems,
					fmt.Sprintf("a request %v after the last of %d that failed, with a token that is good for long",
						gap, refused[before.told]))
			}
		}
		minute := slices.DeleteFunc(append(before.minute, now), func(at time.Time) bool {
			return now.Sub(at) > time.Minute
		})
		if len(minute) > crowd {
			w.problems = append(w.problems, fmt.Sprintf("%d requests within a minute", len(minute)))
		}
		w.last[books] = sent{at: began, calm: calm, refused: refused, patience: before.patience,
			minute: minute}
	}
	return ill
}

// flightUnderWay is what the cache has asked a credential's source for.
type flightUnderWay struct {
	tokencache.Request
	began time.Time
}

// watched is the source of one of the world's credentials, as the world sees it.
type watched struct {
	tokenSource
	world *world
}

func (s watched) Begin(ctx context.Context, r tokencache.Request) tokencache.Acquisition {
	f := &flightUnderWay{r, time.Now()}
	s.world.flights.Store(f, nil)
	acquire := s.tokenSource.Begin(ctx, r)
	return func(p *tokencache.Progress) (tokencache.Grant, error) {
		defer s.world.flights.Delete(f)
		return acquire(p)
	}
}

// calm reports whether nobody waits for a request: the held token outlives an acquisition, and
// nobody forces one.
func (w *world) calm(resource string, now time.Time) bool {
	f := w.flight(resource)
	if f == nil || !f.Once {
		return false
	}
	budget := w.cred.hosted.budget(context.Background())
	return w.heldUntil(resource).Add(-expiringWindow).Sub(now) > budget+overtime
}

// heldUntil is the end of the token that is held for a resource; zero for none.
func (w *world) heldUntil(resource string) time.Time {
	for _, r := range w.cred.Status().Resources {
		if r.Resource == resource {
			return r.ExpiresOn
		}
	}
	return time.Time{}
}

// flight is the one that is under way for a resource, nil for none. Each Retry has one of its own,
// and what a forced one brings is taken in any case.
func (w *world) flight(resource string) (found *flightUnderWay) {
	w.flights.Range(func(key, _ any) bool {
		f := key.(*flightUnderWay)
		if f.Resource == resource && (found == nil || f.Claims != "" || f.Anew) {
			found = f
		}
		return true
	})
	return found
}

// options are how all callers ask, so that a resource has one token.
func (w *world) options(resource string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{resource + defaultSuffix}, EnableCAE: true}
}

// failed writes into the books that the last request of a credential for a resource brought
// nothing.
func (w *world) failed(books string, resp *http.Response, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.last[books]
	s.failed, s.told = true, 0
	if resp != nil && resp.StatusCode != http.StatusGone &&
		w.cred.hosted.host.Recognises(acquire.Answer{Status: resp.StatusCode, Header: resp.Header,
			Body: body}) {
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			s.patience, s.told = time.Now().Add(time.Duration(seconds)*time.Second), 1
			if w.well.Before(s.patience) && !w.well.IsZero() {
				w.well = s.patience
			}
		}
	}
	w.last[books] = s
}

// answer is what a request gets.
func (w *world) answer(
	r *http.Request, body []byte, resource, books, ill string,
) (*http.Response, error) {
	resp, err := w.respond(r, body, resource, ill)
	if err != nil {
		w.failed(books, nil, nil)
		return nil, err
	}
	resp.Request = r
	if resp.StatusCode != http.StatusOK || ill != "well" && ill != "slow" {
		content, _ := io.ReadAll(resp.Body)
		var end error
		if ill == "half a body" {
			end = io.ErrUnexpectedEOF
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(content), &broken{end}))
		if ill != "expired token" || !w.lasts(content) {
			w.failed(books, resp, content)
			return resp, nil
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.last[books]
	s.failed = false // Arc's challenge is no failure
	w.last[books] = s
	if challenged := resp.StatusCode == http.StatusUnauthorized; !challenged {
		for _, who := range []string{"", theOther} { // the host is well, whatever it has asked for
			if s, ok := w.last[who+resource]; ok {
				s.patience = time.Time{}
				w.last[who+resource] = s
			}
		}
	}
	return resp, nil
}

// lasts reports whether an answer brings a token that has expired by the host's clock only. By this
// machine's it is one to use.
func (w *world) lasts(content []byte) bool {
	var said struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(content, &said) != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.granted[said.Token]
	return g != nil && !g.foreign && g.end.Add(-w.shifted).After(time.Now())
}

// broken ends a body with an error; nil is its proper end.
type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

func (w *world) respond(
	r *http.Request, body []byte, resource, ill string,
) (*http.Response, error) {
	oauth := `{"error":"unavailable","error_description":"an invented failure"}`
	server := []string{"Server", "IMDS/150.870.65.1", "Content-Type", "application/json"}
	switch ill {
	case "refused":
		return nil, syscall.ECONNREFUSED
	case "reset", "hangs":
		return nil, syscall.ECONNRESET
	case "redirect":
		return respond(307, "", append(server, "Location", "http://elsewhere.example/token")...), nil
	case "HTML 200", "HTML 403", "HTML 502":
		status, _ := strconv.Atoi(strings.TrimPrefix(ill, "HTML "))
		return respond(status, "<!DOCTYPE html><html><body>Sign in to the network</body></html>",
			"Content-Type", "text/html"), nil
	case "garbage":
		return respond(200, "\x00\xff{{{]\x80", server...), nil
	case "error with 200":
		return respond(200, oauth, server...), nil
	case "status 600":
		return respond(600, oauth, server...), nil
	case "too large":
		return respond(200, tooLarge, server...), nil
	case "429 and Retry-After", "503 and Retry-After":
		status, _ := strconv.Atoi(ill[:3])
		w.mu.Lock()
		after := 1 + w.random.IntN(20)
		w.mu.Unlock()
		return respond(status, oauth, append(server, "Retry-After", strconv.Itoa(after))...), nil
	}
	if status, err := strconv.Atoi(ill); err == nil {
		return respond(status, oauth, server...), nil
	}
	try := r.Clone(r.Context())
	try.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := w.fake.Do(try)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	changed, err := w.grant(content, resource, ill)
	if err != nil {
		return nil, err
	}
	if ill == "half a body" {
		changed = changed[:len(changed)/2]
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(changed)), int64(len(changed))
	return resp, nil
}

// grant changes the fake's answer with a token into one of this world: with another life, or the
// one from the cache, or with something wrong. It writes what is right into the books.
func (w *world) grant(content []byte, resource, ill string) ([]byte, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	hosts := now // the time on the clock that the token's end is told by
	if fields["expires_on"] != nil {
		hosts = now.Add(-w.skew)
	}
	g := w.cached[resource]
	proper := ill == "well" || ill == "slow"
	if g == nil || !proper || !g.end.Add(-w.shifted).After(hosts.Add(time.Second)) {
		raw, err := w.sign(fields, ill == "another identity")
		if err != nil {
			return nil, err
		}
		life := w.life()
		if ill == "expired token" {
			life = -time.Duration(1+w.random.IntN(3600)) * time.Second
		}
		g = &granted{token: raw, resource: resource, number: len(w.granted) + 1,
			foreign: ill == "another identity",
			end:     time.Unix(hosts.Add(life).Unix(), 0).Add(w.shifted)}
		w.granted[raw] = g
		if w.hostCache && proper {
			w.cached[resource] = g
		}
		w.count("tokens")
		// Who forced a request takes what it brings, also if it ends sooner. It may leave before that
		// comes.
		if f := w.flight(resource); f != nil && (f.Claims != "" || f.Anew) && w.seen[resource] != nil &&
			g.end.Before(w.seen[resource].end) {
			w.seen[resource] = g
		}
	} else {
		w.count("tokens from the host's cache")
	}
	end := g.end.Add(-w.shifted)
	left := int64(end.Sub(hosts) / time.Second)
	fields["access_token"] = g.token
	for name, value := range map[string]int64{
		"expires_on": end.Unix(), "expires_in": left, "ext_expires_in": left,
	} {
		switch fields[name].(type) {
		case string:
			fields[name] = strconv.FormatInt(value, 10)
		case json.Number:
			fields[name] = value
		}
	}
	if fields["expires_on"] == nil { // then its end is counted from the answer
		g.end = now.Add(time.Duration(left)*time.Second + w.shifted)
	}
	if w.random.IntN(10) == 0 {
		fields["refresh_in"] = w.random.IntN(86400)
	}
	switch ill {
	case "no token":
		fields["access_token"] = ""
	case "no end":
		delete(fields, "expires_on")
		delete(fields, "expires_in")
	}
	return json.Marshal(fields)
}

// saw writes a token into the books that a call has returned.
func (w *world) saw(resource string, g *granted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.seen[resource]; known == nil || g.number > known.number {
		w.seen[resource] = g
	}
}

// sign gives the fake's token another content: it has no end of its own, is unlike any other, and
// is another identity's if it is to be.
func (w *world) sign(fields map[string]any, foreign bool) (string, error) {
	raw, _ := fields["access_token"].(string)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", errors.New("the fake's token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", err
	}
	delete(claims, "exp")
	claims["uti"] = fmt.Sprint("token ", len(w.granted)+1)
	if foreign {
		other := map[string]any{"appid": "11111111-1111-4111-8111-111111111111",
			"oid": "22222222-2222-4222-8222-222222222222", "xms_mirid": "/subscriptions/other"}
		maps.Copy(claims, other)
		if fields["client_id"] != nil {
			fields["client_id"] = other["appid"]
		}
	}
	text, err := json.Marshal(claims)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(text) + "." + parts[2], err
}

// forget strikes out what a clock set back by any time can't bring back: it is gone an hour after
// its end. It is called under mu.
func (w *world) forget() {
	for resource, g := range w.seen {
		if time.Since(g.end.Add(-w.shifted)) >= keepExpired {
			delete(w.seen, resource)
		}
	}
}

// suffer changes what the host suffers from.
func (w *world) suffer(ailment string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ailment = ailment
	w.count("spells: " + ailment)
	w.expect()
}

// expect decides whether callers may expect tokens from now on. It is called under mu.
func (w *world) expect() {
	switch fine := w.ailment == "well" && w.skew == 0 && !w.rotating; {
	case !fine:
		w.well = time.Time{}
	case w.well.IsZero():
		w.well = time.Now()
		for _, s := range w.last {
			if s.patience.After(w.well) {
				w.well = s.patience
			}
		}
	}
}

// jump moves this machine's clock by d. With sleep, the machine was suspended for that long, and
// its connections are gone; otherwise the clock is wrong from now on, or right again.
func (w *world) jump(d time.Duration, sleep bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	shiftClock(w.cred, d)
	w.shifted += d
	w.forget()
	for resource, s := range w.last { // the time that was asked for has passed, or nobody knows
		s.patience = time.Time{}
		w.last[resource] = s
	}
	if sleep {
		w.count("suspensions")
		close(*w.suspension.Load())
		again := make(chan struct{})
		w.suspension.Store(&again)
		w.well = time.Time{} // begins anew
	} else {
		w.count("clock steps")
		w.skew += d
		w.well = time.Time{}
	}
	w.expect()
}

// rotates reports whether the host has a secret to replace.
func (w *world) rotates() bool {
	switch w.cred.Host() {
	case HostIMDS, HostCloudShell:
		return false
	}
	return true
}

// rotate replaces the host's secret. The environment follows when the returned function is called.
func (w *world) rotate() (follow func()) {
	w.mu.Lock()
	w.count("secrets replaced")
	w.rotating = true
	w.expect()
	w.mu.Unlock()
	w.fake.RotateSecret()
	return func() {
		for name, value := range variablesAt(w.fake, w.base) {
			w.env.set(name, value)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.rotating = false
		w.expect()
	}
}

// summary is the counts, by name.
func summary(counts map[string]int) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%12d  %s", counts[name], name))
	}
	return strings.Join(lines, "\n")
}
