package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

// shellEndpoint is where Cloud Shell has it.
const shellEndpoint = "http://localhost:50342/oauth2/token"

func shellEnvironment() environment {
	return environmentOf(map[string]string{"MSI_ENDPOINT": shellEndpoint})
}

// posted is a request with its body, as it was sent.
type posted struct {
	*http.Request
	body string
}

// wireFormatOfForm is wireFormat with the length and the body.
func wireFormatOfForm(p posted) string {
	return wireFormat(p.Request, "") + fmt.Sprintf("(length %d)\n\n%s\n", p.ContentLength, p.body)
}

// posting notes requests with their bodies, then asks reply.
func posting(seen *[]posted, reply func(n int) *http.Response) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		body := ""
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			body = string(b)
		}
		*seen = append(*seen, posted{r, body})
		return reply(len(*seen)), nil
	}
}

// checkShellRequest compares a request with what MSAL sends:
//
//	https://github.com/AzureAD/microsoft-authentication-library-for-go/blob/main/apps/managedidentity/cloud_shell.go
func checkShellRequest(tb testing.TB, p posted, endpoint, body string) {
	tb.Helper()
	if p.Method != "POST" || p.URL.String() != endpoint {
		tb.Errorf("request is %s %s, want POST %s: no api-version, nothing in the query", p.Method, p.URL,
			endpoint)
	}
	if p.body != body {
		tb.Errorf("body is %q, want %q", p.body, body)
	}
	if p.ContentLength != int64(len(body)) || len(p.TransferEncoding) != 0 {
		tb.Errorf("length is %d, transfer encoding %q, want %d and none: chunked, the endpoint may not read it", p.ContentLength, p.TransferEncoding, len(body))
	}
	if got := p.Header.Get("Content-Length"); got != "" && got != fmt.Sprint(len(body)) {
		tb.Errorf("Content-Length is %s, want %d", got, len(body))
	}
	for name, want := range map[string][]string{"Metadata": {"true"}, "Content-Type": {"application/x-www-form-urlencoded"}} {
		if diff := cmp.Diff(want, p.Header[name]); diff != "" {
			tb.Errorf("%s header (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"Secret", "X-Identity-Header", "Authorization"} {
		if p.Header.Get(name) != "" {
			tb.Errorf("the request has a %s header", name)
		}
	}
}

func TestCloudShellRequest(t *testing.T) {
	t.Parallel()
	var seen []posted
	cred := credentialAt(t, shellEnvironment(), posting(&seen, func(int) *http.Response {
		return respond(200, grantBody("opaque", time.Hour))
	}))
	mustToken(t, cred)
	if len(seen) != 1 {
		t.Fatalf("%d requests, want 1", len(seen))
	}
	checkShellRequest(t, seen[0], shellEndpoint, "resource=https%3A%2F%2Fvault.azure.net")
	compareGolden(t, "cloudshell/user.golden", wireFormatOfForm(seen[0]))
}

// TestCloudShellResources: whatever the resource, it is one parameter and comes back as it was.
func TestCloudShellResources(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		"https://management.azure.com", "https://management.azure.com/", "https://database.windows.net//",
		guid, "api://" + guid + "?a=b&resource=c", "https://example.com/+%20;x#y",
		"https://bücher.example",
	} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			var seen []posted
			cred := credentialAt(t, shellEnvironment(), posting(&seen, func(int) *http.Response {
				return respond(200, grantBody("opaque", time.Hour))
			}))
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}}); err != nil {
				t.Fatal(err)
			}
			form, err := url.ParseQuery(seen[0].body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(url.Values{"resource": {resource}}, form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if seen[0].ContentLength != int64(len(seen[0].body)) {
				t.Errorf("length is %d, the body's %d", seen[0].ContentLength, len(seen[0].body))
			}
		})
	}
}

// TestCloudShellBodyAtEveryTry: a body that was read to its end by the first try would leave the
// second one empty.
func TestCloudShellBodyAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen []posted
		mustToken(t, credentialAt(t, shellEnvironment(), posting(&seen, func(n int) *http.Response {
			if n < 4 {
				return respond(503, `{"error":{"code":"x","message":"y"}}`)
			}
			return respond(200, grantBody("opaque", time.Hour))
		})))
		if len(seen) != 4 {
			t.Fatalf("%d requests, want 4", len(seen))
		}
		for _, p := range seen {
			checkShellRequest(t, p, shellEndpoint, "resource=https%3A%2F%2Fvault.azure.net")
		}
	})
}

// TestCloudShellOverAConnection: what net/http makes of it.
func TestCloudShellOverAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewCloudShell(nil)
		mustToken(t, credentialAt(t, environmentAt(ep, "http://localhost:50342"), ep.Client()))
		requests := ep.Requests()
		if len(requests) != 1 {
			t.Fatalf("%d requests, want 1", len(requests))
		}
		r := requests[0]
		if got := r.Header.Get("Content-Length"); r.ContentLength != int64(len("resource=https%3A%2F%2Fvault.azure.net")) || len(r.TransferEncoding) != 0 || got == "" {
			t.Errorf("length %d, Content-Length %q, transfer encoding %q", r.ContentLength, got,
				r.TransferEncoding)
		}
	})
}

func TestCloudShellEndpointForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, endpoint, want string }{
		{"usual", "http://localhost:50342/oauth2/token", "http://localhost:50342/oauth2/token"},
		{"trailing slash", "http://localhost:50342/oauth2/token/",
			"http://localhost:50342/oauth2/token/"},
		{"no path", "http://localhost:50342", "http://localhost:50342"},
		{"IPv6", "http://[::1]:50342/oauth2/token", "http://[::1]:50342/oauth2/token"},
		{"its own query", "http://localhost:50342/oauth2/token?a=b",
			"http://localhost:50342/oauth2/token?a=b"},
		{"a selector", "http://localhost:50342/oauth2/token?client_id=a&clientid=b&keep=c",
			"http://localhost:50342/oauth2/token?keep=c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen []posted
			mustToken(t, credentialAt(t, environmentOf(map[string]string{"MSI_ENDPOINT": tt.endpoint}),
				posting(&seen, func(int) *http.Response {
					return respond(200, grantBody("opaque", time.Hour))
				})))
			checkShellRequest(t, seen[0], tt.want, "resource=https%3A%2F%2Fvault.azure.net")
		})
	}
}

// TestCloudShellReadsItsVariableAtEveryRequest, and at every try.
func TestCloudShellReadsItsVariableAtEveryRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &variables{values: map[string]string{"MSI_ENDPOINT": "http://localhost:1111/oauth2/token"}}
		var seen []posted
		cred := credentialAt(t, v.environment(), posting(&seen, func(n int) *http.Response {
			if n == 2 {
				v.set("MSI_ENDPOINT", "http://localhost:3333/third")
				return respond(503, `{"error":{"code":"x","message":"y"}}`)
			}
			return respond(200, grantBody("opaque", 24*time.Hour))
		}))
		mustToken(t, cred)
		v.set("MSI_ENDPOINT", "http://localhost:2222/second")
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range seen {
			host := p.Host
			if host == "" {
				host = p.URL.Host
			}
			got = append(got, host+" "+p.URL.String()+" "+p.body)
		}
		want := []string{
			"localhost:1111 http://localhost:1111/oauth2/token resource=https%3A%2F%2Fvault.azure.net",
			"localhost:2222 http://localhost:2222/second resource=https%3A%2F%2Fanother.example",
			"localhost:3333 http://localhost:3333/third resource=https%3A%2F%2Fanother.example",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		v.set("MSI_ENDPOINT", "http://user:pa55word@localhost/")
		_, err := cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://third.example/.default"}})
		wantErrorText(t, err, "MSI_ENDPOINT: ")
		if err != nil && strings.Contains(err.Error(), "pa55word") {
			t.Errorf("error repeats a secret: %v", err)
		}
		if len(seen) != 3 {
			t.Errorf("%d requests, want no more than 3", len(seen))
		}
		mustToken(t, cred) // the one that is held
	})
}

// TestSecretThatAppearsOnCloudShell: the kind of host is decided when the credential is made. A
// variable that appears later, as in a shell that a person types into, doesn't change what is sent.
func TestSecretThatAppearsOnCloudShell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &variables{values: map[string]string{"MSI_ENDPOINT": shellEndpoint}}
		var seen []posted
		cred := credentialAt(t, v.environment(), posting(&seen, func(int) *http.Response {
			return respond(200, grantBody("opaque", 24*time.Hour))
		}))
		v.set("MSI_SECRET", "the-secret")
		mustToken(t, cred)
		checkShellRequest(t, seen[0], shellEndpoint, "resource=https%3A%2F%2Fvault.azure.net")
		if got := cred.Host(); got != HostCloudShell {
			t.Errorf("Host() is %q", got)
		}
	})
}

func TestCloudShellRefusals(t *testing.T) {
	t.Parallel()
	const (
		who  = "identity: Cloud Shell: "
		rest = " (token for https://vault.azure.net, 1 attempt, 0s)"
		not  = "Audience https://vault.azure.net is not a supported MSI token audience."
	)
	for _, tt := range []refusal{
		{"audience not supported", 400, "cloudshell/audience-not-supported.json", nil, nil,
			who + `400 AudienceNotSupported "` + not + `"` + rest +
				": Cloud Shell has tokens for some resources only: run az login, and then this with AZURE_TOKEN_CREDENTIALS=AzureCLICredential and NewDefaultCredential", nil, "AudienceNotSupported", not, ""},
		{"another code", 400,
			`{"error":{"code":"BadRequest","message":"Required metadata header not specified"}}`, nil, nil,
			who + `400 BadRequest "Required metadata header not specified"` + rest +
				": the request came without the header Metadata that it was made with: did a policy or the Transport in CredentialOptions remove it?", nil, "BadRequest", "Required metadata header not specified", ""},
		{"a page with 400", 400, "<html>Bad Request</html>", nil, nil,
			who + `400 "<html>Bad Request</html>"` + rest, nil, "", "<html>Bad Request</html>", ""},
		{"404 without a word", 404, "", nil, nil,
			who + "404: without a word, from " + shellEndpoint + rest, nil, "", "", ""},
		{"throttled", 429, `{"error":{"code":"TooManyRequests","message":"slow down"}}`, nil, nil,
			who + `429 TooManyRequests "slow down"` +
				rest, ErrThrottled, "TooManyRequests", "slow down", ""},
		{"server error", 500, `{"error":{"code":"InternalServerError","message":"oops"}}`, nil, nil,
			who + `500 InternalServerError "oops"` + rest, nil, "InternalServerError", "oops", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, shellEnvironment()) })
	}
}

// TestBodyCanBeReadTwice: net/http asks for another copy of a body, when a redirect comes, while
// the first may still be on its way.
func TestBodyCanBeReadTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := credentialAt(t,
			environmentOf(map[string]string{"MSI_ENDPOINT": "http://localhost:50342/oauth2/token"}), transportFunc(func(r *http.Request) (*http.Response, error) {
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
