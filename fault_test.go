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
	"github.com/google/go-cmp/cmp"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		header     []string
		want       fault
	}{
		{"IMDS", `{"error":"invalid_request","error_description":"Identity not found"}`, nil, fault{"invalid_request", "Identity not found", "", "", true}},
		{"Entra", `{"error":"invalid_resource","error_description":"AADSTS500011: no","error_codes":[500011],"correlation_id":"c"}`, nil, fault{"invalid_resource", "AADSTS500011: no", "c", "AADSTS500011", true}},
		{"Entra, its numbers as text", `{"error":"e","error_description":"d","error_codes":"[500011]"}`, nil, fault{"e", "AADSTS500011: d", "", "AADSTS500011", true}},
		{"Entra, numbers without a description", `{"error":"e","error_codes":[7000216,1]}`, nil, fault{"e", "AADSTS7000216:", "", "AADSTS7000216", true}},
		{"Entra, no numbers", `{"error":"e","error_codes":[]}`, nil, fault{"e", "", "", "", true}},
		{"Entra, several lines", `{"error":"e","error_description":"AADSTS700016: not found.\r\nTrace ID: t\r\nCorrelation ID: c\r\nTimestamp: 2026","correlation_id":"c"}`, nil, fault{"e", "AADSTS700016: not found.", "c", "AADSTS700016", true}},
		{"Entra, one long line", `{"error":"e","error_description":"AADSTS700016: not found. Trace ID: t Correlation ID: c Timestamp: 2026","correlation_id":"c"}`, nil, fault{"e", "AADSTS700016: not found.", "c", "AADSTS700016", true}},
		{"Entra, through App Service", `{"statusCode":400,"message":"no token: AADSTS500011: x","correlationId":"c"}`, nil, fault{"", "no token: AADSTS500011: x", "c", "AADSTS500011", true}},
		{"Entra, a book of digits", `{"error":"e","error_codes":[` + strings.Repeat("7", 5000) + `]}`, nil, fault{"e", "AADSTS7777777777:", "", "AADSTS7777777777", true}},
		{"Entra, as text", "AADSTS90002: no", nil, fault{"", "AADSTS90002: no", "", "AADSTS90002", false}},
		{"Entra, in a library's words", "POST https://x\nRESPONSE 400\n{\n \"error\": \"unauthorized_client\",\n \"error_description\": \"AADSTS700038: no. Trace ID: t\",\n \"error_codes\": [700038],\n \"correlation_id\": \"c\"\n}\nTo troubleshoot", nil, fault{"unauthorized_client", "AADSTS700038: no.", "c", "AADSTS700038", true}},
		{"Entra, in a log line", `level=error msg="reply 400: {\"error\":\"invalid_client\",\"error_description\":\"AADSTS700213: no\\r\\nTrace ID: t\"}"`, nil, fault{"", "AADSTS700213: no", "", "AADSTS700213", false}},
		{"Entra, in an object that isn't one", `{"a": {AADSTS700213: no Trace ID: t`, nil, fault{"", "AADSTS700213: no", "", "AADSTS700213", false}},
		{"Entra, in an object of something else", `x {"about":"AADSTS700213: no"}`, nil, fault{"", `AADSTS700213: no"}`, "", "AADSTS700213", false}},
		{"Entra, on a page", "<p>AADSTS50011: no</p>", nil, fault{"", "AADSTS50011: no", "", "AADSTS50011", false}},
		{"legacy App Service", `{"ExceptionMessage":"m","ErrorCode":"service_unavailable","ServiceErrorCodes":null,"StatusCode":503,"Message":null,"CorrelationId":"c"}`, nil, fault{"service_unavailable", "m", "c", "", true}},
		{"App Service", `{"statusCode":400,"message":"m","correlationId":"c"}`, nil, fault{"", "m", "c", "", true}},
		{"nested", `{"error":{"code":"BadRequest","message":"m","correlationId":"c"}}`, nil, fault{"BadRequest", "m", "c", "", true}},
		{"nested with an inner error", `{"error":{"code":"BadRequest","message":"m","innererror":{"code":"x"}}}`, nil, fault{"BadRequest", "m", "", "", true}},
		{"nested without code", `{"error":{"message":"m"}}`, nil, fault{"", "m", "", "", true}},
		{"flat code", `{"code":"c","message":"m"}`, nil, fault{"c", "m", "", "", true}},
		{"code as a number", `{"error":{"code":42,"message":"m"}}`, nil, fault{"42", "m", "", "", true}},
		{"error as a number", `{"error":42}`, nil, fault{"42", "", "", "", true}},
		{"error only", `{"error":"e"}`, nil, fault{"e", "", "", "", true}},
		{"description only", `{"error_description":"d"}`, nil, fault{"", "d", "", "", true}},
		{"message null", `{"error":"e","error_description":null,"message":"m"}`, nil, fault{"e", "m", "", "", true}},
		{"wrong types", `{"error":["e"],"error_description":{},"correlationId":true}`, nil, fault{"", `{"error":["e"],"error_description":{},"correlationId":true}`, "", "", false}},
		{"none of the fields", `{"a":1}`, nil, fault{"", `{"a":1}`, "", "", false}},
		{"empty object", `{}`, nil, fault{"", "{}", "", "", false}},
		{"empty", ``, nil, fault{}},
		{"blank", " \r\n ", nil, fault{}},
		{"text", "Required metadata header not specified or not correct", nil, fault{"", "Required metadata header not specified or not correct", "", "", false}},
		{"HTML", "<html>\n\t<body>no</body>\n</html>\n", nil, fault{"", "<html> <body>no</body> </html>", "", "", false}},
		{"truncated JSON", `{"error":"inv`, nil, fault{"", `{"error":"inv`, "", "", false}},
		{"array", `["error"]`, nil, fault{"", `["error"]`, "", "", false}},
		{"null", `null`, nil, fault{"", "null", "", "", false}},
		{"line feeds in every field", `{"error":"a\nb","error_description":"c\r\nd","correlationId":"e\tf"}`, nil, fault{"a b", "c d", "e f", "", true}},
		{"correlation ID in App Service's header", ``, []string{"X-CORRELATION-ID", "c"}, fault{"", "", "c", "", false}},
		{"correlation ID in Azure's header", `{"error":"e"}`, []string{"x-ms-request-id", "c"}, fault{"e", "", "c", "", true}},
		{"correlation ID in both", `{"correlationId":"body","message":"m"}`, []string{"X-CORRELATION-ID", "header"}, fault{"", "m", "body", "", true}},
		{"nasty correlation ID", ``, []string{"X-CORRELATION-ID", "a\r\nb"}, fault{"", "", "a b", "", false}},
		{"not UTF-8", "a\xffb", nil, fault{"", "a?b", "", "", false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for i := 0; i+1 < len(tt.header); i += 2 {
				header.Add(tt.header[i], tt.header[i+1])
			}
			if diff := cmp.Diff(tt.want, parseFault(header, tt.body), cmp.AllowUnexported(fault{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestEscapedSecretIsNotDecoded: Kestrel's JSON escapes +, & and < as \u002B, \u0026 and \u003C. Decoding the message must
// not bring back what was redacted, nor may RawResponse hold it.
func TestEscapedSecretIsNotDecoded(t *testing.T) {
	for _, tt := range []struct{ name, secret, escaped string }{
		{"base64", "c2VjcmV0+dmFsdWU=", `c2VjcmV0\u002BdmFsdWU=`},
		{"slash", "c2VjcmV0/dmFsdWU=", `c2VjcmV0\/dmFsdWU=`},
		{"capitals", "c2VjcmV0<dmFsdWU=", `c2VjcmV0\u003CdmFsdWU=`},
		{"all of it", "abcd", `\u0061\u0062\u0063\u0064`},
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
		{"at the limit", "0123456789abcdef", strings.Repeat("x", 292) + "0123456789abcdef"},
		{"blanks within", "0123456789  abcdef", "failed: 0123456789  abcdef"},
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
