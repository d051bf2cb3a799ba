package chain

import (
	"context"
	"time"
)

// deadlineKey is where a chain's walk, whose context has a deadline of its own, carries its
// caller's. A developer's tool may take as long as that.
type deadlineKey struct{}

func withDeadlineOf(caller context.Context) context.Context {
	deadline, _ := CallersDeadline(caller)
	return context.WithValue(caller, deadlineKey{}, deadline)
}

// CallersDeadline is that of the caller for whom a source is asked, whether or not a chain is in
// between.
func CallersDeadline(ctx context.Context) (deadline time.Time, ok bool) {
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		return deadline, !deadline.IsZero()
	}
	return ctx.Deadline()
}
