package identity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// What the documentation says of the cache, which has its own tests.
const (
	expiringWindow = 5 * time.Minute
	expiringWait   = 2 * time.Second
	overtime       = time.Second
	keepExpired    = time.Hour

	renewalCoolDown    = 5 * time.Second
	maxRenewalCoolDown = 30 * time.Second
	coldCoolDown       = time.Second
	maxColdCoolDown    = 10 * time.Second
)

// outages are the ways in which a host can be down, each until further notice.
var outages = []struct {
	name string
	down identitytest.Response
}{
	{"503", identitytest.Response{Status: 503}},
	{"429", identitytest.Response{Status: 429}},
	{"404", identitytest.Response{Status: 404}},
	{"410", identitytest.Response{Status: 410}},
	{"400", identitytest.Response{Status: 400}},
	{"refused", identitytest.Response{Err: syscall.ECONNREFUSED}},
	{"gateway's page", identitytest.Response{Status: 502, Body: "<html>Bad Gateway</html>"}},
	{"hangs", identitytest.Response{Status: 503, Delay: time.Hour}},
}

func TestOutageCoveredByADaysToken(t *testing.T) {
	for _, from := range []time.Duration{time.Second, 12 * time.Hour} {
		for _, tt := range outages {
			t.Run(fmt.Sprintf("%s from %v", tt.name, from), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					const up = 23*time.Hour + 59*time.Minute
					ep := identitytest.NewIMDS(nil)
					cred := onIMDS(t, ep)
					start := time.Now()
					first, _ := mustToken(t, cred)
					time.Sleep(from)
					down := tt.down
					down.For = up - from
					ep.Enqueue(down)
					before := len(ep.Requests())
					var worst time.Duration
					for time.Since(start) < up {
						_, took := mustToken(t, cred)
						worst = max(worst, took)
						time.Sleep(17 * time.Second)
					}
					if limit := expiringWait; worst > limit {
						t.Errorf("a caller waited %v during the outage, want at most %v", worst, limit)
					}
					if n, hours := len(ep.Requests())-before, (up - from).Hours(); float64(n) > 240*hours+150 { // one in 15 s, more at the end
						t.Errorf("%d requests in an outage of %.0f hours: not a trickle", n, hours)
					}
					renewed := time.Duration(-1)
					for range 60 {
						tk, _ := mustToken(t, cred)
						if tk.ExpiresOn.After(first.ExpiresOn) {
							renewed = time.Since(start) - up
							break
						}
						time.Sleep(time.Second)
					}
					if renewed < 0 || renewed > time.Minute {
						t.Errorf("renewed %v after recovery, want within a minute", renewed)
					}
				})
			})
		}
	}
}

func TestOneRequestPerIdentityAndResource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{System: true}, {ClientID: "one"}, {ClientID: "two"}}})
		shared := newShared()
		var creds []*Credential
		for i := range 20 {
			options := &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: ep}}
			switch i % 3 {
			case 1:
				options.ID = ClientID("one")
			case 2:
				options.ID = ClientID([]string{"two", "TWO"}[i%2])
			}
			cred, err := newCredentialIn(shared, options, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			creds = append(creds, cred)
		}
		ep.Enqueue(identitytest.Response{Delay: 3 * time.Second, For: time.Hour})
		scopes := []string{vaultScope, "https://vault.azure.net", "https://management.azure.com/.default", "https://management.azure.com//.default"}
		var wg sync.WaitGroup
		var failed atomic.Int64
		for i := range 1000 {
			wg.Go(func() {
				if _, err := creds[i%20].GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scopes[rand.N(len(scopes))]}}); err != nil {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if failed.Load() != 0 {
			t.Errorf("%d of 1,000 callers failed", failed.Load())
		}
		// Three identities, three resources: the vault's scope with and without suffix is one, the slash makes another.
		if got, want := len(ep.Requests()), 9; got != want {
			t.Errorf("got %d requests, want %d", got, want)
		}
	})
}

func TestCallersLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Delay: 10 * time.Second})
		start := time.Now()
		leaderCtx, cancelLeader := context.WithCancelCause(t.Context())
		cause := errors.New("the leader's reason")
		var wg sync.WaitGroup
		wg.Go(func() { // the leader
			_, err := getToken(leaderCtx, cred)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
				t.Errorf("leader got %v, want context.Canceled and its cause", err)
				return
			}
			if got := time.Since(start); got != 5*time.Second {
				t.Errorf("leader left after %v, want 5s", got)
			}
			if !strings.Contains(err.Error(), "503") {
				t.Errorf("leader's error does not say what the host answered so far: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // impatient
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := getToken(ctx, cred)
			var ae *AuthenticationError
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ae) {
				t.Errorf("impatient caller got %v, want an AuthenticationError with context.DeadlineExceeded", err)
			} else if ae.Host != HostIMDS || ae.Resource != "https://vault.azure.net" || ae.Endpoint == "" {
				t.Errorf("its error lacks who was asked for what: %+v", ae)
			}
			if got := time.Since(start); got != 50*time.Millisecond {
				t.Errorf("impatient caller left after %v, want 50ms", got)
			}
		})
		for range 10 {
			wg.Go(func() {
				if _, err := getToken(t.Context(), cred); err != nil {
					t.Errorf("a patient caller got %v", err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		cancelLeader(cause)
		wg.Wait()
		if got := len(ep.Requests()); got != 2 {
			t.Errorf("got %d requests, want 2", got)
		}
	})
}

// TestCoolDowns: the cache learns what the host asks for, and that it is well again.
func TestCoolDowns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429,
			Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"17"}}, For: time.Second})
		log := &arrivals{next: ep}
		cred := onIMDS(t, log, func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		poll(ctx, cred, 10*time.Millisecond)
		at := log.times()
		if len(at) != 2 || at[1].Sub(at[0]) < 17*time.Second || at[1].Sub(at[0]) > 18*time.Second {
			t.Errorf("asked at %v, want twice, 17 s apart", at)
		}
	})
}

