package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// realStorm plays a storm with the library itself, inside a bubble: each process is a credential with a Transport, and so a
// cache, of its own. Its jitter can't be seeded.
func realStorm(s storm) (stormOutcome, error) {
	imds := identitytest.NewIMDS(&identitytest.Options{RateLimit: true})
	for range s.n {
		imds.Enqueue(identitytest.Response{Delay: s.service[0] + rand.N(max(s.service[1]-s.service[0], 1))})
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
			_, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
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

// bubbleVariable makes this program play storms on virtual time and end, with its value as the order: how many processes,
// and how many runs. testing/synctest runs only inside the testing package, whose Main ends the program.
const bubbleVariable = "IDENTITY_BENCH_STORM"

func init() {
	var n, runs int
	if _, err := fmt.Sscan(os.Getenv(bubbleVariable), &n, &runs); err != nil {
		return
	}
	os.Args = os.Args[:1] // testing.Main reads flags
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "storm", F: func(t *testing.T) {
		var all []played
		synctest.Test(t, func(t *testing.T) {
			for run := range runs {
				s := typical(n, backOff{}, 0)
				s.start = time.Duration(run%2) * 100 * time.Millisecond
				o, err := realStorm(s)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, played{o.failed, o.tokens, o.requests})
			}
		})
		if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
			t.Fatal(err)
		}
	}}}, nil, nil)
}

// played is a stormOutcome on its way to the parent.
type played struct {
	Failed           int
	Tokens, Requests []time.Duration
}

// realStorms plays a storm with the library some times, with a random start every other time, in a process of its own.
func realStorms(ctx context.Context, n, runs int) ([]stormOutcome, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", bubbleVariable, n, runs))
	child.Stderr = os.Stderr
	output, err := child.Output()
	if err != nil {
		return nil, fmt.Errorf("storm of %d processes on virtual time: %w: %.500s", n, err, output)
	}
	var all []played
	if err := json.NewDecoder(bytes.NewReader(output)).Decode(&all); err != nil { // the testing package's PASS follows
		return nil, fmt.Errorf("storm of %d processes on virtual time: %w", n, err)
	}
	outcomes := make([]stormOutcome, len(all))
	for i, p := range all {
		outcomes[i] = stormOutcome{n: n, failed: p.Failed, tokens: p.Tokens, requests: p.Requests, own: len(p.Requests)}
	}
	return outcomes, nil
}
