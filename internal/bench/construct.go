package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
)

// constructionBound is 5 µs where the limit takes 0.45 µs, as it does on a quiet machine of the
// kind that docs/performance.md names. As a ratio it holds on a busy one, too, whose microseconds
// may be twice as long. With 5 µs a service that makes a credential for each of 1,000 requests a
// second spends half a hundredth of a core on them.
const constructionBound = 11

// constructionAllocations is what the dearest host has, IMDS with 37 where a variable moves it, and
// a few for a variable or two that somebody sets.
const constructionAllocations = 40

// measureConstruction is NewCredential and a hit with it, as services do that make a credential per
// request.
func measureConstruction(ctx context.Context, short bool, say func(string)) (section, error) {
	f := &fake{}
	url, stop, err := f.listen()
	if err != nil {
		return section{}, err
	}
	defer stop()
	options := policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}
	mine := func(n int) error {
		for range n {
			cred, err := identity.NewCredential(nil)
			if err != nil {
				return err
			}
			if _, err := cred.GetToken(ctx, options); err != nil {
				return err
			}
		}
		return nil
	}
	// with a Transport: on IMDS a miss must not send a packet to its address
	theirs := func(n int) error {
		for range n {
			cred, err := newAzidentity(f)
			if err != nil {
				return err
			}
			if _, err := cred.GetToken(ctx, options); err != nil {
				return err
			}
		}
		return nil
	}
	least := contender{theLimit, leastConstruction(options)}

	s := section{
		title: "Construction",
		text: []string{
			"A new credential, and a hit with it on the cache that the process shares. The limit reads " +
				"the variables by which a host is recognised, and does the least hit. On IMDS without a " +
				"variable a file of Azure Arc's agent is looked for, too; that row has no hit, because the " +
				"token would have to come from IMDS itself. azidentity's workload identity credential shares " +
				"no cache, so that each new one asks Entra: its row, too, has no hit. The aim is 5 µs; what " +
				"is judged is the ratio to the limit, which takes 0.45 µs on a quiet machine like this one, " +
				"because the same machine takes up to twice as long for both when it is busy.",
			"What it costs: reading 15 to 30 variables (each takes a lock and a copy in os.Getenv), " +
				"parsing and checking the endpoint's URL, checking the IDs letter by letter, and one look " +
				"into the shared cache under its lock, which every new credential's first call takes. " +
				"Workload identity is the dearest: it checks four variables and two URLs, and has a view for " +
				"each tenant. Keeping the last credential's parts for the next would save most of it, and " +
				"would be a second cache to be wrong.",
		},
		tables: []table{{head: []string{"host", ours, "its quickest tenth", azIdentity,
			"ratio of azidentity to ours", "the limit", "ratio to the limit", "allocations of ours"}}},
	}
	row := func(name string, share float64, contenders ...contender) error {
		say(name)
		before := f.requests.Load()
		t, err := takeTurns(ctx, roundsOf(short), append(contenders, least)...)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		allocs := testing.AllocsPerRun(20, func() { err = contenders[0].run(1) })
		if n := f.requests.Load() - before; err != nil || n > 2 {
			return fmt.Errorf("%s: %d requests, and error %v: the cache isn't shared", name, n, err)
		}
		s.tables[0].rows = append(s.tables[0].rows,
			[]string{name, nanoseconds(t.ns(ours)), nanoseconds(quickest(t[ours])),
				nanoseconds(t.ns(azIdentity)), ratio(t.ratio(azIdentity, ours)),
				nanoseconds(t.ns(theLimit)), ratio(t.ratio(ours, theLimit)), figure(allocs)})
		s.verdicts = append(s.verdicts, verdict{what: "construction beside azidentity's, " + name,
			got: t.ratio(ours, azIdentity), bound: share, inShort: ratioInShort * share, unit: "x",
			why: "it has less to set up; twice as much as today would show"})
		s.verdicts = append(s.verdicts, verdict{what: "construction beside the limit, " + name,
			got: t.ratio(ours, theLimit), bound: constructionBound,
			inShort: ratioInShort * constructionBound, unit: "x",
			why: "5 µs where the limit takes 0.45 µs"})
		s.verdicts = append(s.verdicts, verdict{what: "allocations of a construction, " + name,
			got: allocs, bound: constructionAllocations,
			why: "a second look at the environment or a parser more would show"})
		return nil
	}

	setAppService(url)
	if err := row("App Service", 0.5, contender{ours, mine},
		contender{azIdentity, theirs}); err != nil {
		return s, err
	}
	setHost("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
	if err := row("IMDS, where a variable says", 0.5, contender{ours, mine},
		contender{azIdentity, theirs}); err != nil {
		return s, err
	}
	setHost()
	if err := row("IMDS, without a hit", 0.5, contender{ours, onlyNew(func() error {
		_, err := identity.NewCredential(nil)
		return err
	})},
		contender{azIdentity, onlyNew(func() error {
			_, err := newAzidentity(f)
			return err
		})}); err != nil {
		return s, err
	}
	stopEntra, err := fakeEntra(f)
	if err != nil {
		return s, err
	}
	defer stopEntra()
	if _, err := onlyHit(ctx, options); err != nil {
		s.text = append(s.text,
			"Workload identity was not measured: this system doesn't let a process choose the authorities "+
				"that it trusts.")
		return s, nil
	}
	return s, row("workload identity", 0.8, contender{ours, mine},
		contender{azIdentity, onlyNew(func() error {
			_, err := azidentity.NewWorkloadIdentityCredential(nil)
			return err
		})})
}

func onlyHit(ctx context.Context, options policy.TokenRequestOptions) (string, error) {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		return "", err
	}
	t, err := cred.GetToken(ctx, options)
	return t.Token, err
}

func onlyNew(make func() error) func(n int) error {
	return func(n int) error {
		for range n {
			if err := make(); err != nil {
				return err
			}
		}
		return nil
	}
}

// leastConstruction is what no construction can leave out.
func leastConstruction(options policy.TokenRequestOptions) func(n int) error {
	hit := oneHit(newLimit(options.Scopes), options.Scopes[0])
	return func(n int) error {
		for range n {
			set := 0
			for _, name := range hostVariables {
				if os.Getenv(name) != "" {
					set++
				}
			}
			if set > len(hostVariables) {
				return errNotHeld
			}
			if err := hit(1); err != nil {
				return err
			}
		}
		return nil
	}
}
