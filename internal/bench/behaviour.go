package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// situation is one row: what a peer is put through, and what came of it in words. Ours is judged by
// cost, which must not be above bound.
type situation struct {
	what string
	try  func(ctx context.Context, ask asker, f *fake, scope string) (cost float64, words string,
		err error)
	bound float64
	unit  string
	why   string
	host  func() *fake

	inShort float64 // see verdict
	ripens  bool    // try begins with a token that the peer got scale.ripens ago
}

// refreshIn is the least that this library heeds: a token that is due sooner is not renewed sooner.
const refreshIn = 30 * time.Second

// renewing reports whether a second request has come, or comes soon: a renewal in the background
// has just begun.
func renewing(f *fake, within time.Duration) bool {
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if f.requests.Load() > 1 {
			return true
		}
	}
	return false
}

var situations = []situation{
	{
		what: "1,000 goroutines ask for a new token, the host takes 200 ms", bound: 1, unit: "requests",
		why:  "one request serves them all",
		host: func() *fake { return &fake{delay: 200 * time.Millisecond} },
		try: func(ctx context.Context, ask asker, f *fake, scope string) (float64, string, error) {
			f.slow.Store(true)
			began := time.Now()
			errs := make([]error, scale.calls)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = ask(ctx, scope) })
			}
			wg.Wait()
			failed := 0
			for _, err := range errs {
				if err != nil {
					failed++
				}
			}
			words := fmt.Sprintf("%s in %s", requests(f),
				duration(time.Since(began).Round(time.Millisecond)))
			if failed > 0 {
				words += fmt.Sprintf(", %d errors", failed)
			}
			return float64(f.requests.Load()), words, nil
		},
	},
	{
		what: "the host issues 4-minute tokens, 1,000 calls", bound: 1, unit: "requests",
		why:  "a token is served until it ends",
		host: func() *fake { return &fake{life: 4 * time.Minute} },
		try: func(ctx context.Context, ask asker, f *fake, scope string) (float64, string, error) {
			for range scale.calls {
				if _, err := ask(ctx, scope); err != nil {
					return 0, "", err
				}
			}
			return float64(f.requests.Load()), requests(f), nil
		},
	},
	{
		what: "a token with 4 minutes left, the host answers 503", bound: 50,
		inShort: millisInShort, unit: "ms",
		why:  "a valid token is handed out at once, whatever the host says",
		host: func() *fake { return &fake{life: 4 * time.Minute} },
		try: func(ctx context.Context, ask asker, f *fake, scope string) (float64, string, error) {
			return second(ctx, ask, scope, func() { f.down.Store(true) })
		},
	},
	{
		what: "a token is held, and the host takes 2 s for another resource", bound: 50,
		inShort: millisInShort, unit: "ms", why: "no lock is held over a request",
		host: func() *fake { return &fake{delay: 2 * time.Second} },
		try:  besideSlow,
	},
	{
		what: "a valid token is due for renewal, and the host takes 2 s", bound: 50,
		inShort: millisInShort, unit: "ms", why: "the renewal is nobody's to wait for",
		ripens: true,
		host:   func() *fake { return &fake{refresh: refreshIn, delay: 2 * time.Second} },
		try: func(ctx context.Context, ask asker, f *fake, scope string) (float64, string, error) {
			f.slow.Store(true)
			cost, words, err := timed(ctx, ask, scope)
			if !renewing(f, 100*time.Millisecond) {
				words += ", and no renewal"
			}
			return cost, words, err
		},
	},
}

func requests(f *fake) string {
	n := f.requests.Load()
	if n == 1 {
		return "1 request"
	}
	return figure(float64(n)) + " requests"
}

// besideSlow is what a hit takes while the host is slow with another resource.
func besideSlow(
	ctx context.Context, ask asker, f *fake, scope string,
) (cost float64, words string, err error) {
	other := make(chan error, 1)
	cost, words, err = second(ctx, ask, scope, func() {
		f.slow.Store(true)
		go func() { _, err := ask(ctx, "https://slow-"+scope[len("https://"):]); other <- err }()
		time.Sleep(min(200*time.Millisecond, f.delay/10)) // until it waits for the host
	})
	return cost, words, cmp.Or(err, <-other)
}

// second is how long the second call takes, after something has happened; an error costs more than
// any bound.
func second(ctx context.Context, ask asker, scope string, happens func()) (float64, string, error) {
	if _, err := ask(ctx, scope); err != nil {
		return 0, "", err
	}
	happens()
	return timed(ctx, ask, scope)
}

// timed is how long a call takes.
func timed(ctx context.Context, ask asker, scope string) (float64, string, error) {
	began := time.Now()
	_, err := ask(ctx, scope)
	took := time.Since(began)
	if err != nil {
		return 1e9, "an error after " + duration(took), nil
	}
	return float64(took) / 1e6, "the token after " + duration(took), nil
}

// subject is a peer in a situation.
type subject struct {
	name, url, scope string
	host             *fake
	ask              asker
	ready            time.Time // from then on it may be tried
}

// measureBehaviour puts each peer through each situation.
func measureBehaviour(ctx context.Context, short bool, say func(string)) (section, error) {
	names := peers[:scale.peers]
	t := table{head: append([]string{"what"}, names...)}
	s := section{
		title: "Behaviour",
		text: []string{"Over loopback, each peer with an App Service of its own. AWS's, Google's and " +
			"oauth2's caches have a bare request behind them, and follow their own rules; they know no " +
			"time of renewal but the one that is built in."},
	}
	subjects := make([][]subject, len(situations))
	for i, sit := range situations {
		for _, name := range names {
			x := subject{name: name, host: sit.host()}
			url, stop, err := x.host.listen()
			if err != nil {
				return s, err
			}
			defer stop()
			setAppService(url)
			if x.ask, err = newAsker(name, nil); err != nil {
				return s, err
			}
			// A scope of its own: MSAL and azidentity share a cache.
			x.url, x.scope = url, fmt.Sprintf("https://%d.%s.example/.default", i,
				map[bool]string{true: "azidentity", false: "other"}[name == azIdentity])
			if sit.ripens {
				if _, err := x.ask(ctx, x.scope); err != nil {
					return s, fmt.Errorf("%s: %s: %w", sit.what, name, err)
				}
				x.ready = time.Now().Add(scale.ripens)
			}
			subjects[i] = append(subjects[i], x)
		}
	}
	for i, sit := range situations {
		say(sit.what)
		row := []string{sit.what}
		for _, x := range subjects[i] {
			time.Sleep(time.Until(x.ready))
			setAppService(x.url) // it is read for each request, so that they go one after the other
			cost, words, err := sit.try(ctx, x.ask, x.host, x.scope)
			if err == nil && sit.ripens && scale.ripens > 0 && x.name == ours &&
				!renewing(x.host, 10*time.Second) {
				err = errors.New("there was no renewal that could have been waited for")
			}
			if err != nil {
				return s, fmt.Errorf("%s: %s: %w", sit.what, x.name, err)
			}
			row = append(row, words)
			if x.name == ours {
				s.verdicts = append(s.verdicts, verdict{what: sit.what, got: cost, bound: sit.bound,
					inShort: sit.inShort, unit: sit.unit, why: sit.why})
			}
		}
		t.rows = append(t.rows, row)
	}
	s.tables = []table{t}
	return s, nil
}
