package main

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// ourMost is how many keys a cache of this library holds.
const ourMost = 10_000

// scopesOf makes n scopes.
func scopesOf(n int) []string {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://resource-%06d.azure.net/.default", i)
	}
	return scopes
}

// fillOurs makes as many credentials as it takes to hold a token for each scope, with caches of
// their own, and returns the one that holds the scope in the middle, with all its scopes.
func fillOurs(
	ctx context.Context, scopes []string, transport *fake,
) (cred azcore.TokenCredential, its []string, all []azcore.TokenCredential, err error) {
	for begin := 0; begin < len(scopes); begin += ourMost {
		part := scopes[begin:min(begin+ourMost, len(scopes))]
		c, err := newOurs(transport)
		if err != nil {
			return nil, nil, nil, err
		}
		all = append(all, c)
		ask := hits(c, part)
		// once to acquire, once to bring the index of hits up to date
		if err := ask(2 * len(part)); err != nil {
			return nil, nil, nil, err
		}
		if err := ask(65); err != nil { // what is left over of the last merge
			return nil, nil, nil, err
		}
		if begin <= len(scopes)/2 {
			cred, its = c, part
		}
	}
	return cred, its, all, nil
}

// fillMSAL puts tokens for the scopes into MSAL's cache, which is azidentity's, too. Claims keep it
// from searching the cache each time first, which would take minutes.
func fillMSAL(ctx context.Context, client managedidentity.Client, scopes []string) error {
	for _, scope := range scopes {
		if _, err := client.AcquireToken(ctx, scope, managedidentity.WithClaims("{}")); err != nil {
			return err
		}
	}
	return nil
}

// awsByScope is what a user of AWS's cache does who needs more than one.
func awsByScope(ctx context.Context, scopes []string) (map[string]*aws.CredentialsCache, error) {
	caches := make(map[string]*aws.CredentialsCache, len(scopes))
	for _, scope := range scopes {
		caches[scope] = aws.NewCredentialsCache(awsProvider(madeUp))
		if _, err := caches[scope].Retrieve(ctx); err != nil {
			return nil, err
		}
	}
	return caches, nil
}

func awsMapHit(caches map[string]*aws.CredentialsCache, scope string) func(n int) error {
	ctx := context.Background()
	return func(n int) error {
		for range n {
			if _, err := caches[scope].Retrieve(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// holding is one number of tokens: what a hit costs then.
type holding struct {
	n     int
	turns turns
}

// measureTokens is a hit with ever more tokens held.
func measureTokens(ctx context.Context, short bool, say func(string)) (section, error) {
	setAppService(nowhere)
	counts := []int{1, 10, 100, 1_000, 10_000, 100_000}
	rounds, each := 100, 60
	if short {
		counts, rounds, each = []int{1, 100, scale.tokens}, min(25, scale.short), min(30, scale.short)
	}
	transport := &fake{}
	azid, err := newAzidentity(transport)
	if err != nil {
		return section{}, err
	}
	m, err := newMSAL(transport)
	if err != nil {
		return section{}, err
	}
	most := counts[len(counts)-1]
	scopes := scopesOf(most)
	first, _, _, err := fillOurs(ctx, scopes[:1], transport)
	if err != nil {
		return section{}, err
	}
	var holdings []holding
	flat := map[int]float64{} // number of tokens -> ours beside ours with one
	for i, n := range counts {
		say(fmt.Sprintf("%s tokens held", figure(float64(n))))
		filled := 0
		if i > 0 {
			filled = counts[i-1]
		}
		if err := fillMSAL(ctx, m, scopes[filled:n]); err != nil {
			return section{}, err
		}
		scope := scopes[n/2]
		cred, _, _, err := fillOurs(ctx, scopes[:n], transport)
		if err != nil {
			return section{}, err
		}
		caches, err := awsByScope(ctx, scopes[:n])
		if err != nil {
			return section{}, err
		}
		t, err := takeTurns(ctx, rounds,
			contender{theLimit, oneHit(newLimit(scopes[:n]), scope)},
			contender{ours, oneHit(cred, scope)},
			contender{awsCache, awsMapHit(caches, scope)},
			contender{"one", oneHit(first, scopes[0])})
		if err != nil {
			return section{}, err
		}
		// They search: with many tokens a hit of theirs clears the processor's caches, so that they don't
		// take turns with the others.
		slow, err := takeTurns(ctx, min(rounds, max(10, 300_000/n)),
			contender{azIdentity, oneHit(azid, scope)}, contender{msal, msalHit(m, scope)})
		if err != nil {
			return section{}, err
		}
		t[azIdentity], t[msal] = slow[azIdentity], slow[msal]
		flat[n] = t.ratio(ours, "one")
		holdings = append(holdings, holding{n, t})
	}
	turn, err := eachInTurn(ctx, each, transport, say)
	if err != nil {
		return section{}, err
	}
	return tokensSection(holdings, flat, turn), nil
}

// eachInTurn asks for each of 10,000 tokens, one after the other, so that memory is part of the
// picture.
func eachInTurn(ctx context.Context, rounds int, transport *fake, say func(string)) (turns, error) {
	say("each of 10,000 in turn")
	scopes := scopesOf(scale.tokens)
	cred, _, _, err := fillOurs(ctx, scopes, transport)
	if err != nil {
		return nil, err
	}
	return takeTurns(ctx, rounds, contender{theLimit, hits(newLimit(scopes), scopes)},
		contender{ours, hits(cred, scopes)})
}
