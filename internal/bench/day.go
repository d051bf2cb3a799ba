package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The day of a service that has started at eight in the evening before, with a token of 24 hours.
// The host is down twice: when this library renews, in the middle of the token's life, and when
// azidentity and MSAL do, 5 minutes before its end.
const (
	dayLong     = 24 * time.Hour
	evening     = 4 * time.Hour // before the day
	hostAnswers = 50 * time.Millisecond
)

type outage struct{ from, to time.Duration }

var outages = []outage{{6 * time.Hour, 10 * time.Hour}, {18 * time.Hour, 22 * time.Hour}}

// instant is one call of the day.
type instant struct {
	at     time.Duration
	took   time.Duration
	failed bool
}

// day is what the calls of one peer met with.
type day struct {
	calls    []instant
	requests int64
}

// measureDay calls GetToken once a minute through a day. It is the real code of each library, in
// virtual time.
func measureDay(ctx context.Context, _ bool, say func(string)) (section, error) {
	setAppService(nowhere)
	names := []string{ours, azIdentity, msal}
	days := map[string]day{}
	hit := map[string]float64{}
	for i, name := range names {
		say(name)
		scope := fmt.Sprintf("https://day-%d.example/.default", i)
		var err error
		if hit[name], err = realHit(ctx, name, scope+"-hit"); err != nil {
			return section{}, err
		}
		d, err := inBubble(func() (day, error) { return liveDay(name, scope) })
		if err != nil {
			return section{}, fmt.Errorf("%s: %w", name, err)
		}
		days[name] = d
	}
	return daySection(names, days, hit), nil
}

// liveDay is to run in a bubble.
func liveDay(name, scope string) (day, error) {
	f := &fake{delay: hostAnswers}
	f.slow.Store(true)
	ask, err := newAsker(name, f)
	if err != nil {
		return day{}, err
	}
	if _, err := ask(context.Background(), scope); err != nil {
		return day{}, err
	}
	time.Sleep(evening)
	began := time.Now()
	for _, o := range outages {
		time.AfterFunc(o.from, func() { f.down.Store(true) })
		time.AfterFunc(o.to, func() { f.down.Store(false) })
	}
	// For a call that is stalled the next ones aren't: each has a goroutine, as requests to a service
	// have.
	calls := make([]instant, int(dayLong/scale.every))
	done := make(chan struct{}, len(calls))
	for i := range calls {
		go func() {
			defer func() { done <- struct{}{} }()
			time.Sleep(time.Duration(i) * scale.every)
			at := time.Now()
			_, err := ask(context.Background(), scope)
			calls[i] = instant{at.Sub(began), time.Since(at), err != nil}
		}()
	}
	for range calls {
		<-done
	}
	time.Sleep(time.Hour) // what is under way ends
	return day{calls, f.requests.Load()}, nil
}

// inBubble runs f in virtual time.
func inBubble[T any](f func() (T, error)) (result T, err error) {
	err = errors.New("a goroutine was left behind in the bubble")
	synctest.Test(inTest, func(*testing.T) { result, err = f() })
	return result, err
}

// realHit is what a hit costs in real time. In the bubble it takes none.
func realHit(ctx context.Context, name, scope string) (float64, error) {
	ask, err := newAsker(name, &fake{})
	if err != nil {
		return 0, err
	}
	t, err := takeTurns(ctx, 20, contender{name, func(n int) error {
		for range n {
			if _, err := ask(ctx, scope); err != nil {
				return err
			}
		}
		return nil
	}})
	return t.ns(name), err
}
