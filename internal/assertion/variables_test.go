package assertion

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/failure"
)

// TestVariables: what is missing or can't be right is named, by the constructor and by Get, with
// what to add to the workflow.
func TestVariables(t *testing.T) {
	t.Parallel()
	const (
		hubURL, hubToken = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
		adoURL, adoToken = "SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"
		permission       = `is empty: GitHub sets it in jobs with "permissions: id-token: write"`
		mapped           = `add "env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)" to the step`
	)
	good := map[string]string{
		hubURL: "https://github.example/?a=b", hubToken: secret,
		adoURL: "https://ado.example/", adoToken: secret,
	}
	for _, tt := range []struct {
		name, variable, value, want string
	}{
		{"no URL", hubURL, "", permission},
		{"no token", hubToken, "", permission},
		{"two lines", hubToken, secret + "\n", "contains a control character"},
		{"plain http", hubURL, "http://github.example/" + jwt, "is not https: want a URL such as https://run-"},
		{"plain http in the network", hubURL, "http://10.0.0.1/", "is not https"},
		{"loopback by name", hubURL, "http://localhost:1234/", ""},
		{"loopback", hubURL, "http://[::1]:1234/", ""},
		{"a password", hubURL, "https://me:" + secret + "@github.example/", "contains user info"},
		{"no URL", adoURL, "", "is empty: is this a job of Azure Pipelines?"},
		{"no token", adoToken, "", "is empty: " + mapped},
		{"a macro", adoToken, "$(System.AccessToken)", "has the name of a variable that Azure Pipelines " +
			"doesn't know: " + mapped},
		{"blank", adoToken, " ", "is blank"},
		{"plain http", adoURL, "http://ado.example/", "is not https: want a URL such as https://dev.azure"},
		{"loopback", adoURL, "http://127.0.0.2/", ""},
	} {
		t.Run(tt.variable+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			changed := false
			getenv := func(name string) string {
				if changed && name == tt.variable {
					return tt.value
				}
				return good[name]
			}
			client := answer(http.StatusOK, `{"value":"`+jwt+`","oidcToken":"`+jwt+`"}`)
			made := func() (Source, error) { return NewGitHubActions(getenv, client) }
			if strings.HasPrefix(tt.variable, "SYSTEM") {
				made = func() (Source, error) { return NewAzurePipelines("FIELD", "c0ffee", getenv, client) }
			}
			s, err := made()
			if err != nil {
				t.Fatal(err)
			}
			before := s.Proof()
			changed = true
			_, refused := made()
			_, err = s.Get(t.Context(), Request{})
			if tt.want == "" {
				if refused != nil || err != nil {
					t.Errorf("got %v, %v", refused, err)
				}
				return
			}
			checkError(t, err, tt.variable+": "+tt.want, failure.Never, secret)
			if refused == nil || refused.Error() != err.Error() {
				t.Errorf("the constructor: got %v, want it to say %v", refused, err)
			}
			if s.Proof() == before {
				t.Error("another value of the variable proves the same")
			}
		})
	}
	for _, id := range []string{"", "a b", "a\nb"} {
		_, err := NewAzurePipelines("FIELD", id, func(name string) string { return good[name] }, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "FIELD: ") {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

// TestProofs: no two sources of this package prove the same.
func TestProofs(t *testing.T) {
	t.Parallel()
	getenv := func(string) string { return "https://localhost/" }
	seen := map[string]string{}
	for name, made := range map[string]func() (Source, error){
		"GitHub":             func() (Source, error) { return NewGitHubActions(getenv, nil) },
		"Pipelines":          func() (Source, error) { return NewAzurePipelines("F", "1", getenv, nil) },
		"another connection": func() (Source, error) { return NewAzurePipelines("F", "2", getenv, nil) },
		"a file":             func() (Source, error) { return NewFile("/1") },
		"another file":       func() (Source, error) { return NewFile("/2") },
	} {
		s, err := made()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[s.Proof()]; ok || s.Proof() == "" {
			t.Errorf("%s and %s prove the same", name, other)
		}
		seen[s.Proof()] = name
	}
}
