package identity

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

// TestBodyCanBeReadTwice: net/http asks for another copy of a body, when a redirect comes, while
// the first may still be on its way.
func TestBodyCanBeReadTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := credentialAt(t,
			environmentOf(inCloudShell), transportFunc(func(r *http.Request) (*http.Response, error) {
				half := make([]byte, 5)
				if _, err := io.ReadFull(r.Body, half); err != nil {
					return nil, err
				}
				again, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				whole, _ := io.ReadAll(again)
				rest, _ := io.ReadAll(r.Body)
				if got := string(half) + string(rest); got != string(whole) ||
					got != "resource=https%3A%2F%2Fvault.azure.net" {
					t.Errorf("the body is %q, its copy %q", got, whole)
				}
				return respond(200, grantBody("t", time.Hour)), nil
			}))
		mustToken(t, cred)
	})
}

// TestCloudShellAsIMDS: Cloud Shell answers the requests of IMDS as well, for a program that is
// told to ask there. Its refusals have another shape than those of IMDS, and are recognised all the
// same.
func TestCloudShellAsIMDS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewCloudShell(nil)
		env := environmentOf(map[string]string{envAuthority: "http://localhost:50342"})
		cred := credentialAt(t, env, ep)
		tk, _ := mustToken(t, cred)
		if cred.Host() != HostIMDS ||
			string(token.ClaimsOf(tk.Token).OID) != ep.Identities()[0].ObjectID {
			t.Errorf("%s: got the token %s", cred.Host(), tk.Token)
		}
		ep.Enqueue(identitytest.Response{Status: 400})
		e, _ := mustFail(t, credentialAt(t, env, ep))
		wantErrorText(t, e, "400 AudienceNotSupported")
		if errors.Is(e, ErrUnavailable) || errors.Is(e, ErrIdentityNotFound) || e.Attempts != 1 {
			t.Errorf("got %v", e)
		}
	})
}
