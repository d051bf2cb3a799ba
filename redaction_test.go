package identity

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// recorded are the hosts' refusals in testdata.
func recorded(tb testing.TB) (bodies []string) {
	tb.Helper()
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) < 40 {
		tb.Fatalf("%d refusals, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

func TestRecordedRefusalsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, body := range recorded(t) {
		if got := redact.Text(body, "the-secret-of-a-host"); got != body {
			t.Errorf("%s\nbecomes\n%s", body, got)
		}
	}
}

// TestErrorsAreRedactedBeforeTheyAreCut, and before their blanks are made one: either would leave
// the head of a secret, or one that isn't recognised.
func TestErrorsAreRedactedBeforeTheyAreCut(t *testing.T) {
	for secret, text := range map[string]string{
		"0123456789abcdef":   strings.Repeat("x", 292) + "0123456789abcdef",
		"0123456789  abcdef": "failed: 0123456789  abcdef",
	} {
		bubbleIn(t, secret, func(t *testing.T) {
			fails := policyFunc(func(*policy.Request) (*http.Response, error) {
				return nil, errors.New(text)
			})
			env := environmentOf(map[string]string{envEndpoint: "http://localhost/msi/token",
				envHeader: secret})
			e, _ := mustFail(t, credentialAt(t, env, always(500, ""), once, func(o *CredentialOptions) {
				o.PerRetryPolicies = []policy.Policy{fails}
			}))
			said, _ := mustFail(t, credentialAt(t, env, always(403, `{"message":"`+text+`"}`)))
			if strings.Contains(e.Error()+said.Error(), "0123") {
				t.Errorf("an error shows a part of the secret: %v, %v", e, said)
			}
		})
	}
}
