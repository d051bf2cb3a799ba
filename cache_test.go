package identity

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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
var outages = map[string]identitytest.Response{
	"503": {Status: 503}, "429": {Status: 429}, "404": {Status: 404}, "410": {Status: 410},
	"400":            {Status: 400},
	"refused":        {Err: syscall.ECONNREFUSED},
	"gateway's page": {Status: 502, Body: "<html>Bad Gateway</html>"},
	"hangs":          {Status: 503, Delay: time.Hour},
}

// TestOutageCoveredByADaysToken: whatever a host that is down says, no caller notices.
func TestOutageCoveredByADaysToken(t *testing.T) {
	for name, down := range outages {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const from, up = 12 * time.Hour, 23*time.Hour + 59*time.Minute
				ep := identitytest.NewIMDS(nil)
				cred := onIMDS(t, ep)
				start := time.Now()
				first, _ := mustToken(t, cred)
				time.Sleep(from)
				down.For = up - from
				ep.Enqueue(down)
				for time.Since(start) < up {
					if _, took := mustToken(t, cred); took > expiringWait {
						t.Fatalf("a caller waited %v during the outage", took)
					}
					time.Sleep(17 * time.Second)
				}
				if n := len(ep.Requests()); n > 240*12+150 { // one in 15 s, more at the end
					t.Errorf("%d requests in an outage of 12 hours: not a trickle", n)
				}
				for tk := first; !tk.ExpiresOn.After(first.ExpiresOn); tk, _ = mustToken(t, cred) {
					if time.Since(start)-up > time.Minute {
						t.Fatal("not renewed within a minute of the recovery")
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// TestOneRequestPerIdentityAndResource: the vault's scope with and without suffix is one resource,
// a slash makes another.
func TestOneRequestPerIdentityAndResource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{
			{System: true}, {ClientID: "one"}, {ClientID: "two"}}})
		shared := newShared()
		var creds []*Credential
		for _, id := range []ID{nil, ClientID("one"), ClientID("two"), ClientID("TWO"), nil} {
			cred, err := newCredentialIn(shared,
				&CredentialOptions{ID: id, ClientOptions: optionsWith(ep)}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			creds = append(creds, cred)
		}
		ep.Enqueue(identitytest.Response{Delay: 3 * time.Second, For: time.Hour})
		scopes := []string{vaultScope, "https://vault.azure.net",
			"https://management.azure.com/.default", "https://management.azure.com//.default"}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if _, err := creds[i%len(creds)].GetToken(t.Context(), policy.TokenRequestOptions{
					Scopes: []string{scopes[rand.N(len(scopes))]}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(ep.Requests()); n != 3*3 {
			t.Errorf("%d requests for 3 identities and 3 resources", n)
		}
	})
}

// TestCallersLeave, each when its own context ends, with an error that has its cause, who was
// asked, and what the host has answered so far.
func TestCallersLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Delay: 10 * time.Second})
		cause := errors.New("its own reason")
		var wg sync.WaitGroup
		for _, limit := range []time.Duration{5 * time.Second, 50 * time.Millisecond} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), limit, cause)
				defer cancel()
				start := time.Now()
				_, err := getToken(ctx, cred)
				e, ok := errors.AsType[*AuthenticationError](err)
				if !ok || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cause) ||
					!strings.Contains(err.Error(), "503") || time.Since(start) != limit ||
					e.Host != HostIMDS || e.Resource != "https://vault.azure.net" || e.Endpoint == "" {
					t.Errorf("after %v: got %+v, want that the caller has left after %v",
						time.Since(start), err, limit)
				}
			})
			synctest.Wait()
		}
		for range 10 {
			wg.Go(func() { mustToken(t, cred) })
		}
		wg.Wait()
		if n := len(ep.Requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
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
func sameCache(
	tb testing.TB, first *Credential, transport policy.Transporter, adjust ...func(*CredentialOptions),
) *Credential {
	tb.Helper()
	options := &CredentialOptions{ClientOptions: optionsWith(transport)}
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

// TestRefreshIn: the cache learns what the host says of a token's renewal.
func TestRefreshIn(t *testing.T) {
	for refreshIn, want := range map[string][2]time.Duration{
		`"7200"`: {2 * time.Hour, 2 * time.Hour},
		`43200`:  {12 * time.Hour, 12 * time.Hour},
		`-5`:     {648 * time.Minute, 792 * time.Minute},
	} {
		t.Run(refreshIn, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, always(200,
					`{"access_token":"t","expires_in":86400,"refresh_in":`+refreshIn+`}`))
				tk, _ := mustToken(t, cred)
				if got := time.Until(tk.RefreshOn); got < want[0] || got > want[1] {
					t.Errorf("RefreshOn is in %v, want from %v to %v", got, want[0], want[1])
				}
			})
		})
	}
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
