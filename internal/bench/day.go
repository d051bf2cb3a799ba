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

// dayHost is a host that the day is played on.
type dayHost struct {
	name string
	set  func() // makes the environment that host's
	ask  func(name string, f *fake) (asker, error)
}

// dayHosts: azidentity and MSAL wait in other ways on each. The picture is of the first.
var dayHosts = []dayHost{
	{"a VM", func() { setHost() }, func(name string, f *fake) (asker, error) {
		return imdsAsker(name, f)
	}},
	{"App Service", func() { setAppService(nowhere) }, newAsker},
}

// dayPeers are those who hold tokens of a managed identity.
var dayPeers = []string{ours, azIdentity, msal}

// measureDay calls GetToken once a minute through a day. It is the real code of each library, in
// virtual time.
func measureDay(_ context.Context, _ bool, say func(string)) (section, error) {
	days := map[string]map[string]day{}
	for h, host := range dayHosts {
		host.set()
		days[host.name] = map[string]day{}
		for i, name := range dayPeers {
			say(host.name + ": " + name)
			// MSAL's cache is one for the process
			scope := fmt.Sprintf("https://day-%d-%d.example/.default", h, i)
			d, err := inBubble(func() (day, error) { return liveDay(host, name, scope) })
			if err != nil {
				return section{}, fmt.Errorf("%s: %s: %w", host.name, name, err)
			}
			days[host.name][name] = d
		}
	}
	return daySection(days), nil
}

// liveDay is to run in a bubble.
func liveDay(host dayHost, name, scope string) (day, error) {
	f := &fake{delay: hostAnswers}
	f.slow.Store(true)
	ask, err := host.ask(name, f)
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
