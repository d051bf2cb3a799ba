package failure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/redact"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		header     []string
		want       Said
	}{
		{"IMDS", `{"error":"invalid_request","error_description":"Identity not found"}`, nil, Said{Code: "invalid_request", Message: "Identity not found", Structured: true}},
		{"Entra", `{"error":"invalid_resource","error_description":"AADSTS500011: no","error_codes":[500011],"correlation_id":"c"}`, nil, Said{Code: "invalid_resource", Message: "AADSTS500011: no", CorrelationID: "c", Entra: "AADSTS500011", Structured: true}},
		{"Entra, its numbers as text", `{"error":"e","error_description":"d","error_codes":"[500011]"}`, nil, Said{Code: "e", Message: "AADSTS500011: d", Entra: "AADSTS500011", Structured: true}},
		{"Entra, numbers without a description", `{"error":"e","error_codes":[7000216,1]}`, nil, Said{Code: "e", Message: "AADSTS7000216:", Entra: "AADSTS7000216", Structured: true}},
		{"Entra, no numbers", `{"error":"e","error_codes":[]}`, nil, Said{Code: "e", Structured: true}},
		{"Entra, several lines", `{"error":"e","error_description":"AADSTS700016: not found.\r\nTrace ID: t\r\nCorrelation ID: c\r\nTimestamp: 2026","correlation_id":"c"}`, nil, Said{Code: "e", Message: "AADSTS700016: not found.", CorrelationID: "c", Entra: "AADSTS700016", Structured: true}},
		{"Entra, one long line", `{"error":"e","error_description":"AADSTS700016: not found. Trace ID: t Correlation ID: c Timestamp: 2026","correlation_id":"c"}`, nil, Said{Code: "e", Message: "AADSTS700016: not found.", CorrelationID: "c", Entra: "AADSTS700016", Structured: true}},
		{"Entra, through App Service", `{"statusCode":400,"message":"no token: AADSTS500011: x","correlationId":"c"}`, nil, Said{Message: "no token: AADSTS500011: x", CorrelationID: "c", Entra: "AADSTS500011", Structured: true}},
		{"Entra, a book of digits", `{"error":"e","error_codes":[` + strings.Repeat("7", 5000) + `]}`, nil, Said{Code: "e", Message: "AADSTS7777777777:", Entra: "AADSTS7777777777", Structured: true}},
		{"Entra, as text", "AADSTS90002: no", nil, Said{Message: "AADSTS90002: no", Entra: "AADSTS90002"}},
		{"Entra, in a library's words", "POST https://x\nRESPONSE 400\n{\n \"error\": \"unauthorized_client\",\n \"error_description\": \"AADSTS700038: no. Trace ID: t\",\n \"error_codes\": [700038],\n \"correlation_id\": \"c\"\n}\nTo troubleshoot", nil, Said{Code: "unauthorized_client", Message: "AADSTS700038: no.", CorrelationID: "c", Entra: "AADSTS700038", Structured: true}},
		{"Entra, in a log line", `level=error msg="reply 400: {\"error\":\"invalid_client\",\"error_description\":\"AADSTS700213: no\\r\\nTrace ID: t\"}"`, nil, Said{Message: "AADSTS700213: no", Entra: "AADSTS700213"}},
		{"Entra, in an object that isn't one", `{"a": {AADSTS700213: no Trace ID: t`, nil, Said{Message: "AADSTS700213: no", Entra: "AADSTS700213"}},
		{"Entra, in an object of something else", `x {"about":"AADSTS700213: no"}`, nil, Said{Message: `AADSTS700213: no"}`, Entra: "AADSTS700213"}},
		{"Entra, on a page", "<p>AADSTS50011: no</p>", nil, Said{Message: "AADSTS50011: no", Entra: "AADSTS50011"}},
		{"legacy App Service", `{"ExceptionMessage":"m","ErrorCode":"service_unavailable","ServiceErrorCodes":null,"StatusCode":503,"Message":null,"CorrelationId":"c"}`, nil, Said{Code: "service_unavailable", Message: "m", CorrelationID: "c", Structured: true}},
		{"App Service", `{"statusCode":400,"message":"m","correlationId":"c"}`, nil, Said{Message: "m", CorrelationID: "c", Structured: true}},
		{"nested", `{"error":{"code":"BadRequest","message":"m","correlationId":"c"}}`, nil, Said{Code: "BadRequest", Message: "m", CorrelationID: "c", Structured: true}},
		{"nested with an inner error", `{"error":{"code":"BadRequest","message":"m","innererror":{"code":"x"}}}`, nil, Said{Code: "BadRequest", Message: "m", Structured: true}},
		{"nested without code", `{"error":{"message":"m"}}`, nil, Said{Message: "m", Structured: true}},
		{"flat code", `{"code":"c","message":"m"}`, nil, Said{Code: "c", Message: "m", Structured: true}},
		{"code as a number", `{"error":{"code":42,"message":"m"}}`, nil, Said{Code: "42", Message: "m", Structured: true}},
		{"error as a number", `{"error":42}`, nil, Said{Code: "42", Structured: true}},
		{"error only", `{"error":"e"}`, nil, Said{Code: "e", Structured: true}},
		{"description only", `{"error_description":"d"}`, nil, Said{Message: "d", Structured: true}},
		{"message null", `{"error":"e","error_description":null,"message":"m"}`, nil, Said{Code: "e", Message: "m", Structured: true}},
		{"wrong types", `{"error":["e"],"error_description":{},"correlationId":true}`, nil, Said{Message: `{"error":["e"],"error_description":{},"correlationId":true}`}},
		{"none of the fields", `{"a":1}`, nil, Said{Message: `{"a":1}`}},
		{"empty object", `{}`, nil, Said{Message: "{}"}},
		{"empty", ``, nil, Said{}},
		{"blank", " \r\n ", nil, Said{}},
		{"text", "Required metadata header not specified or not correct", nil, Said{Message: "Required metadata header not specified or not correct"}},
		{"HTML", "<html>\n\t<body>no</body>\n</html>\n", nil, Said{Message: "<html> <body>no</body> </html>"}},
		{"truncated JSON", `{"error":"inv`, nil, Said{Message: `{"error":"inv`}},
		{"array", `["error"]`, nil, Said{Message: `["error"]`}},
		{"null", `null`, nil, Said{Message: "null"}},
		{"line feeds in every field", `{"error":"a\nb","error_description":"c\r\nd","correlationId":"e\tf"}`, nil, Said{Code: "a b", Message: "c d", CorrelationID: "e f", Structured: true}},
		{"correlation ID in App Service's header", ``, []string{"X-CORRELATION-ID", "c"}, Said{CorrelationID: "c"}},
		{"correlation ID in Azure's header", `{"error":"e"}`, []string{"x-ms-request-id", "c"}, Said{Code: "e", CorrelationID: "c", Structured: true}},
		{"correlation ID in both", `{"correlationId":"body","message":"m"}`, []string{"X-CORRELATION-ID", "header"}, Said{Message: "m", CorrelationID: "body", Structured: true}},
		{"nasty correlation ID", ``, []string{"X-CORRELATION-ID", "a\r\nb"}, Said{CorrelationID: "a b"}},
		{"not UTF-8", "a\xffb", nil, Said{Message: "a?b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for i := 0; i+1 < len(tt.header); i += 2 {
				header.Add(tt.header[i], tt.header[i+1])
			}
			if diff := cmp.Diff(tt.want, Read(header, tt.body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRead: a code and a message arrive as they are, in each of the hosts' shapes.
func FuzzRead(f *testing.F) {
	for _, message := range []string{
		"Identity not found", "m\u2028\u0085", "<html>\xff\n", "世", `{"error":"e"}`, `"`, "\\",
	} {
		f.Add("invalid_request", message)
	}
	f.Fuzz(func(t *testing.T, code, message string) {
		code, message = redact.Printable(code), redact.Printable(message)
		if len(code) > 300 || len(message) > 300 || code == "" || message == "" || strings.Contains(message, "AADSTS") {
			return
		}
		want := Said{Code: code, Message: message, CorrelationID: code, Structured: true}
		for _, shape := range []string{
			`{"error":%[1]s,"error_description":%[2]s,"correlation_id":%[1]s}`, `{"error":{"code":%[1]s,"message":%[2]s,"correlationId":%[1]s}}`, `{"code":%[1]s,"message":%[2]s,"correlationId":%[1]s}`,
			`{"ExceptionMessage":%[2]s,"ErrorCode":%[1]s,"ServiceErrorCodes":null,"StatusCode":503,"Message":null,"CorrelationId":%[1]s}`,
		} {
			said := fmt.Sprintf(shape, quoted(t, code), quoted(t, message))
			if got := Read(nil, said); got != want {
				t.Errorf("%s is read as %+v", said, got)
			}
		}
	})
}

func quoted(tb testing.TB, s string) string {
	tb.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
