package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
)

const coldBound = 2

// coldAllocations is half as many again as today's 231: one more pass over the answer would show.
const coldAllocations = 350

// measureCold is an acquisition over loopback.
func measureCold(ctx context.Context, short bool, say func(string)) (section, error) {
	f := &fake{length: 1536}
	url, stop, err := f.listen()
	if err != nil {
		return section{}, err
	}
	defer stop()
	setAppService(url)
	endpoint := os.Getenv("IDENTITY_ENDPOINT")
	contenders := []contender{{theLimit, func(n int) error {
		for range n {
			if _, _, err := bareGet(ctx, endpoint, "https://vault.azure.net"); err != nil {
				return err
			}
		}
		return nil
	}}}
	next := 0
	for _, name := range peers {
		ask, err := newAsker(name, nil)
		if err != nil {
			return section{}, err
		}
		contenders = append(contenders, contender{name, func(n int) error {
			for range n {
				next++
				if _, err := ask(ctx, fmt.Sprintf("https://%d.vault.azure.net/.default", next)); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	allocs := map[string]float64{}
	for _, c := range contenders {
		allocs[c.name] = testing.AllocsPerRun(10, func() { err = c.run(1) })
		if err != nil {
			return section{}, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	rounds := 3 * roundsOf(short)
	say(fmt.Sprintf("%d rounds", rounds))
	// MSAL and azidentity search all they hold first: so they take few turns, before the others, until
	// they hold some hundreds.
	searching, err := takeTurns(ctx, min(rounds, 60), contenders[0], contenders[2], contenders[3])
	if err != nil {
		return section{}, err
	}
	t, err := takeTurns(ctx, rounds, slices.Delete(slices.Clone(contenders), 2, 4)...)
	if err != nil {
		return section{}, err
	}
	quiet := map[string]float64{azIdentity: searching.quiet(azIdentity, theLimit),
		msal: searching.quiet(msal, theLimit)}
	t[azIdentity], t[msal] = searching[azIdentity], searching[msal]
	for _, name := range []string{theLimit, ours, awsCache, gcpCache, xOAuth2} {
		quiet[name] = t.quiet(name, theLimit)
	}

	tab := table{head: []string{"what"}, caption: "Per token, of 1.5 KiB, that nobody holds."}
	rows := [][]string{{"acquisition, median"}, {"the quickest tenth"},
		{"ratio of that to the limit's"}, {"allocations, those of the fake's server with them"}}
	for _, name := range append([]string{theLimit}, peers...) {
		tab.head = append(tab.head, name)
		for i, cell := range []string{nanoseconds(t.ns(name)), nanoseconds(quickest(t[name])), ratio(quiet[name]), figure(allocs[name])} {
			rows[i] = append(rows[i], cell)
		}
	}
	tab.rows = rows
	return section{
		title: "Cold: a new token",
		text: []string{
			"GetToken for a resource that is new each time, of an App Service on loopback in the same " +
				"process. The limit is a bare net/http GET and encoding/json on the connection policy of " +
				"this library: no proxy, no redirect, no connection kept (there is one request in half a " +
				"day, and a pooled connection to an endpoint that has restarted fails the next one). " +
				"azidentity and MSAL keep connections, which saves them much of the bare request's cost " +
				"here; they search all that they hold first, some hundreds of tokens. AWS's, Google's and " +
				"oauth2's caches have the bare request behind them, so that they are the limit and a cache.",
			"An acquisition passes through five goroutines and the kernel, and a busy machine adds to " +
				"each wait. So what is judged is the quickest tenth of the rounds.",
			"What ours does beyond the limit: azcore's pipeline (its policies, request and response " +
				"headers in its log and trace where those are on), a goroutine for the flight that outlives " +
				"its caller, a context with a deadline for the whole and for the try, secrets kept out of " +
				"what is logged, the answer read to a bound, and every field of it checked.",
		},
		tables: []table{tab},
		verdicts: []verdict{
			{what: "acquisition beside a bare request", got: quiet[ours], bound: coldBound,
				inShort: ratioInShort * coldBound, unit: "x", why: "half of it is the socket's"},
			{what: "allocations of an acquisition beyond a bare request's",
				got: allocs[ours] - allocs[theLimit], bound: coldAllocations,
				why: "azcore's pipeline has half of them"},
		},
	}, nil
}
