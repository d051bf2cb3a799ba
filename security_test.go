package identity

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TestCallersChooseNoEndpoint: whatever a caller's scope, tenant and claims are, a request goes
// where the host is, and the scope is one parameter of it; or there is none.
func TestCallersChooseNoEndpoint(t *testing.T) {
	scopes := []string{
		"https://evil.example", "//evil.example", "http://169.254.169.254/latest", "..", "../../evil",
		"/", "?", "#", "@evil.example",
		"x?resource=https://evil.example", "x&resource=evil&client_id=evil", "x;resource=evil", "x#evil",
		"%2e%2e%2fevil", "x%0d%0aHost:evil.example",
		"x\r\nHost: evil.example", "x\x00", "-", "--help", "$(evil)", "`evil`", `"evil`, "'evil", "é",
	}
	tenants := []string{
		"", "evil.example", "evil.example/x", "..", ".", "../evil", "evil?x", "evil#x",
		"evil@evil.example", "%2e%2e", "evil\r\nHost: evil.example", "-evil", `\evil`, "//evil.example",
	}
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t, once, func(o *CredentialOptions) {
			o.AdditionallyAllowedTenants = []string{"*"}
		})
		mustToken(t, cred)
		base := s.ep.Requests()[0].URL
		for _, tenant := range tenants {
			for _, scope := range scopes {
				before := len(s.ep.Requests())
				_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope},
					TenantID: tenant, Claims: `{"access_token":{"x":{"value":"` + "é&resource=evil" + `"}}}`})
				for _, r := range s.ep.Requests()[before:] {
					path := base.Path
					if s.host == HostWorkloadIdentity && tenant != "" {
						path = strings.Replace(path, fakeTenant, tenant, 1)
					}
					if r.URL.Host != base.Host || r.Host != base.Host || r.URL.Scheme != base.Scheme ||
						r.URL.Path != path || strings.Contains(r.URL.EscapedPath(), "%") ||
						strings.Contains(path, "..") {
						t.Errorf("scope %q, tenant %q: the request went to %s (Host %s), want %s%s", scope, tenant,
							r.URL, r.Host, base.Host, path)
					}
					parameter, want := "resource", scope
					values := r.URL.Query()
					if s.posts {
						values = formOf(t, r)
					}
					if s.host == HostWorkloadIdentity {
						parameter, want = "scope", scope+defaultSuffix
					}
					if got := values[parameter]; len(got) != 1 || got[0] != want || values.Has("evil") ||
						strings.Contains(values.Get(s.client), "evil") {
						t.Errorf("scope %q, tenant %q: the parameters are %v, want one %s", scope, tenant, values,
							parameter)
					}
				}
			}
		}
		if n := len(s.ep.Requests()); n < 10 {
			t.Errorf("%d requests in all: hardly anything was tried", n)
		}
	})
}

func formOf(t *testing.T, r *http.Request) url.Values {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		t.Errorf("the form %q: %v", body, err)
	}
	return values
}

// TestSuccessIsNotShown: an answer of 2xx may be a token in some wrapping. Nothing of it is in an
// error but its type and whose it is.
func TestSuccessIsNotShown(t *testing.T) {
	const opaque = canary + "-opaque"
	for _, env := range []environment{nowhere(), appServiceAt()} {
		for _, status := range []int{200, 201, 202, 203, 204, 206, 299} {
			for _, body := range []string{
				opaque, `"` + opaque + `"`, `{"value":"` + opaque + `"}`,
				`{"access_token":{"t":"` + opaque + `"}}`,
				`{"access_token":["` + opaque + `"],"expires_in":"1"}`,
				`{"access_token":"` + opaque + `"}`,
				`{"access_token":"` + opaque + `","expires_in":"` + opaque + `"}`,
				`{"access_token":"` + opaque + `\n","expires_in":60}`,
				`{"access_token":"` + opaque + `","expires_on":1}{`,
				`{"access_token":"` + opaque + `","expires_in":60,"token_type":"` + opaque + `"}`,
				`{"error":"` + opaque + `","error_description":"` + opaque + `"}`, "<html>" + opaque,
			} {
				t.Run(fmt.Sprint(env.getenv(envEndpoint), " ", status, " ", body), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						e, _ := mustFail(t, credentialAt(t, env, always(status, body), once))
						text := fmt.Sprintf("%v %+v %#v", e, *e, e)
						if e.RawResponse != nil {
							raw, _ := io.ReadAll(e.RawResponse.Body)
							text += fmt.Sprintf("%+v %s", e.RawResponse, raw)
						}
						if strings.Contains(text, canary) {
							t.Errorf("the error shows the answer: %s", text)
						}
					})
				})
			}
		}
	}
}
