package identity

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

// TestCloudShellResources: whatever the resource, it is one parameter and comes back as it was.
func TestCloudShellResources(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		"https://management.azure.com", "https://management.azure.com/", "https://database.windows.net//",
		guid, "api://" + guid + "?a=b&resource=c", "https://example.com/+%20;x#y",
		"https://bücher.example",
	} {
		var sent []posted
		cred := answering(t, environmentOf(inCloudShell), &sent, grants)
		if _, err := cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}}); err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(sent[0].body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(url.Values{"resource": {resource}}, form); diff != "" {
			t.Errorf("%s: form (-want +got):\n%s", resource, diff)
		}
	}
}

// TestCloudShellBodyAtEveryTry: a body that was read to its end by the first try would leave the
// second one empty. A secret that appears after the start, as in a shell that a person types into,
// doesn't change what is sent either.
func TestCloudShellBodyAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &variables{values: maps.Clone(inCloudShell)}
		var sent []posted
		cred := answering(t, v.environment(), &sent, func(n int) *http.Response {
			v.set("MSI_SECRET", "the-secret")
			if n < 4 {
				return respond(503, codedProblem("x", "y"))
			}
			return grants(n)
		})
		mustToken(t, cred)
		if len(sent) != 4 || cred.Host() != HostCloudShell {
			t.Errorf("%d requests to %s, want 4", len(sent), cred.Host())
		}
		for _, p := range sent {
			compareGolden(t, "cloudshell/user.golden", p.golden())
		}
	})
}

// TestCloudShellOverAConnection: what net/http makes of it.
func TestCloudShellOverAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewCloudShell(nil)
		mustToken(t, credentialAt(t, environmentAt(ep, "http://localhost:50342"), ep.Client()))
		for _, r := range ep.Requests() {
			if r.ContentLength != int64(len("resource=https%3A%2F%2Fvault.azure.net")) ||
				len(r.TransferEncoding) != 0 || r.Header.Get("Content-Length") == "" {
				t.Errorf("length %d, transfer encoding %q", r.ContentLength, r.TransferEncoding)
			}
		}
	})
}

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
		env := environmentOf(map[string]string{"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://localhost:50342"})
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
