package identity

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/detect"
)

// TestIMDSRequestIsPure: a request changes nothing of the source, nor of another request.
func TestIMDSRequestIsPure(t *testing.T) {
	t.Parallel()
	src, err := newIMDS(nowhere(), settingsOf(&CredentialOptions{ID: ClientID(guid)}))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := src.Call(t.Context(), acquire.Request{Resource: "https://a"})
	first.Header.Set("Metadata", "false")
	first.URL.Host = "elsewhere"
	second, _ := src.Call(t.Context(), acquire.Request{Resource: "https://b"})
	if second.Header.Get("Metadata") != "true" || second.URL.Host != "169.254.169.254" ||
		second.URL.Query().Get("resource") != "https://b" {
		t.Errorf("second request is %s %v", second.URL, second.Header)
	}
	if got := src.Endpoint(); got != "http://169.254.169.254/metadata/identity/oauth2/token" {
		t.Errorf("endpoint is %s", got)
	}
}

func TestIMDSRecognises(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, server, body string
		status             int
		header             []string
		stays              bool // the connection
		want               bool
	}{
		{name: "a token", body: `{"access_token":"t"}`, status: 200, want: true},
		{name: "a token behind blanks", body: "\r\n {\"access_token\":\"t\"}\n", status: 200, want: true},
		{name: "an error", body: `{"error":"invalid_request","error_description":"Identity not found"}`,
			status: 400, want: true},
		{name: "an error of an unknown status", body: `{"error":"x"}`, status: 599, want: true},
		{name: "an error as an object", body: `{"error":{"code":"x"}}`, status: 400, want: true},
		{name: "the header alone", server: "IMDS/150.870.65.1854", status: 500, want: true},
		{name: "the header with HTML", server: "IMDS/150.870.65.1854", body: "<html>", status: 500,
			want: true},
		{name: "broken JSON under the header", server: "IMDS/150.870.65.1854", body: `{"access_tok`,
			status: 200, want: true},
		{name: "empty", status: 200},
		{name: "blank", body: " \n", status: 200},
		{name: "HTML 200", body: "<html>Sign in</html>", status: 200},
		{name: "Firecracker without a token",
			body:   "No MMDS token provided. Use `X-metadata-token` header to specify the session token.",
			status: 401},
		{name: "Firecracker", body: "Resource not found: /metadata/identity/oauth2/token.", status: 404},
		{name: "Docker Desktop",
			body: "connecting to 169.254.169.254:80: dial tcp 169.254.169.254:80: no network.", status: 403},
		{name: "gateway 404", server: "nginx", body: "<html><h1>404</h1></html>", status: 404},
		{name: "proxy 502", server: "squid/5.7", body: "<html>Bad Gateway</html>", status: 502},
		{name: "broken JSON", body: `{"access_tok`, status: 200},
		{name: "array", body: `["error","access_token"]`, status: 200},
		{name: "string", body: `"error access_token"`, status: 200},
		{name: "null", body: `null`, status: 200},
		{name: "number", body: `42`, status: 200},
		{name: "another object", body: `{"message":"error"}`, status: 404},
		{name: "error is null", body: `{"error":null,"path":"/"}`, status: 404},
		{name: "the name in a field below", body: `{"result":{"access_token":"t"}}`, status: 200},
		{name: "the name in a value", body: `{"x":"error access_token"}`, status: 200},
		{name: "another server that mentions it", server: "not-IMDS/1", status: 200},
		{name: "a server named like it", server: "IMDSX/1", status: 200},
		{name: "EC2", server: "EC2ws", body: "<?xml version=\"1.0\"?><html>404 - Not Found</html>",
			status: 404},
		{name: "Google's", server: "Metadata Server for VM",
			body: "<!DOCTYPE html><title>Error 404</title>", status: 404},
		// Almost what only Azure says.
		{name: "empty, and the connection stays", status: 403, stays: true},
		{name: "empty, of a server with a name", status: 403, server: "nginx"},
		{name: "empty, through a proxy", status: 502, header: []string{"Via", "1.1 proxy"}},
		{name: "empty, with a type", status: 503, header: []string{"Content-Type", "text/html"}},
		{name: "empty 401", status: 401},
		{name: "empty 404", status: 404},
		{name: "empty 407", status: 407},
		{name: "empty 504", status: 504},
		{name: "a blank 403", status: 403, body: " "},
		{name: "gone, with a page", status: 410, body: " <html>"},
		{name: "gone, as HTML", status: 410, header: []string{"Content-Type", "text/html"}},
		{name: "IIS with a page", status: 500, server: "Microsoft-IIS/10.0", body: "<html>",
			header: []string{"Content-Type", "text/html"}},
		{name: "IIS with a 404", status: 404, server: "Microsoft-IIS/10.0", body: "no",
			header: []string{"Content-Type", "text/plain"}},
		{name: "a page about a header", status: 400, body: "<p>" + metadata},
		{name: "a header with another status", status: 401, body: metadata},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := acquire.Answer{Status: tt.status, Body: []byte(tt.body),
				Header: respond(tt.status, "", tt.header...).Header, Raw: &http.Response{Close: !tt.stays}}
			if tt.server != "" {
				a.Header.Set("Server", tt.server)
			}
			if got := (&imds{url: detect.IMDSBase + imdsPath}).Recognises(a); got != tt.want {
				t.Errorf("recognised: %v, want %v", got, tt.want)
			}
		})
	}
}

