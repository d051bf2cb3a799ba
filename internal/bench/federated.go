package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// applicationPeers are those who have a credential whose assertion comes from a function.
var applicationPeers = []string{ours, azIdentity}

// federatedHitBound is a look-up more than the limit has: an application's tokens are kept by
// tenant and by CAE, and each of the two is the caller's to say.
const federatedHitBound = 1.75

// exchangeBound is a quarter more than today's 2.8. A connection that is kept leaves half of a bare
// request, so that the flight's goroutine and the function's show more than in an acquisition.
const exchangeBound = 3.5

// exchangeAllocations is half as many again as today's 254: one more pass over the answer or the
// assertion would show.
const exchangeAllocations = 380

// measureFederated is a hit and an exchange of an application without a secret.
func measureFederated(ctx context.Context, short bool, say func(string)) (section, error) {
	setHost()
	say("hits")
	hit, hitAllocs, err := federatedHits(ctx, short)
	if err != nil {
		return section{}, err
	}
	say("exchanges")
	cold, coldAllocs, err := federatedExchanges(ctx, short)
	if err != nil {
		return section{}, err
	}
	tab := table{head: append([]string{"what", theLimit}, applicationPeers...)}
	for _, row := range []struct {
		what string
		cell func(name string) string
	}{
		{"hit", func(name string) string { return nanoseconds(hit.ns(name)) }},
		{"ratio to the limit", func(name string) string { return ratio(hit.ratio(name, theLimit)) }},
		{"allocations", func(name string) string { return figure(hitAllocs[name]) }},
		{"exchange, median", func(name string) string { return nanoseconds(cold.ns(name)) }},
		{"the quickest tenth", func(name string) string { return nanoseconds(quickest(cold[name])) }},
		{"ratio of that to the limit's", func(name string) string {
			return ratio(cold.quiet(name, theLimit))
		}},
		{"allocations, those of the fake's server with them", func(name string) string {
			return figure(coldAllocs[name])
		}},
	} {
		cells := []string{row.what}
		for _, name := range tab.head[1:] {
			cells = append(cells, row.cell(name))
		}
		tab.rows = append(tab.rows, cells)
	}
	return section{
		title: "Federated credentials",
		text: []string{
			"An application whose assertion comes from a function, which has it at once: AssertionFunc " +
				"here, ClientAssertionCredential of azidentity. The limit of a hit is that of *A hit*; " +
				"ours looks up the tenant and whether CAE is asked for, before the scope.",
			"An exchange is for a resource that is new each time, over TLS on loopback in the same " +
				"process; its limit is a bare POST of the same form, and encoding/json. All three have " +
				"the same client, which keeps its connection, so that the figures are what each does " +
				"besides. MSAL, which is in azidentity, searches all that it holds first. What ours does " +
				"is what *Cold: a new token* says, and it calls the function in a goroutine of its own, " +
				"under no lock.",
		},
		tables: []table{tab},
		verdicts: []verdict{
			{what: "federated hit beside the limit", got: hit.ratio(ours, theLimit),
				bound: federatedHitBound, inShort: ratioInShort * federatedHitBound, unit: "x",
				why: "any hit, and the look-up of tenant and CAE"},
			{what: "allocations of a federated hit", got: hitAllocs[ours], bound: 0,
				why: "a copy of what is held needs none"},
			{what: "exchange beside a bare request", got: cold.quiet(ours, theLimit),
				bound: exchangeBound, inShort: ratioInShort * exchangeBound, unit: "x",
				why: "two goroutines and azcore's pipeline, where no connection is made"},
			{what: "allocations of an exchange beyond a bare request's",
				got: coldAllocs[ours] - coldAllocs[theLimit], bound: exchangeAllocations,
				why: "azcore's pipeline has half of them"},
		},
	}, nil
}

// allocations are those of one call of each.
func allocations(contenders []contender) (map[string]float64, error) {
	all := map[string]float64{}
	for _, c := range contenders {
		var err error
		all[c.name] = testing.AllocsPerRun(20, func() {
			if e := c.run(1); e != nil {
				err = e
			}
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return all, nil
}

func federatedHits(ctx context.Context, short bool) (turns, map[string]float64, error) {
	const scope = "https://vault.azure.net/.default"
	contenders := []contender{{theLimit, oneHit(newLimit([]string{scope}), scope)}}
	for _, name := range applicationPeers {
		e := newEntra(&fake{})
		cred, err := newApplication(name, e, e.base)
		if err != nil {
			return nil, nil, err
		}
		contenders = append(contenders, contender{name, oneHit(cred, scope)})
	}
	allocs, err := allocations(contenders)
	if err != nil {
		return nil, nil, err
	}
	t, err := takeTurns(ctx, roundsOf(short), contenders...)
	return t, allocs, err
}

// federatedExchanges asks for a resource that is new each time. MSAL searches all that it holds
// first: so there are few rounds, until it holds some hundreds.
func federatedExchanges(ctx context.Context, short bool) (turns, map[string]float64, error) {
	e := newEntra(&fake{length: 1536})
	server := httptest.NewTLSServer(e)
	defer server.Close()
	e.base = server.URL
	next := 0
	scope := func() string { next++; return fmt.Sprintf("https://%d.vault.azure.net/.default", next) }
	contenders := []contender{{theLimit, func(n int) error {
		for range n {
			if err := bareExchange(ctx, server.Client(), e.base, scope()); err != nil {
				return err
			}
		}
		return nil
	}}}
	for _, name := range applicationPeers {
		cred, err := newApplication(name, server.Client(), e.base)
		if err != nil {
			return nil, nil, err
		}
		contenders = append(contenders, contender{name, newTokens(ctx, cred, scope)})
	}
	allocs, err := allocations(contenders)
	if err != nil {
		return nil, nil, err
	}
	t, err := takeTurns(ctx, roundsOf(short), contenders...)
	return t, allocs, err
}

// newTokens asks for one scope after the other.
func newTokens(
	ctx context.Context, cred azcore.TokenCredential, scope func() string,
) func(n int) error {
	ask := azcoreAsker(cred)
	return func(n int) error {
		for range n {
			if _, err := ask(ctx, scope()); err != nil {
				return err
			}
		}
		return nil
	}
}
