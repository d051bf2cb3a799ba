package identityoauth2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"golang.org/x/oauth2"
)

func TestToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		if err := cred.Ready(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
		source := TokenSource(t.Context(), cred, scope)
		token, err := source.Token()
		if err != nil || !token.Valid() || token.Type() != "Bearer" || token.RefreshToken != "" {
			t.Fatalf("no valid bearer token: %v", err)
		}
		if token.ExpiresIn != 24*60*60 {
			t.Errorf("expires in %d s, want a day", token.ExpiresIn)
		}
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests, want the one of Ready", n)
		}
	})
}

// TestOneRequest: a hundred callers without a token are one request.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Delay: time.Second})
		source := TokenSource(t.Context(), onIMDS(t, ep), scope)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := source.Token(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestHangingHost: Token has no context, so the source ends the wait. What is written by hand with
// context.Background doesn't.
func TestHangingHost(t *testing.T) {
	t.Parallel()
	wait := func(source oauth2.TokenSource) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := source.Token()
			done <- err
		}()
		return done
	}
	synctest.Test(t, func(t *testing.T) {
		select {
		case err := <-wait(TokenSource(t.Context(), hanging(), scope)):
			if !errors.Is(err, context.DeadlineExceeded) ||
				!strings.Contains(err.Error(), "no token for "+scope+" within 30s") {
				t.Errorf("got %v", err)
			}
		case <-time.After(limit + time.Second):
			t.Error("no answer after 30 s")
		}
		end, cancel := context.WithCancel(context.Background()) // context.Background itself would leak
		naive := wait(naiveRealEnd{end, hanging()})
		select {
		case err := <-naive:
			t.Errorf("the naive source got %v: this test shows nothing", err)
		case <-time.After(time.Hour):
		}
		cancel()
		<-naive
	})
}

// TestEndedContext: a context that was meant for the start-up, say, is named in the error.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	source := TokenSource(ctx, hanging(), scope)
	cancel()
	_, err := source.Token()
	if !errors.Is(err, context.Canceled) ||
		!strings.Contains(err.Error(), "context that TokenSource") {
		t.Errorf("got %v", err)
	}
}

// TestFailures: the credential's own error arrives, and a token that is of no use is an error.
func TestFailures(t *testing.T) {
	t.Parallel()
	returns := func(token string, end time.Time) credFunc {
		return func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			return azcore.AccessToken{Token: token, ExpiresOn: end}, nil
		}
	}
	const prefix = "identityoauth2: the credential returned "
	for name, tt := range map[string]struct {
		cred azcore.TokenCredential
		want string
	}{
		"nil":    {nil, "identityoauth2: nil credential"},
		"empty":  {returns("", time.Now().Add(time.Hour)), prefix + "an empty token for " + scope},
		"ended":  {returns("x", time.Now()), prefix + "a token for " + scope + " that ended at"},
		"no end": {returns("x", time.Time{}), "that ended at 0001-01-01"}, // would be for ever
	} {
		token, err := TokenSource(t.Context(), tt.cred, scope).Token()
		if err == nil || token != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	for status, passing := range map[int]bool{
		http.StatusTooManyRequests: true, http.StatusBadRequest: false} {
		synctest.Test(t, func(t *testing.T) {
			ep, a := identitytest.NewIMDS(nil), new(api)
			ep.Enqueue(identitytest.Response{Status: status, For: time.Hour})
			client := a.client(t.Context(), TokenSource(t.Context(), onIMDS(t, ep), scope))
			err := get(t.Context(), client)
			ae, ok := errors.AsType[*identity.AuthenticationError](err)
			if !ok || ae.Host != identity.HostIMDS || identity.Passing(err) != passing {
				t.Errorf("got %v", err)
			}
			time.Sleep(2 * time.Minute) // for the acquisition that is under way
		})
	}
}

// holder is a credential that is a value, so that printing what holds it prints its token.
type holder struct{ token string }

func (h holder) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if !o.EnableCAE || len(o.Scopes) != 1 || o.Scopes[0] != scope {
		return azcore.AccessToken{}, fmt.Errorf("asked with %+v", o)
	}
	return azcore.AccessToken{Token: h.token, ExpiresOn: time.Now().Add(-time.Second)}, nil
}

// TestCanary: no token in an error, and nothing of the credential in a log.
func TestCanary(t *testing.T) {
	t.Parallel()
	const canary = "eyJ0eXAi.canary.token"
	source := TokenSource(t.Context(), holder{canary}, scope)
	_, err := source.Token() // of a token that has ended
	text := fmt.Sprintf("%v %+v %s %q %v %+v", source, source, source, source, err, err)
	if err == nil || strings.Contains(text, canary) || strings.Contains(text, "asked with") ||
		strings.Count(text, scope) != 6 {
		t.Errorf("got %s", text)
	}
}
