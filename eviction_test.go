package identity

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// fill asks for n more resources, one a minute.
func fill(t *testing.T, cred *Credential, name string, n int, between func()) (failed int) {
	t.Helper()
	for i := range n {
		time.Sleep(time.Minute)
		if _, err := cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://%s-%d/.default", name,
				i)}}); err != nil {
			failed++
		}
		between()
	}
	return failed
}

// TestNothingValidIsDroppedForAFailure: with a full store and a host that is down, failures are
// remembered beside the tokens, up to a limit of their own, and leave first.
func TestNothingValidIsDroppedForAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep, func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
		cred.tokens.limit = 100
		fill(t, cred, "held", 100, func() {})
		sent := len(ep.Requests())
		ep.Enqueue(identitytest.Response{Status: 400, Delay: time.Second},
			identitytest.Response{Status: 400, For: time.Hour})
		slow := policy.TokenRequestOptions{Scopes: []string{"https://slow/.default"}}
		go func() { _, _ = cred.GetToken(t.Context(), slow) }()
		synctest.Wait()
		for i := range 500 {
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://new-%d/.default",
					i)}}); err == nil {
				t.Fatal("got a token of a host that is down")
			}
			if n := cred.tokens.store.ItemCount(); n > 100+10+2 {
				t.Fatalf("the store holds %d keys, want at most the 100 tokens, 10 failures and 2 more",
					n)
			}
		}
		if n := len(ep.Requests()) - sent; n != 501 {
			t.Errorf("%d requests for 501 new resources", n)
		}
		_, err := cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://new-499/.default"}})
		if n := len(ep.Requests()) - sent; err == nil || n != 501 {
			t.Errorf("a failure is forgotten beside a full store: %d requests, want the 501", n)
		}
		_, _ = cred.GetToken(t.Context(), slow) // which joins its flight
		if n := len(ep.Requests()) - sent; n != 501 {
			t.Errorf("a key with a flight was dropped: %d requests, want the 501", n)
		}
		sent = len(ep.Requests())
		if failed := fill(t, cred, "held", 100, func() {}); failed != 0 || len(ep.Requests()) != sent {
			t.Errorf("%d of 100 valid tokens are gone", failed)
		}
		time.Sleep(time.Hour)
		fill(t, cred, "later", 10, func() {})
		valid := 0
		for _, r := range cred.Status().Resources {
			if time.Now().Before(r.ExpiresOn) {
				valid++
			}
		}
		if valid != 100 {
			t.Errorf("%d tokens are held, want 100", valid)
		}
	})
}

// TestFullStoreDropsWhatWasUsedLongestAgo: however old a token is that is in use, and however soon
// it ends.
func TestFullStoreDropsWhatWasUsedLongestAgo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		cred.tokens.limit = 50
		vault := func() {
			if _, took := mustToken(t, cred); took != 0 {
				t.Fatalf("a token in constant use was dropped: another one took %v", took)
			}
		}
		mustToken(t, cred)
		fill(t, cred, "once", 40, vault)
		fill(t, cred, "other", 200, vault)
		synctest.Wait()
		requests := 0
		for _, r := range ep.Requests() {
			if r.URL.Query().Get("resource") == "https://vault.azure.net" {
				requests++
			}
		}
		if requests != 1 {
			t.Errorf("%d requests for a token in constant use, want 1", requests)
		}
		if n := cred.tokens.store.ItemCount(); n > 50 || n < 45 {
			t.Errorf("the store holds %d keys, want up to 50", n)
		}
	})
}

// TestMomentaryTokens: a host whose tokens end at once is asked for one a second, and each caller
// has one that is valid.
func TestMomentaryTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		at := &arrivals{next: transportFunc(momentary)}
		cred := onIMDS(t, at)
		start := time.Now()
		for time.Since(start) < 10*time.Second {
			if _, took := mustToken(t, cred); took > time.Second+10*time.Millisecond {
				t.Errorf("a caller has waited for %v", took)
			}
			time.Sleep(time.Millisecond)
		}
		if n := len(at.times()); n < 9 || n > 11 {
			t.Errorf("%d requests in 10 s, want one a second", n)
		}
	})
}

// momentary answers after 5 ms with a token that has 20 ms to live.
func momentary(*http.Request) (*http.Response, error) {
	time.Sleep(5 * time.Millisecond)
	return respond(200, fmt.Sprintf(`{"access_token":"t","expires_on":"%f","token_type":"Bearer"}`,
		float64(time.Now().Add(20*time.Millisecond).UnixMicro())/1e6)), nil
}
