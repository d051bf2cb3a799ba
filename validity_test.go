package identity

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// whim is a host that is up, slow, throttling or down for a while each, and grants tokens that live from 20 s to 24 h.
type whim struct {
	mu     sync.Mutex
	random *rand.Rand
	until  time.Time // the mood lasts
	mood   int
	issued int
	ends   time.Time // of the token that was granted last, which it may repeat
}

// between is a time whose logarithm is uniformly distributed: as many seconds as hours.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), random.Float64()))
}

func (w *whim) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	if !time.Now().Before(w.until) {
		w.mood, w.until = w.random.IntN(9), time.Now().Add(between(w.random, time.Second, 4*time.Hour))
	}
	mood, delay, life := w.mood, between(w.random, time.Millisecond, time.Minute), between(w.random, 20*time.Second, 24*time.Hour)
	repeats, refresh := w.random.IntN(3) == 0, w.random.IntN(3) == 0
	w.mu.Unlock()
	switch mood {
	case 0:
		return respond(503, imdsError), nil
	case 1:
		return respond(429, imdsError, "Retry-After", "7"), nil
	case 2:
		return respond(400, `{"error":"invalid_request"}`), nil
	case 3:
		return nil, syscall.ECONNREFUSED
	case 4, 5:
		if err := lasts(r.Context(), delay); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); !repeats || w.ends.Before(now.Add(20*time.Second)) {
		w.issued++
		w.ends = now.Add(life)
	}
	more := ""
	if refresh {
		more = fmt.Sprintf(`,"refresh_in":%d`, w.random.IntN(86400))
	}
	return respond(200, fmt.Sprintf(`{"access_token":"token-%d","expires_on":%d%s}`, w.issued, w.ends.Unix(), more)), nil
}

// TestValidity: whatever the host does and whenever it is asked, no call brings a token that has expired, and while a valid
// one is held none brings an error, or waits, but for 2 s at most where the token is about to end, or is doubted.
func TestValidity(t *testing.T) {
	runs, calls := 60, 150
	if testing.Short() {
		runs = 10
	}
	for run := range runs {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, &whim{random: rand.New(rand.NewPCG(seed, 0))})
				var group sync.WaitGroup
				callers := 1 + run%3
				for caller := range callers {
					random := rand.New(rand.NewPCG(seed, 1+uint64(caller)))
					group.Go(func() {
						for range calls {
							time.Sleep(between(random, time.Millisecond, 3*time.Hour))
							if callers == 1 && random.IntN(20) == 0 {
								shiftClock(cred, time.Duration(random.IntN(121)-60)*time.Minute)
							}
							callOnce(t, cred, random)
						}
					})
				}
				group.Wait()
				if t.Failed() {
					t.Logf("the host's and the callers' seed: %d", seed)
				}
			})
		})
	}
}

// callOnce is a call of one kind or another, judged by what was held before.
func callOnce(t *testing.T, cred *Credential, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), between(random, time.Nanosecond, time.Hour))
	defer cancel()
	before, began := heldFor(cred, vaultScope), time.Now()
	if before != nil && before.due.After(before.token.ExpiresOn) {
		t.Errorf("a hit would outlive its token: due at %v, ends at %v", before.due, before.token.ExpiresOn)
	}
	kind := "GetToken"
	options := policy.TokenRequestOptions{Scopes: []string{vaultScope}}
	get := func() (azcore.AccessToken, error) { return cred.GetToken(ctx, options) }
	switch random.IntN(20) {
	case 0:
		kind, options.Claims = "GetToken with claims", `{"access_token":{}}`
	case 1:
		kind, get = "Refresh", func() (azcore.AccessToken, error) { tk, _, err := cred.Refresh(ctx, vaultScope); return tk, err }
	case 2:
		cred.tokens.doubt(&cred.view, vaultScope)
		before = heldFor(cred, vaultScope)
	}
	tk, err := get()
	now := time.Now()
	took := now.Sub(began)
	switch {
	case err == nil && !now.Before(tk.ExpiresOn):
		t.Errorf("%s brought a token that ended %v ago", kind, now.Sub(tk.ExpiresOn))
	case kind != "GetToken" || before == nil || !now.Before(before.token.ExpiresOn):
		return // a failure of these is an error, and so is one without a valid token
	case err != nil:
		t.Errorf("an error while a token is held that has %v to live: %v", before.token.ExpiresOn.Sub(now), err)
	case took > expiringWait, took > 0 && began.Before(before.expiring):
		t.Errorf("waited %v with a token that had %v to live, expiring in %v", took, before.token.ExpiresOn.Sub(began), before.expiring.Sub(began))
	}
}

// heldFor is what the store holds for a scope, valid or not; nil for nothing.
func heldFor(cred *Credential, scope string) *held {
	cred.tokens.mu.Lock()
	defer cred.tokens.mu.Unlock()
	if e, ok := cred.tokens.store.Get(cred.view.identity + resourceOf(scope)); ok {
		return e.(*entry).held.Load()
	}
	return nil
}
