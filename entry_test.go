package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

func TestCoolDownIsJittered(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 100 {
		now := time.Now()
		wait := coolDown(errors.New("x"), 3, &held{expiring: now.Add(time.Hour)}, &flight{started: now, once: true}, now)
		if wait < 15*time.Second || wait > 30*time.Second {
			t.Errorf("cool-down is %v, want 15 to 30 s", wait)
		}
		seen[wait] = true
		if wait := coolDown(errors.New("x"), 3, &held{expiring: now}, &flight{}, now); wait > 10*time.Second {
			t.Errorf("cool-down is %v in the last minutes of a token, want at most 10 s", wait)
		}
	}
	if len(seen) < 50 {
		t.Errorf("100 cool-downs have %d values: processes would ask in step", len(seen))
	}
}

// TestCoolDownIsMonotonic: a step of the wall clock must not stretch it. A bubble's clock has no monotonic reading.
func TestCoolDownIsMonotonic(t *testing.T) {
	t.Parallel()
	cred := onIMDS(t, always(400, imdsError))
	_, _ = mustFail(t, cred)
	for _, item := range cred.tokens.store.Items() {
		if cooling := item.Object.(*entry).cooledUntil(); !strings.Contains(cooling.String(), "m=") {
			t.Errorf("cooling is %v, without a monotonic reading", cooling)
		}
	}
	g, err := token.Parse([]byte(`{"access_token":"t","expires_in":3600}`), time.Now())
	if err != nil || strings.Contains(g.ExpiresOn.String(), "m=") {
		t.Errorf("ends at %v (%v): with a monotonic reading it would outlive a suspend", g.ExpiresOn, err)
	}
	held := newHeld(grantFrom(g), nil, time.Now())
	if strings.Contains(held.due.String(), "m=") || strings.Contains(held.expiring.String(), "m=") {
		t.Error("a renewal time has a monotonic reading: it would not move on while the machine is suspended")
	}
}

// TestSuccessResetsTheCoolDown: whichever cool-down that was, all callers' or those of one credential's own options.
func TestSuccessResetsTheCoolDown(t *testing.T) {
	for _, tt := range []struct {
		name string
		held bool // there is a token, which is to be renewed
		ill  identitytest.Response
	}{
		{"without a token", false, identitytest.Response{Status: 500, For: 30 * time.Second}},
		{"a renewal", true, identitytest.Response{Status: 500, For: 30 * time.Second}},
		{"said by the host", false, identitytest.Response{Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"9"}}, For: 30 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				cred := onIMDS(t, ep, func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
				if tt.held {
					tk, _ := mustToken(t, cred)
					time.Sleep(time.Until(tk.RefreshOn))
				}
				remembered := func() (n int) {
					for _, item := range cred.tokens.store.Items() {
						n += failuresOf(item.Object.(*entry))
					}
					return n
				}
				ep.Enqueue(tt.ill)
				for range 1250 {
					_, _ = getToken(t.Context(), cred)
					time.Sleep(20 * time.Millisecond)
				}
				if n := remembered(); n < 2 {
					t.Fatalf("%d failures are remembered in an outage", n)
				}
				for range 400 { // it is well again in 5 s, and asked after another 30 at the latest
					_, _ = getToken(t.Context(), cred)
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				if n := remembered(); n != 0 {
					t.Errorf("%d failures are remembered after a success", n)
				}
			})
		})
	}
}

func TestEvictedKeyIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		cred.tokens.limit = 10
		scopes := scopesOf(50)
		for _, scope := range scopes {
			for range 3 { // the second look-up puts it into the index
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		served := 0
		for _, scope := range scopes {
			if cred.hit(&policy.TokenRequestOptions{Scopes: []string{scope}}) != nil {
				served++
			}
		}
		if served > 10 || served == 0 {
			t.Errorf("%d keys are served from the index, of which the store holds at most 10", served)
		}
		if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes[:1]}); err != nil || len(ep.Requests()) != 51 {
			t.Errorf("a key that was pushed out: %v, %d requests, want it asked for again", err, len(ep.Requests()))
		}
	})
}

// TestKeyWithAFlightStays in the store however full it is, so that nobody starts another.
func TestKeyWithAFlightStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		cred.tokens.limit = 20
		ep.Enqueue(identitytest.Response{Delay: 30 * time.Second})
		for range 2 {
			go func() { _, _ = getToken(t.Context(), cred) }()
			synctest.Wait()
			for _, scope := range scopesOf(100) {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustToken(t, cred)
		vault := 0
		for _, r := range ep.Requests() {
			if r.URL.Query().Get("resource") == "https://vault.azure.net" {
				vault++
			}
		}
		if vault != 1 {
			t.Errorf("%d requests for the vault's token, want 1", vault)
		}
	})
}

