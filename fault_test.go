package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TestEscapedSecretIsNotDecoded: Kestrel's JSON escapes +, & and < as \u002B, \u0026 and \u003C. Decoding the message must
// not bring back what was redacted, nor may RawResponse hold it.
func TestEscapedSecretIsNotDecoded(t *testing.T) {
	for _, tt := range []struct{ name, secret, escaped string }{
		{name: "base64", secret: "c2VjcmV0+dmFsdWU=", escaped: `c2VjcmV0\u002BdmFsdWU=`},
		{name: "slash", secret: "c2VjcmV0/dmFsdWU=", escaped: `c2VjcmV0\/dmFsdWU=`},
		{name: "capitals", secret: "c2VjcmV0<dmFsdWU=", escaped: `c2VjcmV0\u003CdmFsdWU=`},
		{name: "all of it", secret: "abcd", escaped: `\u0061\u0062\u0063\u0064`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				env := environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost/msi/token", "IDENTITY_HEADER": tt.secret})
				body := fmt.Sprintf(`{"statusCode":403,"message":"bad header %[1]s","correlationId":"%[1]s","code":"%[1]s"}`, tt.escaped)
				e, _ := mustFail(t, credentialAt(t, env, always(403, body)))
				for where, text := range map[string]string{"Error()": e.Error(), "Message": e.Message, "Code": e.Code, "CorrelationID": e.CorrelationID} {
					if strings.Contains(text, tt.secret) {
						t.Errorf("%s shows the secret: %q", where, text)
					}
				}
				raw, err := io.ReadAll(e.RawResponse.Body)
				if err != nil {
					t.Fatal(err)
				}
				var decoded struct{ Message string }
				if json.Unmarshal(raw, &decoded) == nil && strings.Contains(decoded.Message, tt.secret) {
					t.Errorf("RawResponse's body shows the secret to whoever decodes it: %s", raw)
				}
			})
		})
	}
}

// TestErrorsAreRedactedBeforeTheyAreCut: cutting first would leave the head of a secret.
func TestErrorsAreRedactedBeforeTheyAreCut(t *testing.T) {
	for _, tt := range []struct{ name, secret, text string }{
		{
			name: "at the limit", secret: "0123456789abcdef",
			text: strings.Repeat("x", 292) + "0123456789abcdef",
		},
		{name: "blanks within", secret: "0123456789  abcdef", text: "failed: 0123456789  abcdef"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				env := environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost/msi/token", "IDENTITY_HEADER": tt.secret})
				e, _ := mustFail(t, credentialAt(t, env, always(500, ""), func(o *CredentialOptions) {
					o.Retry.MaxRetries = -1
					o.PerRetryPolicies = []policy.Policy{policyFunc(func(*policy.Request) (*http.Response, error) { return nil, errors.New(tt.text) })}
				}))
				if strings.Contains(e.Error(), "0123") {
					t.Errorf("error shows a part of the secret: %v", e)
				}
			})
		})
	}
}

// TestLongMessageWithASecretAtTheCut: the same for the host's own words.
func TestLongMessageWithASecretAtTheCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		body := `{"statusCode":403,"message":"` + strings.Repeat("x", 295) + `the-secret"}`
		e, _ := mustFail(t, credentialAt(t, appServiceAt(), always(403, body)))
		if strings.Contains(e.Message, "the-s") {
			t.Errorf("message shows a part of the secret: %q", e.Message)
		}
	})
}
