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

// TestStaleTokenWithATransportThatIgnoresItsContext: a renewal that never ends is given up, and another one starts hours before
// the token ends.
func TestStaleTokenWithATransportThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Int64
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			n := asked.Add(1)
			if n == 2 {
				time.Sleep(20 * time.Hour)
			}
			return respond(200, grantBody(fmt.Sprint("token-", n), 24*time.Hour)), nil
		}))
		first, _ := mustToken(t, cred)
		time.Sleep(time.Until(first.RefreshOn))
		for range 7 * 60 {
			if _, took := mustToken(t, cred); took != 0 {
				t.Fatalf("waited %v with a token that has hours to live", took)
			}
			time.Sleep(time.Minute)
		}
		if tk, _ := mustToken(t, cred); tk.Token != "token-3" {
			t.Errorf("7 h after a renewal has hung: got %s, want token-3", tk.Token)
		}
		time.Sleep(20 * time.Hour)
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

func TestEndedContextStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := getToken(ctx, cred); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		synctest.Wait()
		if got := len(ep.Requests()); got != 0 {
			t.Errorf("got %d requests for a caller that had left, want 0", got)
		}
		mustToken(t, cred)
		if _, err := getToken(ctx, cred); err != nil {
			t.Errorf("a held token with an ended context: %v", err)
		}
	})
}

func TestFourMinutesLeftAndTheHostDown(t *testing.T) {
	for _, tt := range outages {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				cred := onIMDS(t, ep)
				first, _ := mustToken(t, cred)
				time.Sleep(time.Until(first.ExpiresOn) - 4*time.Minute)
				down := tt.down
				down.For = 4 * time.Minute
				ep.Enqueue(down)
				waits := 0
				for time.Until(first.ExpiresOn) > 2*time.Second {
					tk, took := mustToken(t, cred)
					if tk.Token != first.Token {
						t.Fatal("got another token from a host that is down")
					}
					if took > expiringWait {
						t.Fatalf("waited %v, want at most %v", took, expiringWait)
					}
					if took > 0 {
						waits++
					}
					time.Sleep(time.Second)
				}
				// One caller waits per renewal, and there is one at most every 5 seconds.
				if waits > 48 {
					t.Errorf("%d calls waited, want few of 240", waits)
				}
			})
		})
	}
}

func TestCoolDowns(t *testing.T) {
	single := func(o *CredentialOptions) { o.Retry.MaxRetries = -1 }
	// gaps polls every 10 ms and returns the time between the requests.
	gaps := func(t *testing.T, cred *Credential, log *arrivals, n int) []time.Duration {
		t.Helper()
		for len(log.times()) < n+1 {
			_, _ = getToken(t.Context(), cred)
			time.Sleep(10 * time.Millisecond)
		}
		var gaps []time.Duration
		at := log.times()
		for i := range n {
			gaps = append(gaps, at[i+1].Sub(at[i]))
		}
		return gaps
	}
	check := func(t *testing.T, got []time.Duration, want []time.Duration) {
		t.Helper()
		for i := range want {
			if low, high := want[i]/2, want[i]+20*time.Millisecond; got[i] < low || got[i] > high {
				t.Errorf("cool-down %d was %v, want from %v to %v", i+1, got[i], low, high)
			}
		}
	}
	t.Run("without a token", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 500, For: time.Hour})
			log := &arrivals{next: ep}
			s := time.Second
			check(t, gaps(t, onIMDS(t, log, single), log, 6), []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s})
		})
	})
	t.Run("with a token", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep, single)
			mustToken(t, cred)
			time.Sleep(14 * time.Hour)
			log := &arrivals{next: ep}
			ep.Enqueue(identitytest.Response{Status: 500, For: time.Hour})
			cred = sameCache(t, cred, log, single)
			s := time.Second
			check(t, gaps(t, cred, log, 5), []time.Duration{5 * s, 10 * s, 20 * s, 30 * s, 30 * s})
		})
	})
	t.Run("Retry-After", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"17"}}, For: 20 * time.Second})
			log := &arrivals{next: ep}
			cred := onIMDS(t, log, single)
			if got := gaps(t, cred, log, 1)[0]; got < 17*time.Second || got > 18*time.Second {
				t.Errorf("asked again after %v, want 17s", got)
			}
		})
	})
	t.Run("success ends them", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 500}, identitytest.Response{Status: 500}, identitytest.Response{})
			cred := onIMDS(t, ep, single)
			for range 500 {
				_, _ = getToken(t.Context(), cred)
				time.Sleep(10 * time.Millisecond)
			}
			if got := len(ep.Requests()); got != 3 {
				t.Errorf("got %d requests, want 3", got)
			}
		})
	})
}

// sameCache makes another credential that shares the first one's tokens.
func sameCache(tb testing.TB, first *Credential, transport policy.Transporter, adjust ...func(*CredentialOptions)) *Credential {
	tb.Helper()
	cred := onIMDS(tb, transport, adjust...)
	cred.tokens, cred.sender.node = first.tokens, first.sender.node
	return cred
}

func TestRefreshIn(t *testing.T) {
	for _, tt := range []struct {
		name      string
		refreshIn string
		low, high time.Duration
	}{
		{"honoured", `"7200"`, 2 * time.Hour, 2 * time.Hour},
		{"as a number", `43200`, 12 * time.Hour, 12 * time.Hour},
		{"later than half", `80000`, 80000 * time.Second, 80000 * time.Second},
		{"not before 30 s", `1`, 30 * time.Second, 30 * time.Second},
		{"beyond the end", `90000`, 648 * time.Minute, 792 * time.Minute},
		{"zero", `0`, 648 * time.Minute, 792 * time.Minute},
		{"negative", `-5`, 648 * time.Minute, 792 * time.Minute},
		{"empty", `""`, 648 * time.Minute, 792 * time.Minute},
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