// sameCache makes another credential that shares the first one's tokens.
func sameCache(tb testing.TB, first *Credential, transport policy.Transporter, adjust ...func(*CredentialOptions)) *Credential {
	tb.Helper()
	options := &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: transport}}
	for _, f := range adjust {
		f(options)
	}
	cred, err := newCredentialIn(sharedOf(first), options, nowhere())
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// sharedOf is what a credential with a Transport of its own shares with nobody.
func sharedOf(cred *Credential) *shared {
	s := newShared()
	s.tokens = cred.tokens
	s.nodes[nodeKey(cred.hosted.host)] = cred.hosted.node
	return s
}

func TestRefreshIn(t *testing.T) {
	for _, tt := range []struct {
		name      string
		refreshIn string
		low, high time.Duration
	}{
		{name: "honoured", refreshIn: `"7200"`, low: 2 * time.Hour, high: 2 * time.Hour},
		{name: "as a number", refreshIn: `43200`, low: 12 * time.Hour, high: 12 * time.Hour},
		{name: "later than half", refreshIn: `80000`, low: 80000 * time.Second,
			high: 80000 * time.Second},
		{name: "not before 30 s", refreshIn: `1`, low: 30 * time.Second, high: 30 * time.Second},
		{name: "beyond the end", refreshIn: `90000`, low: 648 * time.Minute,
			high: 792 * time.Minute},
		{name: "zero", refreshIn: `0`, low: 648 * time.Minute, high: 792 * time.Minute},
		{name: "negative", refreshIn: `-5`, low: 648 * time.Minute, high: 792 * time.Minute},
		{name: "empty", refreshIn: `""`, low: 648 * time.Minute, high: 792 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
					return respond(200, `{"access_token":"t","expires_in":86400,"refresh_in":`+tt.refreshIn+`}`), nil
				}))
				tk, _ := mustToken(t, cred)
				if got := time.Until(tk.RefreshOn); got < tt.low || got > tt.high {
					t.Errorf("RefreshOn is in %v, want from %v to %v", got, tt.low, tt.high)
				}
			})
		})
	}
}

func TestExpiredTokenIsNeverReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		first, _ := mustToken(t, cred)
		ep.Enqueue(identitytest.Response{Status: 400, For: 25 * time.Hour})
		time.Sleep(time.Until(first.ExpiresOn) - time.Nanosecond)
		mustToken(t, cred)
		time.Sleep(time.Nanosecond)
		mustFail(t, cred)
	})
}

// TestRenewalIsASingleTry, whatever CredentialOptions.Retry says, while the held token outlives an
// acquisition. After that it is asked for as for a caller who has none.
func TestRenewalIsASingleTry(t *testing.T) {
	for name, adjust := range map[string]func(*CredentialOptions){
		"defaults": func(*CredentialOptions) {},
		"MaxRetries": func(o *CredentialOptions) {
			o.Retry.MaxRetries, o.Retry.StatusCodes = 5, []int{503}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				cred := onIMDS(t, ep, adjust)
				first, _ := mustToken(t, cred)
				time.Sleep(time.Until(first.RefreshOn))
				ep.Enqueue(identitytest.Response{Status: 503, For: 24 * time.Hour})
				mustToken(t, cred)
				time.Sleep(2 * time.Minute)
				if n := len(ep.Requests()); n != 2 {
					t.Errorf("%d requests for a renewal that has hours, want a single try", n-1)
				}
				time.Sleep(time.Until(first.ExpiresOn) - time.Minute)
				before := len(ep.Requests())
				mustToken(t, cred)
				time.Sleep(30 * time.Second)
				if n := len(ep.Requests()) - before; n < 3 {
					t.Errorf("%d requests for a renewal in the last minute, want several", n)
				}
			})
		})
	}
}

func TestHitAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	cred := onIMDS(t, &answerDirectly{})
	ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: []string{vaultScope}}
	for range 3 {
		if _, err := cred.GetToken(ctx, options); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(ctx, options) }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
}
