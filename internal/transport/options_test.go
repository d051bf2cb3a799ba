package transport

import (
	"errors"
	"net/http"
	"slices"
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
