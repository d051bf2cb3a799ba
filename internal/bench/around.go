package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
)

// aroundPair is a way to a held token beside the least that it can be.
type aroundPair struct {
	what   string
	beside string // what the second is
	one    contender
	least  contender
	bound  float64 // of the ratio; 0 for a peer's, which is not judged
	allocs float64 // of one beyond the least
	why    string
}

// theSource is of another package: the least that a credential can do.
const theSource = "the source alone"

// aroundPairs hold a token each.
func aroundPairs() ([]aroundPair, error) {
	setAppService(nowhere)
	const scope = "https://vault.azure.net/.default"
	transport := &fake{}
	cred, err := newOurs(transport)
	if err != nil {
		return nil, err
	}
	source := newLimit([]string{scope})
	chained, err := identity.NewChain([]azcore.TokenCredential{source}, nil)
	if err != nil {
		return nil, err
	}
	theirs, err := azidentity.NewChainedTokenCredential([]azcore.TokenCredential{source}, nil)
	if err != nil {
		return nil, err
	}
	own, err := identity.NewChain([]azcore.TokenCredential{cred}, nil)
	if err != nil {
		return nil, err
	}
	options := &identity.DefaultCredentialOptions{}
	options.Transport = transport
	standard, err := identity.NewDefaultCredential(options)
	if err != nil {
		return nil, err
	}
	hit := func(cred azcore.TokenCredential) contender { return contender{"one", oneHit(cred, scope)} }
	least := func(cred azcore.TokenCredential) contender { return contender{"least", oneHit(cred, scope)} }
	const mine = "the credential's GetToken"
	return []aroundPair{
		{what: "a chain with a source of another package", beside: theSource, one: hit(chained),
			least: least(source), bound: 1.3, why: "it remembers which source is in use, and asks it in " +
				"the caller's goroutine"},
		{what: "azidentity's chain with that source", beside: theSource, one: hit(theirs),
			least: least(source)},
		{what: "a chain with a credential of this library", beside: mine, one: hit(own),
			least: least(cred), bound: 1.3, why: "it remembers which source is in use"},
		{what: "NewDefaultCredential's", beside: mine, one: hit(standard), least: least(cred),
			bound: 1.1, why: "it is the host's credential and a look at which one is in use"},
		{what: "TokenFunc's function", beside: mine, one: contender{"one",
			tokenFuncHit(identity.TokenFunc(cred, scope))}, least: contender{"least", caeHit(cred, scope)},
			bound: 1.5, why: "it sets the options, and returns the text alone"},
		{what: "Transport's RoundTrip", beside: "cloning the request and setting a header",
			one: contender{"one", roundTrips(&identity.Transport{Credential: cred, Scope: scope,
				Base: answers{}})}, least: contender{"least", roundTrips(leastTransport{cred, scope})},
			bound: 1.3, allocs: 1,
			why: "it looks at the request's scheme and history, and at the answer's status"},
	}, nil
}

// measureAround is what lies between a caller and a held token.
func measureAround(ctx context.Context, short bool, say func(string)) (section, error) {
	pairs, err := aroundPairs()
	if err != nil {
		return section{}, err
	}
	t := table{head: []string{"what", "takes", "allocations", "beside", "which takes", "ratio"}}
	s := section{
		title: "Around a hit",
		text: []string{"Chains and what asks in place of Azure SDK clients, for a token that is held. " +
			"The source of another package is the limit of *A hit*, whose cost is near to " +
			"nothing, so that what the chain adds shows. Transport has a base that answers at once."},
	}
	for _, p := range pairs {
		say(p.what)
		for _, c := range []contender{p.one, p.least} {
			if err := c.run(3); err != nil {
				return s, fmt.Errorf("%s: %w", p.what, err)
			}
		}
		allocs, err := allocations([]contender{p.one, p.least})
		if err != nil {
			return s, err
		}
		turns, err := takeTurns(ctx, roundsOf(short), p.one, p.least)
		if err != nil {
			return s, fmt.Errorf("%s: %w", p.what, err)
		}
		got := turns.ratio("one", "least")
		t.rows = append(t.rows, []string{p.what, nanoseconds(turns.ns("one")), figure(allocs["one"]),
			p.beside, nanoseconds(turns.ns("least")), ratio(got)})
		if p.bound > 0 {
			s.verdicts = append(s.verdicts,
				verdict{what: p.what + " hit beside " + p.beside, got: got, bound: p.bound,
					inShort: ratioInShort * p.bound, unit: "x", why: p.why},
				verdict{what: p.what + " hit: allocations beyond that",
					got: allocs["one"] - allocs["least"], bound: p.allocs, why: p.why})
		}
	}
	s.tables = []table{t}
	return s, nil
}

func tokenFuncHit(get func(context.Context) (string, error)) func(n int) error {
	ctx := context.Background()
	return func(n int) error {
		for range n {
			if _, err := get(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// caeHit asks as TokenFunc and Azure SDK clients do, for tokens that can be challenged.
func caeHit(cred azcore.TokenCredential, scope string) func(n int) error {
	ctx := context.Background()
	options := policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}
	return func(n int) error {
		for range n {
			if _, err := cred.GetToken(ctx, options); err != nil {
				return err
			}
		}
		return nil
	}
}

// answers is a service that has nothing to do.
type answers struct{}

func (answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		return nil, errNotHeld
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// leastTransport does what no such Transport can leave out.
type leastTransport struct {
	cred  azcore.TokenCredential
	scope string
}

func (l leastTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := l.cred.GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{l.scope},
		EnableCAE: true})
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token.Token)
	return answers{}.RoundTrip(r)
}

func roundTrips(t http.RoundTripper) func(n int) error {
	return func(n int) error {
		for range n {
			r, err := http.NewRequest(http.MethodGet, "https://api.example/items", http.NoBody)
			if err != nil {
				return err
			}
			r.Header.Set("Accept", "application/json")
			resp, err := t.RoundTrip(r)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		return nil
	}
}
