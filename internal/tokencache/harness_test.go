package tokencache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

const vault = "https://vault.azure.net"

// bubble runs a test in parallel and on virtual time. A goroutine left behind fails it, once what
// is under way at the end has had the time of its budget.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(2 * time.Minute)
	})
}

// bubbles runs a test in a bubble for each of the rows.
func bubbles[Row any](t *testing.T, rows map[string]Row, f func(t *testing.T, row Row)) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { f(t, row) }) })
	}
}

// host is a Source whose answers a test decides: good tokens of a day, but for the next ones in
// answers, or all for as long as ill is there.
type host struct {
	mu      sync.Mutex
	life    time.Duration // of tokens, 0 for a day
	answers []answer      // the next ones
	ill     answer        // those after them, nil for good ones
	until   time.Time     // when the host is well again; zero for never
	tokens  int
	sent    []sent
	events  []Event

	launched int // those that are on their way, or have ended
}

// sent is a request as the host sees it.
type sent struct {
	Request
	at time.Time
}

// answer is what an acquisition brings. The zero Grant is a good token.
type answer func(r Request, p *Progress) (Grant, error)

func (h *host) Begin(_ context.Context, r Request) Acquisition {
	return func(p *Progress) (Grant, error) {
		p.Sent()
		h.mu.Lock()
		h.sent = append(h.sent, sent{r, time.Now()})
		give := h.ill
		if give != nil && !h.until.IsZero() && !time.Now().Before(h.until) {
			give = nil
		}
		if len(h.answers) > 0 {
			give, h.answers = h.answers[0], h.answers[1:]
		}
		h.mu.Unlock()
		var g Grant
		var err error
		if give != nil {
			g, err = give(r, p)
		}
		if err != nil {
			return Grant{}, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tokens++
		if g.Token == "" {
			g.Token = fmt.Sprint("token-", h.tokens)
		}
		if g.ExpiresOn.IsZero() {
			life := h.life
			if life == 0 {
				life = 24 * time.Hour
			}
			g.ExpiresOn = time.Now().Add(life).UTC()
		}
		return g, nil
	}
}

func (h *host) Launched() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.launched++
}

func (h *host) Report(_ Request, e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// enqueue decides the next answers.
func (h *host) enqueue(answers ...answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, answers...)
}

// suffer has the host give one answer to all for a time.
func (h *host) suffer(ill answer, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ill, h.until = ill, time.Now().Add(d)
}

// recover makes the host well again.
func (h *host) recover() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ill, h.answers = nil, nil
}

// requests are those so far.
func (h *host) requests() []sent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]sent(nil), h.sent...)
}

// reported are the events so far.
func (h *host) reported() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Event(nil), h.events...)
}

// refuses answers with an error that may pass.
func refuses(Request, *Progress) (Grant, error) { return Grant{}, errRefused }

var errRefused = errors.New("refused")

// asksFor answers with an error by which the host asks to be left alone.
func asksFor(wait time.Duration) answer {
	return func(_ Request, p *Progress) (Grant, error) {
		p.Throttled()
		return Grant{}, &Failure{Err: errRefused, RetryAfter: wait}
	}
}

// late gives an answer after a time; nil is a good token.
func late(d time.Duration, give answer) answer {
	return func(r Request, p *Progress) (Grant, error) {
		time.Sleep(d)
		if give == nil {
			return Grant{}, nil
		}
		return give(r, p)
	}
}

// forced are the requests that go past the store.
var forced = map[string]Request{"claims": {Claims: "{}"}, "anew": {Anew: true}}

// client is a credential: a view of a cache.
type client struct {
	*host
	cache *Cache
	view  *View
}

// usual are the terms of a credential without options.
var usual = Terms{Patience: 40 * time.Second, Budget: 75 * time.Second}

func newClient() client { return newHost().client(New(), usual) }

func newHost() *host { return &host{} }

func (h *host) client(c *Cache, t Terms) client {
	v := NewView("identity\n", Variant{}, t)
	return client{h, c, &v}
}

// with is a credential of the same identity with other terms.
func (c client) with(t Terms) client { return c.host.client(c.cache, t) }

// ask calls Get.
func (c client) ask(ctx context.Context, resource string, r Request) (Result, error) {
	r.Resource = resource
	return c.cache.Get(ctx, c.view, resource, r, c.host)
}

// get does what a credential's GetToken does.
func (c client) get(resource string) (azcore.AccessToken, error) {
	if held := c.view.Hit(resource); held != nil {
		return *held, nil
	}
	got, err := c.ask(context.Background(), resource, Request{})
	return got.Token, err
}

// must gets the vault's token, and returns how long that took.
func (c client) must(tb testing.TB) (azcore.AccessToken, time.Duration) {
	tb.Helper()
	start := time.Now()
	tk, err := c.get(vault)
	if err != nil {
		tb.Fatalf("after %v: %v", time.Since(start), err)
	}
	if !tk.ExpiresOn.After(time.Now()) {
		tb.Fatalf("got a token that expired at %v, now is %v", tk.ExpiresOn, time.Now())
	}
	return tk, time.Since(start)
}

// fails wants the vault's token not to come, and returns how long that took.
func (c client) fails(tb testing.TB) (took time.Duration, err error) {
	tb.Helper()
	start := time.Now()
	tk, err := c.get(vault)
	if err == nil {
		tb.Fatalf("got %v, want an error", tk.Token)
	}
	return time.Since(start), err
}

// stat is what is known of the vault's token.
func (c client) stat() Stat {
	for _, s := range c.cache.Stats(c.view) {
		if s.Resource == vault {
			return s
		}
	}
	return Stat{}
}

// flights counts them, also those of keys that the store has lost.
func (c *Cache) flights() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flying
}

// resources are n names.
func resources(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("https://resource-", i)
	}
	return list
}
