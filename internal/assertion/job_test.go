package assertion

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/failure"
)

const (
	audience = "api://AzureADTokenExchange"
	secret   = "s3cret-of-the-job"
	key      = "k3y-in-the-url"
)

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(req *http.Request) (*http.Response, error) { return f(req) }

// answer is one response to everything.
func answer(status int, body string, header ...string) doer {
	return func(*http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body))}
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

func env(lines ...string) func(string) string {
	return func(name string) string {
		for _, line := range lines {
			if n, value, _ := strings.Cut(line, "="); n == name {
				return value
			}
		}
		return ""
	}
}

// jobs are both, in places of which all is well.
var jobs = map[string]func(policy.Transporter) (Source, error){
	"GitHub": func(client policy.Transporter) (Source, error) {
		return NewGitHubActions(env(
			"ACTIONS_ID_TOKEN_REQUEST_URL=https://github.example/idtoken?api-version=2.0&key="+key,
			"ACTIONS_ID_TOKEN_REQUEST_TOKEN="+secret), client)
	},
	"Pipelines": func(client policy.Transporter) (Source, error) {
		return NewAzurePipelines("FIELD", "c0ffee", env("SYSTEM_OIDCREQUESTURI=https://ado.example/oidctoken",
			"SYSTEM_ACCESSTOKEN="+secret), client)
	},
}

