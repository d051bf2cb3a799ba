package transport

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

func TestOwnCheckRedirectIsRespected(t *testing.T) {
	t.Parallel()
	own := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("own") },
	}
	got := Options(policy.ClientOptions{}, own).Transport.(bounded).next
	if got != policy.Transporter(own) {
		t.Error("a client with a CheckRedirect of its own was replaced")
	}
}

// TestLogOfParameters: what tells a reader of azcore's log whom a request is for is shown, as is
// that a challenge is answered. The hash of a token is not.
func TestLogOfParameters(t *testing.T) {
	t.Parallel()
	shown := Options(policy.ClientOptions{}, nil).Logging.AllowedQueryParams
	for name, want := range map[string]bool{
		"xms_cc": true, "resource": true, "client_id": true, "token_sha256_to_refresh": false,
	} {
		if got := slices.Contains(shown, name); got != want {
			t.Errorf("%s is shown: %v, want %v", name, got, want)
		}
	}
}

func TestLimitsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	if nodeDialer.Timeout != time.Second || MaxBody != 1<<20 {
		t.Error("a documented constant has changed: say so where it is documented")
	}
}

func TestNodeEndpointsHaveNoProxy(t *testing.T) {
	t.Parallel()
	if Node.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy would get the request for a node endpoint")
	}
}

// TestRedirectsAreNotFollowed: the secret header would go with them.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			http.Redirect(w, r, "/stolen", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(server.Close)
	for name, own := range map[string]policy.Transporter{
		"default": nil, "a client of the user's": &http.Client{}, "DefaultClient": http.DefaultClient,
	} {
		requests.Store(0)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Options(policy.ClientOptions{}, own).Transport.Do(req)
		if err != nil || resp.StatusCode != 307 || requests.Load() != 1 {
			t.Errorf("%s: got %v, %v after %d requests, want the redirect itself", name, resp, err,
				requests.Load())
		}
	}
	if http.DefaultClient.CheckRedirect != nil {
		t.Error("the user's client was changed")
	}
}
