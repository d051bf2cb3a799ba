package failure

import (
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/redact"
)

var varyingTests = []struct{ text, want string }{
	{text: "AADSTS700024: Current time: 2026-11-28T10:00:00.1234567Z, expiry time of " +
		"assertion 2026-11-28T09:00:00.0000000Z.",
		want: "AADSTS700024: Current time: …, expiry time of assertion …."},
	{text: "Trace ID: 6f1c2a52-0d8e-4e90-a1f2-8f0e6d5a3c1b Correlation ID: 7f Timestamp: " +
		"2026-11-28 10:00:00Z", want: "Trace ID: … Correlation ID: … Timestamp: …"},
	{text: `{"request-id":"6f1c2a52","trace_id": "ab", "activityId":"x1"}`,
		want: `{"request-id":"…","trace_id": "…", "activityId":"…"}`},
	{text: "contact support with this Correlation ID c0ffee1",
		want: "contact support with this Correlation ID …"},
	{text: "Reference #18.2d4d655f.17000000.1a2b3c", want: "Reference #…"},
	{text: "Cloudflare Ray ID: 7d1f2e3c4b5a6978", want: "Cloudflare Ray ID: …"},
	{text: "lifetime ended on 11/28/2026 10:00:00 AM +00:00", want: "lifetime ended on …"},
	{text: "sent Sat, 28 Nov 2026 10:00:00 GMT", want: "sent …"},
	{text: "at Sat Nov 28 10:00:00 UTC 2026", want: "at …"},
	{text: "at Sat Nov  8 10:00:00 2026", want: "at …"},
	{text: "not before 1764324000, now 1764324000123", want: "not before …, now …"},
	{text: "no answer within 702ms, gave up after 1m0.5s",
		want: "no answer within …, gave up after …"},
	{text: "Please retry after 37 seconds (5 attempts, 17 bytes)",
		want: "Please retry after … seconds (… attempts, … bytes)"},
	{text: "read tcp 127.0.0.1:53124->127.0.0.1:4141: read: connection reset by peer",
		want: "read tcp: read: connection reset by peer"},
	{text: "read tcp [::1]:53124->[::1]:4141: EOF", want: "read tcp: EOF"},
	{text: "dial tcp 20.190.151.7:443: i/o timeout", want: "dial tcp: i/o timeout"},
	{text: "dial tcp: lookup login.microsoftonline.com on 10.0.0.10:53: read udp " +
		"10.1.0.5:40123->10.0.0.10:53: i/o timeout",
		want: "dial tcp: lookup login.microsoftonline.com: read udp: i/o timeout"},
	{text: "x509: certificate has expired or is not yet valid: current time " +
		"2026-11-28T10:00:00Z is after 2025-01-01T00:00:00Z",
		want: "x509: certificate has expired or is not yet valid: current time … is after …"},
	{text: "*errors.errorString at 0xc000012345", want: "*errors.errorString at …"},
	{text: "Try again in 1 second, after 1 attempt", want: "Try again in … seconds, after … attempts"},
	{text: "after 3 retries, 1 try", want: "after … retries, … tries"},
	{text: "attempt 3 of 5, retry #4, attempt: 5", want: "attempt …, retry #…, attempt: …"},
	{text: `Retry-After: 37, "retryAfter":"12"`, want: `Retry-After: …, "retryAfter":"…"`},
	{text: "took 1.5 s and 12 ms", want: "took … and …"},
	{text: `10.0.0.4 - - [28/Nov/2026:10:00:00 +0000] "GET /"`, want: `10.0.0.4 - - […] "GET /"`},
	{text: "Nov 28, 2026 10:00:00 AM: no", want: "…: no"},
	{text: "Nov  8 10:00:00 node: no", want: "… node: no"},
	{text: "28.11.2026 10:00:00, 2026/11/28 10:00:00", want: "…, …"},
	{text: "Timestamp: 11/28/2026 10:00:00 AM +00:00", want: "Timestamp: …"},
	{text: "0028-20261128T100000Z-15b6f8d7c9x2", want: "0028-…"},
	{text: "E1128 10:00:00.123456       1 proxy.go:62] no", want: "… proxy.go:62] no"},
	{text: "goroutine 17 [running]", want: "goroutine … [running]"},
	{text: "inactive for 90.00:00:00.", want: "inactive for …."},
	{text: "at 1764329400123456", want: "at …"},
	{text: "request 6f1c2a52-0d8e-4e90-a1f2-8f0e6d5a3c1b failed, Error ID: " +
		"6f1c2a52-0d8e-4e90-a1f2-8f0e6d5a3c1b", want: "request … failed, Error ID: …"},
	{text: "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 " +
		"span_id=00f067aa0ba902b7", want: "traceparent: … span_id=…"},
	{text: "stream error: stream ID 7; INTERNAL_ERROR; received from peer",
		want: "stream error: stream ID …; INTERNAL_ERROR; received from peer"},
	{text: "http2: server sent GOAWAY and closed the connection; LastStreamID=9, " +
		"ErrCode=NO_ERROR",
		want: "http2: server sent GOAWAY and closed the connection; LastStreamID=…, " +
			"ErrCode=NO_ERROR"},
	// These are causes.
	{text: "Status_Unexpected, Error code: -2147023584, Tag: 590996738"},
	{text: "Object reference: user1"},
	{text: "error 12 of log 3"},
	{text: "AADSTS700016: Application with identifier " +
		"'6f1c2a52-0d8e-4e90-a1f2-8f0e6d5a3c1b' was not found in the directory " + "'contoso'"},
	{text: "api-version=2018-02-01 is not supported"},
	{text: "http://127.0.0.1:4141/msi/token refused: is port 4141 right?"},
	{text: "subject 'system:serviceaccount:shop-2:orders' of " +
		"https://oidc.prod-aks.azure.com/6f1c2a52/"},
	{text: "the server's certificate has the thumbprint " +
		"0123456789ABCDEF0123456789ABCDEF01234567"},
	{text: "az ended with exit status 2"},
	{text: "request: invalid resource"},
}

// TestUnvarying: what is taken out of them, and what isn't.
func TestUnvarying(t *testing.T) {
	t.Parallel()
	for _, tt := range varyingTests {
		want := tt.want
		if want == "" {
			want = tt.text
		}
		if got := Unvarying(tt.text); got != want {
			t.Errorf("%q became %q, want %q", tt.text, got, want)
		}
	}
}

// TestSummaryOfACutMessage: one that was cut is cut where the length of what varies makes no
// difference.
func TestSummaryOfACutMessage(t *testing.T) {
	t.Parallel()
	summary := ""
	for _, wait := range []string{"1", "12", "123456789"} {
		l := Line{Message: redact.Line("wait for " + wait + " seconds. " +
			strings.Repeat("many words ", 50))}
		if summary == "" {
			summary = l.Summary("")
		}
		if got := l.Summary(""); got != summary {
			t.Errorf("the summary became %q after %q", got, summary)
		}
	}
}