// refusal is a sampled answer and what must become of it.
type refusal struct {
	name     string
	status   int
	body     string // a file of testdata if it ends in .json
	header   []string
	id       ID
	text     string // the whole error
	sentinel error
	code     string
	message  string
	id2      string // the correlation ID
}

func (tt refusal) run(t *testing.T, env environment) {
	bubble(t, func(t *testing.T) {
		body := tt.body
		if strings.HasSuffix(body, ".json") {
			body = sampleOf(t, body)
		}
		e, _ := mustFail(t, credentialAt(t, env, always(tt.status, body, tt.header...),
			func(o *CredentialOptions) {
				o.ID = tt.id
				o.Retry.MaxRetries = -1
			}))
		if diff := cmp.Diff(tt.text, e.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
		for _, sentinel := range sentinels {
			if got, want := errors.Is(e, sentinel), sentinel == tt.sentinel; got != want {
				t.Errorf("errors.Is(%q) is %v, want %v", sentinel, got, want)
			}
		}
		type fields struct {
			Status, Attempts     int
			Code, Message, CorID string
			ID                   ID
		}
		want := fields{tt.status, 1, tt.code, tt.message, tt.id2, tt.id}
		if diff := cmp.Diff(want, fields{e.StatusCode, e.Attempts, e.Code, e.Message, e.CorrelationID,
			e.ID}); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		if e.RawResponse == nil || e.RawResponse.StatusCode != tt.status {
			t.Errorf("RawResponse is %+v", e.RawResponse)
		}
	})
}

// TestAnswersAtIMDSsOwnAddress that are not IMDS's: nothing says that it should be there.
func TestAnswersAtIMDSsOwnAddress(t *testing.T) {
	t.Parallel()
	const (
		who = "identity: IMDS: "
		end = " (token for https://vault.azure.net, 1 attempt, 0s): nothing at http://169.254.169.254" +
			"/metadata/identity/oauth2/token is IMDS: is this an Azure VM, " +
			"and may this process reach that address?"
	)
	for _, tt := range []refusal{
		{name: "Docker Desktop", status: 403, body: "connecting to 169.254.169.254:80: no",
			message: "connecting to 169.254.169.254:80: no", id: ClientID(guid),
			text: `403 "connecting to 169.254.169.254:80: no": not an answer of IMDS`},
		{name: "a gateway", status: 404, body: "<html>\n<h1>Not Found</h1></html>",
			message: "<html> <h1>Not Found</h1></html>",
			text:    `404 "<html> <h1>Not Found</h1></html>": not an answer of IMDS`},
		{name: "a portal's success", status: 200, body: "<html>Sign in</html>",
			text: "200: not an answer of IMDS"},
		{name: "a redirect", status: 307, header: []string{"Location", "http://portal.example/"},
			text: "307: not an answer of IMDS but a redirect, which is not followed"},
	} {
		tt.text, tt.sentinel = who+tt.text+end, ErrUnavailable
		t.Run(tt.name, func(t *testing.T) { tt.run(t, nowhere()) })
	}
}

const metadataSecurity = "Metadata Security Protocol"

// ofProxyAgent is an answer of the agent that stands before IMDS on some VMs.
func ofProxyAgent(status int, header ...string) identitytest.Response {
	r := respond(status, "", append(header, "Connection", "close")...)
	return identitytest.Response{Status: status, Header: r.Header}
}

// azure are answers that only Azure gives at IMDS's address, without JSON and without IMDS's name.
var azure = []struct {
	name    string
	answer  identitytest.Response
	moved   bool // it is believed where a variable has moved IMDS to, too
	retried bool
	said    string // in the error
}{
	{name: "guest proxy agent: not allowed", answer: ofProxyAgent(403), said: metadataSecurity},
	{name: "guest proxy agent: whose connection?", answer: ofProxyAgent(421), retried: true,
		said: metadataSecurity},
	{name: "guest proxy agent: no rules yet", retried: true, said: metadataSecurity,
		answer: ofProxyAgent(500, "Date", "Thu, 01 Jan 1970 00:00:00 GMT", "Content-Length", "0")},
	{name: "guest proxy agent: no IMDS", answer: ofProxyAgent(502), retried: true,
		said: metadataSecurity},
	{name: "guest proxy agent: IMDS fails", answer: ofProxyAgent(503), retried: true,
		said: metadataSecurity},
	{name: "guest proxy agent: what it passes on", retried: true, said: "Service Unavailable",
		answer: identitytest.Response{Status: 503, Body: "Service Unavailable",
			Header: http.Header{"X-Ms-Azure-Host-Authorization": {"value"}}}},
	{name: "gone", answer: identitytest.Response{Status: 410, Header: http.Header{}}, moved: true,
		retried: true, said: "IMDS is being updated"},
	{name: "starting anew", retried: true, said: "The service is unavailable.",
		answer: identitytest.Response{Status: 500, Body: "The service is unavailable.",
			Header: http.Header{"Server": {"Microsoft-IIS/10.0"}, "Content-Type": {"text/plain"}}}},
	{name: "header missing", moved: true, said: metadata,
		answer: identitytest.Response{Status: 400, Body: metadata}},
	{name: "header missing, Container Instances", moved: true, said: metadata + " or not correct",
		answer: identitytest.Response{Status: 400, Body: metadata + " or not correct\r\n"}},
}

// TestOnlyAzureSaysThat: it is Azure for as long as the process lives; what passes is tried again
// with IMDS's patience, and no chain goes on, however it is made.
func TestOnlyAzureSaysThat(t *testing.T) {
	t.Parallel()
	for _, tt := range azure {
		bubbleIn(t, tt.name, func(t *testing.T) {
			script := func(d time.Duration) *identitytest.Endpoint {
				ep, a := identitytest.NewIMDS(nil), tt.answer
				a.For = d
				ep.Enqueue(a)
				return ep
			}
			const updated = 40 * time.Second
			took := time.Now()
			tk, err := getToken(t.Context(), onIMDS(t, script(updated)))
			switch {
			case tt.retried && (err != nil || time.Since(took) < updated):
				t.Errorf("got %v after %v, want a token once it has passed", err,
					time.Since(took))
			case !tt.retried && (err == nil || time.Since(took) > 0):
				t.Errorf("got the token %q after %v, want a definite error", tk.Token,
					time.Since(took))
			}
			e, _ := mustFail(t, onIMDS(t, script(time.Hour)))
			wantErrorText(t, e, tt.said)
			if errors.Is(e, ErrUnavailable) || errors.Is(e, ErrIdentityNotFound) ||
				e.StatusCode != tt.answer.Status {
				t.Errorf("error is %v", e)
			}

			l := &laptop{}
			chain := l.credential(t, script(time.Hour))
			if tk, err := getToken(t.Context(), chain); err == nil || l.runs.Load() > 0 {
				t.Errorf("got %q after %d runs of az, want an error and none", tk.Token,
					l.runs.Load())
			}
			if s := chain.Status(); s.Azure == "" {
				t.Error("the status doesn't say that this is Azure")
			}
			l = &laptop{}
			if tk, _ := getToken(t.Context(),
				l.credential(t, takes(0, script(updated)))); tk.Token == developersToken {
				t.Error("the developer's token")
			}
		})
		// The agent stands at IMDS's own address only. Elsewhere something else may be empty, and
		// the variable says enough.
		moved := &imds{url: "http://127.0.0.1:8080" + imdsPath}
		a := acquire.Answer{Status: tt.answer.Status, Header: tt.answer.Header,
			Body: []byte(tt.answer.Body), Raw: &http.Response{}}
		if got := moved.Recognises(a); got != tt.moved {
			t.Errorf("%s: recognised where IMDS was moved to: %v, want %v", tt.name, got, tt.moved)
		}
		a.Raw, a.Body = nil, nil // it broke off: then the status and the headers say it, or nothing does
		head := a.Status == 410 || a.Header.Get("Server") != "" ||
			a.Header.Get("X-Ms-Azure-Host-Authorization") != ""
		if got := (&imds{url: detect.IMDSBase + imdsPath}).Recognises(a); got != head {
			t.Errorf("%s, and broke off: recognised: %v, want %v", tt.name, got, head)
		}
	}
}

// expecting are environments in which something says that IMDS should be there.
var expecting = map[string]func() environment{
	"moved": func() environment {
		return environmentOf(map[string]string{envAuthority: "http://127.0.0.1:8080"})
	},
	"Container Instances": func() environment {
		return environmentOf(map[string]string{envHeader: "s", envThumbprint: "t"})
	},
	"half of App Service": func() environment {
		return environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token"})
	},
	"half of Azure ML": func() environment {
		return environmentOf(map[string]string{envMSISecret: "s"})
	},
	"chassis": func() environment { return onChassis(chassis.Azure, nil) },
	"Arc's agent unseen": func() environment {
		env := nowhere()
		env.forbidden = func(string) bool { return true }
		return env
	},
}

// onChassis is a machine with a chassis asset tag.
func onChassis(tag string, variables map[string]string) environment {
	env := environmentOf(variables)
	env.chassis = func() string { return tag }
	return env
}

// TestExpectedIMDS has the patience of a host that a variable names, and its silence is no reason
// for a chain to go on.
func TestExpectedIMDS(t *testing.T) {
	t.Parallel()
	for name, env := range expecting {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Err: errNobodyListens, For: 20 * time.Second})
			mustToken(t, credentialAt(t, env(), ep))
			for what, transport := range notIMDS {
				if what == "silence" {
					continue // the full time, as everywhere
				}
				e, took := mustFail(t, credentialAt(t, env(), transport))
				if errors.Is(e, ErrUnavailable) || took < 20*time.Second ||
					took > 31*time.Second {
					t.Errorf("%s: after %v: %v", what, took, e)
				}
				wantErrorText(t, e, "though it should be: ")
			}
			ep.Enqueue(identitytest.Response{Status: 503, Body: "pod list is empty",
				Header: http.Header{"Retry-After": {"20"}}})
			before := len(ep.Requests())
			if _, took := mustToken(t, credentialAt(t, env(), ep)); took < 20*time.Second ||
				took > 30*time.Second || len(ep.Requests()) != before+2 {
				t.Errorf("took %v and %d requests, want 20 s, as was asked for, and 2", took,
					len(ep.Requests())-before)
			}
			l := &laptop{}
			unlike := env()
			unlike.run = l.environment().run
			chain, err := newDefaultCredential(newShared(),
				&DefaultCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: notIMDS["refused"]}},
				unlike)
			if err != nil {
				t.Fatal(err)
			}
			_, err = getToken(t.Context(), chain)
			if err == nil || l.runs.Load() > 0 ||
				!strings.Contains(strings.Split(err.Error(), "\n")[0],
					"set AZURE_TOKEN_CREDENTIALS=dev") {
				t.Errorf("after %d runs of az: %v", l.runs.Load(), err)
			}
		})
	}
}
