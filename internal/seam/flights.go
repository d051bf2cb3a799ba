package seam

import (
	"context"
	"slices"
	"sync"
)

// Flights counts a credential's acquisitions that are under way, from the call that begins one
// until its token is stored or its failure noted. Fakes that the credential asks are told. The zero
// value is ready to use, and safe for concurrent use.
type Flights struct {
	mu   sync.Mutex
	n    int
	told []*Activity
}

// Launched says that one begins. It is called before the caller who begins it goes on.
func (f *Flights) Launched() { f.change(1) }

// Landed says that one is over.
func (f *Flights) Landed() { f.change(-1) }

func (f *Flights) change(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n += by
	for _, a := range f.told {
		a.Add(by)
	}
}

// tell makes what is under way, now and later, a part of a.
func (f *Flights) tell(a *Activity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.told, a) {
		f.told = append(f.told, a)
		a.Add(f.n)
	}
}

type flightsKey struct{}

// With is ctx, whose requests are known to be those of f.
func With(ctx context.Context, f *Flights) context.Context {
	return context.WithValue(ctx, flightsKey{}, f)
}

// Meet tells a of the acquisitions of whoever sends a request with ctx.
func Meet(ctx context.Context, a *Activity) {
	if f, ok := ctx.Value(flightsKey{}).(*Flights); ok {
		f.tell(a)
	}
}

var activities sync.Map // nonce -> *Activity

// Watch makes a the activity at the endpoints whose path begins with the nonce, until the returned
// function is called.
func Watch(nonce string, a *Activity) (unwatch func()) {
	activities.Store(nonce, a)
	return func() { activities.Delete(nonce) }
}

// MeetAt does what Meet does for the fake, if any, that a URL with this path leads to.
func MeetAt(ctx context.Context, path string) {
	if a, ok := activities.Load(nonceOf(path)); ok {
		Meet(ctx, a.(*Activity))
	}
}

// Activity counts what is under way at a fake. The zero value is ready to use, and safe for
// concurrent use.
type Activity struct {
	mu      sync.Mutex
	n       int
	waiting []chan struct{}
}

// Add changes the count.
func (a *Activity) Add(by int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n += by
	if a.n != 0 {
		return
	}
	for _, idle := range a.waiting {
		close(idle)
	}
	a.waiting = nil
}

// Count returns what is under way now.
func (a *Activity) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// Idle returns a new channel, which is closed once nothing is under way.
func (a *Activity) Idle() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	idle := make(chan struct{})
	if a.n == 0 {
		close(idle)
	} else {
		a.waiting = append(a.waiting, idle)
	}
	return idle
}
