package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// The limit, taken apart: each of these does one thing more than the one before.

// copies is a GetToken that returns what it holds: the call by interface, 64 bytes of options in,
// 64 bytes of token out.
type copies struct{ token *azcore.AccessToken }

func (c *copies) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return *c.token, nil
}

// looksUp finds it by scope, too.
type looksUp struct {
	tokens atomic.Pointer[map[string]*azcore.AccessToken]
}

func (c *looksUp) GetToken(
	_ context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	t := (*c.tokens.Load())[options.Scopes[0]]
	if t == nil {
		return azcore.AccessToken{}, errNotHeld
	}
	return *t, nil
}

// clock is time.Now, which is two readings: the wall's and the monotonic one.
func clock(n int) error {
	var t time.Time
	for range n {
		t = time.Now()
	}
	if t.IsZero() {
		return errNotHeld
	}
	return nil
}

// hitParts says what each nanosecond of a hit buys.
func hitParts(ctx context.Context, all []contender, short bool) (table, error) {
	const scope = "https://vault.azure.net/.default"
	held := newLimit([]string{scope})
	finds := &looksUp{}
	finds.tokens.Store(held.tokens.Load())
	t, err := takeTurns(ctx, roundsOf(short),
		contender{"copies", oneHit(&copies{(*held.tokens.Load())[scope]}, scope)},
		contender{"looksUp", oneHit(finds, scope)},
		contender{"clock", clock}, all[0], all[1])
	if err != nil {
		return table{}, err
	}
	rows := [][]string{
		{"the call by interface; 64 bytes of options in, 64 bytes of token out",
			nanoseconds(t.ns("copies"))},
		{"an atomic load of the index, and the look-up in it: the scope's hash, its place, and a " +
			"comparison of the scopes", nanoseconds(t.ns("looksUp") - t.ns("copies"))},
		{"time.Now: it reads the wall clock and the monotonic one", nanoseconds(t.ns("clock"))},
		{"comparing with the end", nanoseconds(t.ns(theLimit) - t.ns("looksUp") - t.ns("clock"))},
		{"ours beyond the limit: are there claims, or variants; an atomic load of the token in its " +
			"entry, which is replaced under running readers; one more call", nanoseconds(t.ns(ours) - t.ns(theLimit))},
		{"all of a hit", nanoseconds(t.ns(ours))},
	}
	return table{
		caption: "What each nanosecond buys. Escape analysis (`-gcflags=-m`) leaves nothing of a hit " +
			"on the heap, and the CPU profile shows nothing but these; what doesn't add up is what the " +
			"processor does at once.",
		head: []string{"what", "time"}, rows: rows,
	}, nil
}