func job1(t *testing.T, name string, client policy.Transporter) Source {
	t.Helper()
	s, err := jobs[name](client)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRequests has what is sent, to the letter.
func TestRequests(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		method, url string
		header      http.Header
	}{
		"GitHub": {"GET", "https://github.example/idtoken?api-version=2.0&key=" + key +
			"&audience=api%3A%2F%2FAzureADTokenExchange", http.Header{
			"Accept": {"application/json; api-version=2.0"}, "Authorization": {"bearer " + secret},
		}},
		"Pipelines": {"POST", "https://ado.example/oidctoken?api-version=7.1&serviceConnectionId=c0ffee",
			http.Header{
				"Accept": {"application/json"}, "Authorization": {"Bearer " + secret},
				"X-Tfs-Fedauthredirect": {"Suppress"},
			}},
	} {
		s := job1(t, name, doer(func(req *http.Request) (*http.Response, error) {
			if req.Method != want.method || req.URL.String() != want.url || req.ContentLength != 0 {
				t.Errorf("%s: got %s %s with a body of %d", name, req.Method, req.URL, req.ContentLength)
			}
			if diff := cmp.Diff(want.header, req.Header); diff != "" {
				t.Errorf("%s: header (-want +got):\n%s", name, diff)
			}
			return answer(200, `{"value":"`+jwt+`","oidcToken":"`+jwt+`"}`)(req)
		}))
		if got, err := s.Get(t.Context(), Request{Audience: audience}); got != jwt || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestWith: no parameter is sent twice, and what isn't ours stays to the byte.
func TestWith(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                            "audience=a",
		"key=%2f+x&b":                 "key=%2f+x&b&audience=a",
		"audience=b&key=1&audience=c": "key=1&audience=a",
		"a%75dience=b":                "audience=a",
		"%zz=1":                       "%zz=1&audience=a",
	} {
		u := &url.URL{Scheme: "https", Host: "a", RawQuery: query}
		if got := with(u, url.Values{"audience": {"a"}}); got.RawQuery != want || u.RawQuery != query {
			t.Errorf("%q: got %q, want %q", query, got.RawQuery, want)
		}
	}
}

// TestFakes: what the real ones refuse is not what is sent, and each Get has another token.
func TestFakes(t *testing.T) {
	t.Parallel()
	github, pipelines := identitytest.NewGitHubActions(nil), identitytest.NewAzurePipelines(nil)
	hub, err := NewGitHubActions(env(github.Env("http://localhost")...), github)
	if err != nil {
		t.Fatal(err)
	}
	getenv := env(pipelines.Env("http://127.0.0.1")...)
	ado, err := NewAzurePipelines("FIELD", getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"), getenv,
		pipelines)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Source{hub, ado} {
		first, err := s.Get(t.Context(), Request{Audience: audience})
		second, again := s.Get(t.Context(), Request{Audience: audience})
		if first == second || err != nil || again != nil {
			t.Errorf("%s: got %q, %v, then %q, %v", s.Name(), first, err, second, again)
		}
	}
	pipelines.RotateSecret() // and getenv has the one from before
	github.RotateSecret()
	for _, s := range []Source{hub, ado} {
		_, err := s.Get(t.Context(), Request{Audience: audience})
		checkError(t, err, s.Name()+": 401: without a word", failure.Never)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><title>Sign in " + jwt + "</title>"
	for _, tt := range []struct {
		name    string
		of      string // "" for both
		client  doer
		want    string
		verdict failure.Verdict
	}{
		{"401", "GitHub", answer(401, ""), `401: without a word: has the job "permissions: id-token: ` +
			`write", is it still running`, failure.Never},
		{"403", "GitHub", answer(403, `{"message":"no `+secret+`"}`), `403 "no REDACTED": has the job`,
			failure.Never},
		{"405", "GitHub", answer(405, ""), "is ACTIONS_ID_TOKEN_REQUEST_URL as GitHub has set it?",
			failure.Never},
		{"the key in an error", "GitHub", answer(400, `{"message":"bad `+key+`"}`), `"bad REDACTED"`,
			failure.Never},
		{"401", "Pipelines", answer(401, "", "X-Vss-E2eid", "e2e", "X-Msedge-Ref", "Ref A: 1"),
			"401: without a word (correlation ID e2e, x-msedge-ref Ref A: 1): is SYSTEM_ACCESSTOKEN this " +
				"job's $(System.AccessToken)", failure.Never},
		{"302", "Pipelines", answer(302, "", "Location", "https://evil.example/"+secret),
			"302: a redirect, which is not followed: is SYSTEM_ACCESSTOKEN", failure.Never},
		{"203", "Pipelines", answer(203, page), "203: a page of HTML: is SYSTEM_ACCESSTOKEN",
			failure.Never},
		{"404", "Pipelines", answer(404, "", "X-Msedge-Ref", "Ref A: 1"), "404: without a word " +
			`(x-msedge-ref Ref A: 1): is "c0ffee" the ID of a service connection`, failure.Never},
		{"405", "Pipelines", answer(405, `{"count":1,"value":{"Message":"no GET"}}`),
			`no GET\"}}": is SYSTEM_OIDCREQUESTURI as`, failure.Never},
		{"500 with a shape", "Pipelines", answer(500, `{"$id":"1","message":"TF1: sorry"}`),
			`500 "TF1: sorry"`, failure.Again},

		{"429", "", answer(429, ""), "429: without a word", failure.Again},
		{"408", "", answer(408, ""), "408: without a word", failure.Again},
		{"502", "", answer(502, page, "Content-Type", "text/html"), "502: a page of HTML", failure.Again},
		{"a page with success", "", answer(200, " "+page), "200: a page of HTML: is a proxy",
			failure.Never},
		{"half of an answer", "", answer(200, `{"value":"`+jwt), "the answer is not JSON", failure.Again},
		{"no token", "", answer(200, `{"Value":"`+jwt+`","token":"`+jwt+`"}`), "the answer has no token",
			failure.Never},
		{"a token that is no text", "", answer(200, `{"value":["`+jwt+`"],"oidcToken":1}`),
			"the answer has no token", failure.Never},
		{"null", "", answer(200, "null"), "the answer has no token", failure.Never},
		{"no content", "", answer(204, ""), "204: without a word", failure.Never},
		{"a success of another kind", "", answer(201, `{"value":"`+jwt+`","oidcToken":"`+jwt+`"}`),
			"201: without a word", failure.Never},
		{"a token with an error", "", answer(500, `{"value":"opaque-token","oidcToken":"opaque-token",`+
			`"message":"opaque-token"}`), `500 "REDACTED"`, failure.Again},
		{"too much", "", answer(200, strings.Repeat("x", 1<<20+1)), "larger than 1048576 bytes",
			failure.Never},
	} {
		for name := range jobs {
			if tt.of != "" && tt.of != name {
				continue
			}
			t.Run(name+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				s := job1(t, name, tt.client)
				got, err := s.Get(t.Context(), Request{Audience: audience})
				if got != "" {
					t.Errorf("got %q", got)
				}
				checkError(t, err, s.Name()+": ", tt.verdict, secret, key, "opaque-token", "evil")
				checkError(t, err, tt.want, tt.verdict)
			})
		}
	}
}

// TestWait: how long the endpoint asks to be left alone is for those who try again.
func TestWait(t *testing.T) {
	t.Parallel()
	for name := range jobs {
		_, err := job1(t, name, answer(503, "", "Retry-After", "17")).Get(t.Context(), Request{})
		passing, _ := errors.AsType[*failure.Passing](err)
		if passing == nil || passing.Wait != 17*time.Second {
			t.Errorf("%s: got %+v of %v, want a wait of 17 s", name, passing, err)
		}
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	failing := func(err error) doer {
		return func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: err}
		}
	}
	for _, tt := range []struct {
		name    string
		client  doer
		want    string
		verdict failure.Verdict
	}{
		{"nobody", failing(errors.New("connection refused by " + secret)),
			"no answer: connection refused by REDACTED: may this machine reach https://", failure.Again},
		{"another's certificate", failing(x509.UnknownAuthorityError{}), "does a proxy intercept TLS?",
			failure.Never},
		{"an old clock", failing(x509.CertificateInvalidError{Cert: &x509.Certificate{},
			Reason: x509.Expired}), "is this machine's clock right?", failure.Later},
		{"nothing at all", func(*http.Request) (*http.Response, error) { return nil, nil },
			"neither a response nor an error", failure.Again},
		{"half a body", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(
				strings.NewReader(`{"value":"`+jwt), failingReader{}))}, nil
		}, "the answer was cut short after", failure.Again},
		{"stuck", func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, "no answer in time: may this machine reach https://", failure.Again},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				for name := range jobs {
					_, err := job1(t, name, tt.client).Get(t.Context(), Request{Audience: audience})
					checkError(t, err, tt.want, tt.verdict, secret, key)
				}
				if took := time.Since(began); took > 2*patience {
					t.Errorf("took %v, want %v at most", took, 2*patience)
				}
			})
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestCallerLeaves: the end of the caller's context ends the request.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := job1(t, "GitHub", doer(func(req *http.Request) (*http.Response, error) {
		return nil, req.Context().Err()
	})).Get(ctx, Request{})
	checkError(t, err, "no answer in time", failure.Again)
	if errors.Is(err, context.Canceled) {
		t.Errorf("%v looks like the caller's own", err)
	}
}
