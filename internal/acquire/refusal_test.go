package acquire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
)

// fakeHost is a host that takes JSON for its own answer.
type fakeHost struct{}

func (fakeHost) Name() string                  { return "fake host" }
func (fakeHost) Answerer() string              { return "fake host" }
func (fakeHost) Endpoint() string              { return "http://localhost/token" }
func (fakeHost) Address() string               { return "http://localhost/token?key=x" }
func (fakeHost) Identity() string              { return "client ID x" }
func (fakeHost) Recognises(a Answer) bool      { return strings.HasPrefix(string(a.Body), "{") }
func (fakeHost) Mismatch(t token.Token) string { return t.Echo.ClientID }
func (fakeHost) Call(context.Context, Request) (Call, error) {
	return Call{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "localhost"}}, nil
}
func (fakeHost) NotAssigned(status int, _ failure.Said) bool { return status == 400 }
func (fakeHost) Hint(_ Request, status int, _ failure.Said) string {
	return fmt.Sprint("see ", status)
}
func (fakeHost) Rules() Rules {
	return Rules{Rules: retry.Rules{Budget: time.Second, Retries: retry.Anywhere}, AtOnce: 1}
}

// FuzzJudge: whatever a host's answer repeats, no secret of its request is in the failure, and the
// verdict follows from whose answer it is.
func FuzzJudge(f *testing.F) {
	for i, body := range []string{
		`{"error":"SECRET","error_description":"SECRET"}`, "SECRET", `{"message":"a SECRET b"}`,
		"AADSTS700016: SECRET", `{"access_token":"SECRET"}`, "", "<html>SECRET",
		`{"client_id":"SECRET","access_token":"t","expires_in":"3600"}`,
	} {
		f.Add(body, "SECRET", uint16([]int{200, 400, 401, 404, 429, 500, 302, 204}[i]))
	}
	const secret = "QJX7canary<VBK2/+=pa55word"
	f.Fuzz(func(t *testing.T, body, header string, status uint16) {
		if redact.Conceal(body+"\n"+header, secret) != body+"\n"+header || len(body) > redact.MaxText/2 {
			t.Skip() // it has a piece of the secret already
		}
		body, header = strings.ReplaceAll(body, "SECRET", secret),
			strings.ReplaceAll(header, "SECRET", secret)
		q := &inquiry{host: fakeHost{}, node: NewNode(1), retries: retry.Anywhere,
			endpoint: "http://localhost/token", secrets: []string{secret}}
		got := Answer{Status: int(status), Header: http.Header{"X-Correlation-Id": {header}},
			Body: []byte(body), Raw: &http.Response{}}
		ours := q.host.Recognises(got)
		granted, failed := q.judge(got, ours, "")
		if failed == nil {
			if granted.Value == "" || !ours || status != 200 && status != 202 {
				t.Fatalf("%d %q is the token %+v", status, body, granted)
			}
			return
		}
		shown := fmt.Sprint(failed.Error(), failed.Line, failed.Body)
		if failed.Answer != nil {
			shown += fmt.Sprint(failed.Answer.Header, failed.Answer.Status)
		}
		if strings.Contains(shown, secret) || redact.Conceal(shown, secret) != shown &&
			!strings.Contains(shown, redact.Mark) {
			t.Errorf("%d %q shows the secret: %s", status, body, shown)
		}
		if !ours && (failed.Verdict != failure.Again || !failed.Silent) {
			t.Errorf("%d %q is somebody else's answer, and the verdict %v", status, body, failed.Verdict)
		}
		if failed.StatusCode != int(status) {
			t.Errorf("%d is shown as %d", status, failed.StatusCode)
		}
	})
}
