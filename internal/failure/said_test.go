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

var saidTests = []struct {
	name, body string
	header     []string
	want       Said
}{
	{name: "IMDS", body: `{"error":"invalid_request","error_description":"Identity not found"}`,
		want: Said{Code: "invalid_request", Message: "Identity not found", Structured: true}},
	{name: "Entra",
		body: `{"error":"invalid_resource","error_description":"AADSTS500011: no",` +
			`"error_codes":[500011],"correlation_id":"c"}`,
		want: Said{Code: "invalid_resource", Message: "AADSTS500011: no", CorrelationID: "c",
			Entra: "AADSTS500011", Structured: true}},
	{name: "Entra, its numbers as text",
		body: `{"error":"e","error_description":"d","error_codes":"[500011]"}`,
		want: Said{Code: "e", Message: "AADSTS500011: d", Entra: "AADSTS500011", Structured: true}},
	{name: "Entra, numbers without a description", body: `{"error":"e","error_codes":[7000216,1]}`,
		want: Said{Code: "e", Message: "AADSTS7000216:", Entra: "AADSTS7000216", Structured: true}},
	{name: "Entra, no numbers", body: `{"error":"e","error_codes":[]}`,
		want: Said{Code: "e", Structured: true}},
	{name: "Entra, several lines",
		body: `{"error":"e","error_description":"AADSTS700016: not found.\r\nTrace ID: ` +
			`t\r\nCorrelation ID: c\r\nTimestamp: 2026","correlation_id":"c"}`,
		want: Said{Code: "e", Message: "AADSTS700016: not found.", CorrelationID: "c",
			Entra: "AADSTS700016", Structured: true}},
	{name: "Entra, one long line",
		body: `{"error":"e","error_description":"AADSTS700016: not found. Trace ID: t ` +
			`Correlation ID: c Timestamp: 2026","correlation_id":"c"}`,
		want: Said{Code: "e", Message: "AADSTS700016: not found.", CorrelationID: "c",
			Entra: "AADSTS700016", Structured: true}},
	{name: "Entra, through App Service",
		body: `{"statusCode":400,"message":"no token: AADSTS500011: x","correlationId":"c"}`,
		want: Said{Message: "no token: AADSTS500011: x", CorrelationID: "c", Entra: "AADSTS500011",
			Structured: true}},
	{name: "Entra, a book of digits",
		body: `{"error":"e","error_codes":[` + strings.Repeat("7", 5000) + `]}`,
		want: Said{Code: "e", Message: "AADSTS7777777777:", Entra: "AADSTS7777777777", Structured: true}},
	{name: "Entra, as text", body: "AADSTS90002: no",
		want: Said{Message: "AADSTS90002: no", Entra: "AADSTS90002"}},
	{name: "Entra, in a library's words",
		body: "POST https://x\nRESPONSE 400\n{\n \"error\": \"unauthorized_client\",\n " +
			"\"error_description\": \"AADSTS700038: no. Trace ID: t\",\n \"error_codes\": " +
			"[700038],\n \"correlation_id\": \"c\"\n}\nTo troubleshoot",
		want: Said{Code: "unauthorized_client", Message: "AADSTS700038: no.", CorrelationID: "c",
			Entra: "AADSTS700038", Structured: true}},
	{name: "Entra, in a log line",
		body: `level=error msg="reply 400: {\"error\":\"invalid_client\",` +
			`\"error_description\":\"AADSTS700213: no\\r\\nTrace ID: t\"}"`,
		want: Said{Message: "AADSTS700213: no", Entra: "AADSTS700213"}},
	{name: "Entra, in an object that isn't one", body: `{"a": {AADSTS700213: no Trace ID: t`,
		want: Said{Message: "AADSTS700213: no", Entra: "AADSTS700213"}},
	{name: "Entra, in an object of something else", body: `x {"about":"AADSTS700213: no"}`,
		want: Said{Message: `AADSTS700213: no"}`, Entra: "AADSTS700213"}},
	{name: "Entra, on a page", body: "<p>AADSTS50011: no</p>",
		want: Said{Message: "AADSTS50011: no", Entra: "AADSTS50011"}},
	{name: "legacy App Service",
		body: `{"ExceptionMessage":"m","ErrorCode":"service_unavailable",` +
			`"ServiceErrorCodes":null,"StatusCode":503,"Message":null,"CorrelationId":"c"}`,
		want: Said{Code: "service_unavailable", Message: "m", CorrelationID: "c", Structured: true}},
	{name: "App Service", body: `{"statusCode":400,"message":"m","correlationId":"c"}`,
		want: Said{Message: "m", CorrelationID: "c", Structured: true}},
	{name: "nested", body: `{"error":{"code":"BadRequest","message":"m","correlationId":"c"}}`,
		want: Said{Code: "BadRequest", Message: "m", CorrelationID: "c", Structured: true}},
	{name: "nested with an inner error",
		body: `{"error":{"code":"BadRequest","message":"m","innererror":{"code":"x"}}}`,
		want: Said{Code: "BadRequest", Message: "m", Structured: true}},
	{name: "nested without code", body: `{"error":{"message":"m"}}`,
		want: Said{Message: "m", Structured: true}},
	{name: "flat code", body: `{"code":"c","message":"m"}`,
		want: Said{Code: "c", Message: "m", Structured: true}},
	{name: "code as a number", body: `{"error":{"code":42,"message":"m"}}`,
		want: Said{Code: "42", Message: "m", Structured: true}},
	{name: "error as a number", body: `{"error":42}`, want: Said{Code: "42", Structured: true}},
	{name: "error only", body: `{"error":"e"}`, want: Said{Code: "e", Structured: true}},
	{name: "description only", body: `{"error_description":"d"}`,
		want: Said{Message: "d", Structured: true}},
	{name: "message null", body: `{"error":"e","error_description":null,"message":"m"}`,
		want: Said{Code: "e", Message: "m", Structured: true}},
	{name: "wrong types", body: `{"error":["e"],"error_description":{},"correlationId":true}`,
		want: Said{Message: `{"error":["e"],"error_description":{},"correlationId":true}`}},
	{name: "none of the fields", body: `{"a":1}`, want: Said{Message: `{"a":1}`}},
	{name: "empty object", body: `{}`, want: Said{Message: "{}"}},
	{name: "empty", want: Said{}},
	{name: "blank", body: " \r\n ", want: Said{}},
	{name: "text", body: "Required metadata header not specified or not correct",
		want: Said{Message: "Required metadata header not specified or not correct"}},
	{name: "HTML", body: "<html>\n\t<body>no</body>\n</html>\n",
		want: Said{Message: "<html> <body>no</body> </html>"}},
	{name: "truncated JSON", body: `{"error":"inv`, want: Said{Message: `{"error":"inv`}},
	{name: "array", body: `["error"]`, want: Said{Message: `["error"]`}},
	{name: "null", body: `null`, want: Said{Message: "null"}},
	{name: "line feeds in every field",
		body: `{"error":"a\nb","error_description":"c\r\nd","correlationId":"e\tf"}`,
		want: Said{Code: "a b", Message: "c d", CorrelationID: "e f", Structured: true}},
	{name: "correlation ID in App Service's header", header: []string{"X-CORRELATION-ID", "c"},
		want: Said{CorrelationID: "c"}},
	{name: "correlation ID in Azure's header", body: `{"error":"e"}`,
		header: []string{"x-ms-request-id", "c"},
		want:   Said{Code: "e", CorrelationID: "c", Structured: true}},
	{name: "correlation ID in both", body: `{"correlationId":"body","message":"m"}`,
		header: []string{"X-CORRELATION-ID", "header"},
		want:   Said{Message: "m", CorrelationID: "body", Structured: true}},
	{name: "nasty correlation ID", header: []string{"X-CORRELATION-ID", "a\r\nb"},
		want: Said{CorrelationID: "a b"}},
	{name: "not UTF-8", body: "a\xffb", want: Said{Message: "a?b"}},
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range saidTests {
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
		if len(code) > 300 || len(message) > 300 || code == "" || message == "" ||
			strings.Contains(message, "AADSTS") {
			return
		}
		want := Said{Code: code, Message: message, CorrelationID: code, Structured: true}
		for _, shape := range []string{
			`{"error":%[1]s,"error_description":%[2]s,"correlation_id":%[1]s}`,
			`{"error":{"code":%[1]s,"message":%[2]s,"correlationId":%[1]s}}`,
			`{"code":%[1]s,"message":%[2]s,"correlationId":%[1]s}`,
			`{"ExceptionMessage":%[2]s,"ErrorCode":%[1]s,"ServiceErrorCodes":null,` +
				`"StatusCode":503,"Message":null,"CorrelationId":%[1]s}`,
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
