package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// realStorm plays a storm with the library itself, inside a bubble: each process is a credential
// with a Transport, and so a cache, of its own. Its jitter can't be seeded.
func realStorm(s storm) (stormOutcome, error) {
	imds := identitytest.NewIMDS(&identitytest.Options{RateLimit: true})
	for range s.n {
		imds.Enqueue(identitytest.Response{Delay: s.service[0] +
			rand.N(max(s.service[1]-s.service[0], 1))})
	}
	o := stormOutcome{n: s.n}
	var mu sync.Mutex
	var group sync.WaitGroup
	var problem error
	begin := time.Now()
	for range s.n {
		options := &identity.CredentialOptions{Host: identity.HostIMDS}
		options.Transport = transportFunc(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			o.requests = append(o.requests, time.Since(begin))
			mu.Unlock()
			return imds.Do(r)
		})
		cred, err := identity.NewCredential(options)
		if err != nil {
			return o, err
		}
		group.Go(func() {
			time.Sleep(rand.N(max(s.start, 1)))
			_, err := cred.GetToken(context.Background(),
				policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.failed++
				problem = err
				return
			}
			o.tokens = append(o.tokens, time.Since(begin))
		})
	}
	group.Wait()
	o.own = len(o.requests)
	slices.Sort(o.tokens)
	if len(o.tokens) == 0 {
		return o, problem
	}
	return o, nil
}

// transportFunc is a function as a Transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// realStorms plays a storm with the library some times, on virtual time, with a random start every
// other time.
func realStorms(n, runs int) ([]stormOutcome, error) {
	return inBubble(func() (all []stormOutcome, err error) {
		for run := range runs {
			s := typical(n, backOff{}, 0)
			s.start = time.Duration(run%2) * 100 * time.Millisecond
			o, err := realStorm(s)
			if err != nil {
				return nil, fmt.Errorf("storm of %d processes on virtual time: %w", n, err)
			}
			all = append(all, o)
		}
		return all, nil
	})
}