func TestRepeatedTokenKeepsExpiring(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{HostCache: true})
		cred := onIMDS(t, ep)
		first, _ := mustToken(t, cred)
		time.Sleep(time.Until(first.ExpiresOn) - 8*time.Minute)
		mustToken(t, cred) // the host repeats it, with less than 10 minutes to live
		synctest.Wait()
		time.Sleep(time.Until(first.ExpiresOn) - 3*time.Minute)
		ep.Enqueue(identitytest.Response{Delay: 10 * time.Second})
		if _, took := mustToken(t, cred); took != expiringWait {
			t.Errorf("took %v, want the wait of a long-lived token near its end", took)
		}
	})
}

func TestExpiredTokenIsKeptForAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		first, _ := mustToken(t, cred)
		ep.Enqueue(identitytest.Response{Status: 400, For: 48 * time.Hour})
		time.Sleep(time.Until(first.ExpiresOn) + 50*time.Minute)
		_, _ = mustFail(t, cred)
		shiftClock(cred, -time.Hour) // the clock was an hour fast, and is set right
		if tk, _ := mustToken(t, cred); tk.Token != first.Token {
			t.Error("the token was lost")
		}
	})
}

func TestCacheKeys(t *testing.T) {
	t.Parallel()
	const id = "/same"
	imdsAt := func(base string) environment { return environmentOf(map[string]string{envAuthority: base}) }
	seen := map[string]string{}
	for _, tt := range []struct {
		name string
		env  environment
		id   ID
	}{
		{"system", nowhere(), nil},
		{"client", nowhere(), ClientID("same")},
		{"another client", nowhere(), ClientID("other")},
		{"object", nowhere(), ObjectID("same")},
		{"resource", nowhere(), ResourceID(id)},
		{"elsewhere", imdsAt("http://127.0.0.1:1"), nil},
		{"elsewhere by port", imdsAt("http://127.0.0.1:2"), nil},
		{"App Service", appServiceAt(), nil},
	} {
		cred, err := newCredential(&CredentialOptions{ID: tt.id}, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[cred.view.identity]; other != "" {
			t.Errorf("%s and %s share tokens", tt.name, other)
		}
		seen[cred.view.identity] = tt.name
	}
}

func TestLimitsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	if c := newCache(); c.limit != 10_000 || c.limit/aloftShare != 1000 {
		t.Errorf("limit is %d keys, %d flights", c.limit, c.limit/aloftShare)
	}
	if maxConcurrent != 5 || expiringWait != 2*time.Second {
		t.Error("a documented constant has changed: say so where it is documented")
	}
}

func TestFiveAtOnceOverCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		transport := transportFunc(func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return respond(200, grantBody("t", time.Hour)), nil
		})
		shared := newRealm()
		for i := range 4 {
			cred, err := newCredentialIn(shared, &CredentialOptions{ID: ClientID(fmt.Sprint("id-", i)), ClientOptions: azcore.ClientOptions{Transport: transport}}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range scopesOf(5) {
				go func() {
					_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
				}()
			}
		}
		time.Sleep(10 * time.Second)
		if most.Load() != 5 {
			t.Errorf("%d requests at once to one endpoint, want 5", most.Load())
		}
	})
}

func TestAPIVersionOptionIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustToken(t, onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.APIVersion = "2025-01-01" }))
	})
}

type countingBody struct {
	io.Reader
	closed *int
}

func (b countingBody) Close() error { *b.closed++; return nil }

func TestBodiesAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opened, closed := 0, 0
		body := func(text string) io.ReadCloser {
			opened++
			return countingBody{strings.NewReader(text), &closed}
		}
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			r := respond(503, "")
			r.Body = body(imdsError)
			switch opened {
			case 2:
				return r, io.ErrClosedPipe
			case 3:
				r.StatusCode, r.Body = 200, countingBody{strings.NewReader(grantBody("t", time.Hour)), &closed}
			}
			return r, nil
		}))
		mustToken(t, cred)
		if closed != opened || opened != 3 {
			t.Errorf("%d of %d bodies were closed", closed, opened)
		}
	})
}

// TestSilenceThenSlowness: what refused the connection first gets no 40 s to answer.
func TestSilenceThenSlowness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return nil, syscall.ECONNREFUSED
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		if e, took := mustFail(t, cred); !errors.Is(e, ErrUnavailable) || took > 6*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
		}
	})
}

func TestReadyThroughThrottling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429, For: 3 * time.Minute})
		start := time.Now()
		if err := onIMDS(t, ep).Ready(t.Context(), vaultScope); err != nil || time.Since(start) > 3*time.Minute+12*time.Second {
			t.Errorf("got %v after %v, want nil soon after 3 minutes", err, time.Since(start))
		}
	})
}
