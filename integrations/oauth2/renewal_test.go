package identityoauth2

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
	"golang.org/x/oauth2"
)

type newClient = func(*testing.T, *api, azcore.TokenCredential) *http.Client

// clients are what can be made of a credential for the same service.
var clients = map[string]newClient{
	"oauth2.NewClient": func(t *testing.T, a *api, cred azcore.TokenCredential) *http.Client {
		return a.client(t.Context(), TokenSource(t.Context(), cred, scope))
	},
	"oauth2.Transport": func(t *testing.T, a *api, cred azcore.TokenCredential) *http.Client {
		return &http.Client{Transport: &oauth2.Transport{
			Source: TokenSource(t.Context(), cred, scope), Base: a}}
	},
	"ReuseTokenSourceWithExpiry": func(
		t *testing.T, a *api, cred azcore.TokenCredential,
	) *http.Client {
		return a.client(t.Context(), oauth2.ReuseTokenSourceWithExpiry(nil,
			TokenSource(t.Context(), cred, scope), 4*time.Minute))
	},
	"naive: the real end": func(
		t *testing.T, a *api, cred azcore.TokenCredential,
	) *http.Client {
		return a.client(t.Context(), naiveRealEnd{t.Context(), cred})
	},
	"naive: captured": func(t *testing.T, a *api, cred azcore.TokenCredential) *http.Client {
		return a.client(t.Context(), naiveStatic(t, cred))
	},
}

// naive says whether a client is an example of how not to do it.
func naive(name string) bool { return strings.HasPrefix(name, "naive") }

// failures are how many requests of a service fail in 3 days, with one each 5 minutes. IMDS is
// down for 20 minutes around the end of the first token.
func failures(t *testing.T, name string) (failed int, a *api) {
	t.Helper()
	ep := identitytest.NewIMDS(nil)
	a = new(api)
	client := clients[name](t, a, onIMDS(t, ep))
	start := time.Now()
	outage := start.Add(24*time.Hour - 10*time.Minute)
	for time.Since(start) < 72*time.Hour {
		if !time.Now().Before(outage) {
			ep.Enqueue(identitytest.Response{
				Status: http.StatusServiceUnavailable, For: 20 * time.Minute})
			outage = outage.Add(1000 * time.Hour)
		}
		if get(t.Context(), client) != nil {
			failed++
		}
		time.Sleep(5 * time.Minute)
	}
	return failed, a
}

// TestOutageAtTheEnd: the cache of oauth2.NewClient asks for a renewal 10 s before the Expiry. With
// the real end as Expiry an outage in that moment is the service's.
func TestOutageAtTheEnd(t *testing.T) {
	t.Parallel()
	for name := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failed, a := failures(t, name)
				if naive(name) != (failed > 0) {
					t.Errorf("%d of 864 requests failed", failed)
				}
				if !naive(name) && len(a.tokens) < 4 {
					t.Errorf("%d tokens in 3 days, want one each half a day", len(a.tokens))
				}
			})
		})
	}
}

// TestRenewalIsSeen: whatever stands in front of the source, the service sees another token within
// seconds of its RefreshOn, and not at the end of the first one.
func TestRenewalIsSeen(t *testing.T) {
	t.Parallel()
	seen := func(t *testing.T, name string) (after, due time.Duration) {
		a, cred := new(api), onIMDS(t, identitytest.NewIMDS(nil))
		client := clients[name](t, a, cred)
		start := time.Now()
		for len(a.tokens) < 2 {
			if err := get(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			if due == 0 {
				due = cred.Status().Resources[0].RefreshOn.Sub(start)
			}
			if now := time.Since(start); now < due-time.Minute || now > due+time.Minute {
				time.Sleep(30*time.Second + min(max(due-2*time.Minute-now, 0), 10*time.Minute))
			}
			if now := time.Since(start); now > due+time.Hour {
				time.Sleep(5 * time.Minute)
			}
			time.Sleep(time.Second)
		}
		return time.Since(start), due
	}
	for name := range clients {
		if naive(name) {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			if after, due := seen(t, name); after > due+5*time.Second {
				t.Errorf("%s: the second token came after %v, and was due after %v", name, after, due)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if after, due := seen(t, "naive: the real end"); after < due+10*time.Hour {
			t.Errorf("the naive source's second token came after %v: this test shows nothing", after)
		}
	})
}

// TestEnd: in a long outage the token is served to its real end, also by the cache in front.
func TestEnd(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"oauth2.NewClient", "oauth2.Transport"} {
		synctest.Test(t, func(t *testing.T) {
			ep, a := identitytest.NewIMDS(nil), new(api)
			client := clients[name](t, a, onIMDS(t, ep))
			start := time.Now()
			if err := get(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			ep.Enqueue(identitytest.Response{Status: http.StatusServiceUnavailable, For: 48 * time.Hour})
			for get(t.Context(), client) == nil {
				if time.Since(start) < 24*time.Hour-5*time.Minute {
					time.Sleep(4 * time.Minute)
				}
				time.Sleep(500 * time.Millisecond)
			}
			if len(a.tokens) != 1 || time.Now().Before(a.ends[0]) {
				t.Errorf("%s: %d tokens, and the first failure %v before the end", name, len(a.tokens),
					time.Until(a.ends[0]))
			}
			time.Sleep(2 * time.Minute) // for the acquisition that is under way
		})
	}
}

// TestOwnTokens: a token is the caller's own, since ReuseTokenSourceWithExpiry writes to it.
func TestOwnTokens(t *testing.T) {
	t.Parallel()
	source := TokenSource(t.Context(), onIMDS(t, identitytest.NewIMDS(nil)), scope)
	var done []chan struct{}
	for range 4 {
		wrapped := oauth2.ReuseTokenSourceWithExpiry(nil, source, time.Minute)
		end := make(chan struct{})
		done = append(done, end)
		go func() {
			defer close(end)
			if token, err := wrapped.Token(); err != nil || !token.Valid() {
				t.Errorf("got %v", err)
			}
		}()
	}
	for _, end := range slices.Backward(done) {
		<-end
	}
	first, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := source.Token(); first == second || first.AccessToken != second.AccessToken {
		t.Error("two callers have the same *oauth2.Token, or different tokens")
	}
}
