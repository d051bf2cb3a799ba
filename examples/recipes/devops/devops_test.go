package devops_test

import (
	"net/http"
	"testing"

	"github.com/keyless-go/identity/examples/recipes/devops"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
)

const (
	organization = "https://dev.azure.com/contoso/_apis/projects"
	elsewhere    = "https://packages.example.com/artifact"
)

// naiveTransport is what is written by hand: one token for ever, sent wherever a request goes, and
// set in the caller's own request.
type naiveTransport struct {
	token string
	base  http.RoundTripper
}

func (n naiveTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+n.token)
	return n.base.RoundTrip(r)
}

// TestClient calls a service that takes this moment's token only, and that redirects downloads to
// another host.
func TestClient(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	leaked := false
	base := standin.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == "packages.example.com":
			leaked = r.Header.Get("Authorization") != ""
		case r.Header.Get("Authorization") != "Bearer "+azure.Token(t, devops.Scope):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/contoso/_apis/artifact":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		}
	}, "dev.azure.com", "packages.example.com")
	ours := devops.Client(azure.Credential, base)
	naive := &http.Client{Transport: naiveTransport{azure.Token(t, devops.Scope), base}}

	status := func(client *http.Client, url string) int {
		t.Helper()
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for name, client := range map[string]*http.Client{"ours": ours, "naive": naive} {
		if got := status(client, organization); got != http.StatusOK {
			t.Errorf("%s: %d, want 200", name, got)
		}
		leaked = false
		if got := status(client, "https://dev.azure.com/contoso/_apis/artifact"); got != 200 {
			t.Errorf("%s: a redirect ends in %d, want 200", name, got)
		}
		if want := name == "naive"; leaked != want {
			t.Errorf("%s: another host got the token: %v, want %v", name, leaked, want)
		}
	}
	azure.Rotate(t, devops.Scope)
	if got := status(ours, organization); got != http.StatusOK {
		t.Errorf("after the token ended: %d, want 200", got)
	}
	if got := status(naive, organization); got != http.StatusUnauthorized {
		t.Errorf("naive, after the token ended: %d, want 401: it has the first token for ever", got)
	}
}
