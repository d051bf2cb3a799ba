package usercode

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"time"
)

// Borrowed is a caller's context, of which a tracer takes what it needs while the caller waits.
// After that it knows the values that were asked for until then, and no method of the caller's
// context is called any more: web frameworks recycle theirs for the next request. It never ends.
type Borrowed struct {
	mu    sync.Mutex
	from  context.Context // nil once it is given back
	known map[any]any
}

// Borrow lends a caller's context.
func Borrow(ctx context.Context) *Borrowed {
	return &Borrowed{from: ctx, known: map[any]any{}}
}

// GiveBack ends the use of the caller's context.
func (b *Borrowed) GiveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = nil
}

// Deadline implements context.Context: there is none.
func (*Borrowed) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (*Borrowed) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*Borrowed) Err() error { return nil }

// Value hides what belongs to the caller's own operation: see foreignKey.
func (b *Borrowed) Value(key any) any {
	if foreignKey(key) || !reflect.ValueOf(key).Comparable() {
		return nil
	}
	b.mu.Lock()
	from, value := b.from, b.known[key]
	b.mu.Unlock()
	if from == nil {
		return value
	}
	value = from.Value(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[key] = value
	return value
}

// foreignKey reports whether a context's value belongs to the operation of the caller that happens
// to start an acquisition. azcore's retry options would multiply the tries, a captured response
// would hand the token to the caller's variable, and the span state may not be used by two
// goroutines at once. Hooks of httptrace, which the net package also finds under a key of its own,
// would see the secret header, and run after the caller has left.
func foreignKey(key any) bool {
	t := reflect.TypeOf(key)
	if t == nil {
		return true
	}
	switch path := t.PkgPath(); path {
	case "net/http/httptrace", "internal/nettrace":
		return true
	default:
		return strings.HasPrefix(path, "github.com/Azure/azure-sdk-for-go/sdk/")
	}
}
