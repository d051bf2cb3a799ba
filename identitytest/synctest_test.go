package identitytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity/identitytest"
)

// A service gets its token, and then the host is down for half a day. This test takes milliseconds.
func TestServiceOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(nil)
		credential := newCredential(endpoint, policy.RetryOptions{})
		first, err := credential.GetToken(t.Context(), vault)
		if err != nil {
			t.Fatal(err)
		}

		time.Sleep(11 * time.Hour)
		endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
		for range 11 { // up to 22 h after the start: the token is due for renewal, which fails
			time.Sleep(time.Hour)
			begin := time.Now()
			token, err := credential.GetToken(t.Context(), vault)
			if err != nil {
				t.Fatalf("%v before the end: %v", time.Until(first.ExpiresOn), err)
			}
			if token.Token != first.Token {
				t.Errorf("%v before the end: got a new token from a host that is down",
					time.Until(first.ExpiresOn))
			}
			if waited := time.Since(begin); waited > 0 {
				t.Errorf("%v before the end: waited %v for a token that is held", time.Until(first.ExpiresOn),
					waited)
			}
		}
		if n := len(endpoint.Requests()); n < 2 {
			t.Errorf("got %d requests, want attempts to renew", n)
		}

		time.Sleep(90 * time.Minute) // the outage has ended, the token hasn't
		if _, err := credential.GetToken(t.Context(), vault); err != nil {
			t.Fatal(err)
		}
		if err := endpoint.Settle(t.Context()); err != nil { // after the renewal behind it
			t.Fatal(err)
		}
		renewed, err := credential.GetToken(t.Context(), vault)
		if err != nil {
			t.Fatal(err)
		}
		if renewed.Token == first.Token {
			t.Error("got the old token after the outage, want it renewed")
		}
	})
}
