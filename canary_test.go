package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/transport"
)

// The secrets that the tests have in all places where there is one. Each begins and ends so that
// any piece of it is known, and has in the middle what encodings change.
var (
	// X-IDENTITY-HEADER, secret, Arc's key
	hostSecret   = " " + randomText("header", 40) + `&<"/+=%41'\ ` + randomText("header's end", 40)
	ownAssertion = randomText("assertion", 40) + `&<"/+=%41'\` + randomText("assertion's end", 40)
	opaqueToken  = randomText("token", 80)
	jwtToken     = "eyJhbGciOiJSUzI1NiJ9." + randomText("claims", 60) + "." + randomText("signature",
		60)
	toolToken   = randomText("tool", 80)
	endpointKey = randomText("query", 40) // in the query of an endpoint that a variable names
)

// everySecret looks for all of them.
var everySecret = sync.OnceValue(func() *secretSearch {
	s := &secretSearch{}
	for name, secret := range map[string]string{
		"the host's secret": hostSecret, "the assertion": ownAssertion, "the token": opaqueToken,
		"the assertion's signature": assertionSignature,
		"the JWT":                   jwtToken,
		"the tool's token":          toolToken, "the endpoint's key": endpointKey,
	} {
		s.add(name, secret)
	}
	return s
})

// witness is all that listens while a test runs, and all that was printed.
type witness struct {
	mu     sync.Mutex // guards azcore and spans
	azcore bytes.Buffer
	spans  bytes.Buffer
	text   lockedBuffer // slog's, in both forms. A line may be written when its caller has left.
	json   lockedBuffer
	logger *slog.Logger
	shown  []string // what a program may print
	// to be printed at the end by verbs that aren't for them: fmt then reads what pointers lead to
	last   []any
	driven map[string]bool // names of the API
}

// watch begins to listen. It is for tests that are not parallel: azcore's listener is the
// process's.
func watch(driven map[string]bool) (w *witness, stop func()) {
	w = &witness{driven: driven}
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	w.logger = slog.New(slog.NewMultiHandler(slog.NewTextHandler(&w.text, all),
		slog.NewJSONHandler(&w.json, all)))
	azlog.SetListener(func(event azlog.Event, text string) { w.note(&w.azcore, "%s %s", event, text) })
	return w, func() { azlog.SetListener(nil) }
}

func (w *witness) note(to *bytes.Buffer, format string, arguments ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(to, format+"\n", arguments...)
}

// tracer notes all that azcore says of spans.
func (w *witness) tracer() tracing.Provider {
	return tracing.NewProvider(func(name, version string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string,
			o *tracing.SpanOptions) (context.Context, tracing.Span) {
			w.note(&w.spans, "%s %+v", name, o)
			return ctx, tracing.NewSpan(tracing.SpanImpl{
				SetStatus:     func(_ tracing.SpanStatus, text string) { w.note(&w.spans, "%s", text) },
				SetAttributes: func(a ...tracing.Attribute) { w.note(&w.spans, "%+v", a) },
				AddEvent: func(name string, a ...tracing.Attribute) {
					w.note(&w.spans, "%s %+v", name, a)
				},
			})
		}, nil)
	}, nil)
}

// loud are client options that show as much as can be asked for.
func (w *witness) loud(o *azcore.ClientOptions) {
	o.Retry.MaxRetries = -1
	o.TracingProvider = w.tracer()
	o.Logging = policy.LogOptions{
		IncludeBody: true,
		AllowedHeaders: []string{
			"X-IDENTITY-HEADER", " x-identity-header", "Secret", " secret ", "Authorization",
			"authorization ", "Metadata", "Location", "WWW-Authenticate", "X-Echo", "Set-Cookie",
			"X-Correlation-Id", "X-Ms-Request-Id", "*",
		},
		AllowedQueryParams: []string{"client_assertion", "*"},
	}
}

// drove notes a function or method of the API that was called, by its name in testdata/api.txt.
func (w *witness) drove(names ...string) {
	for _, name := range names {
		w.driven[name] = true
	}
}

// show prints a value of the API in all ways there are.
func (w *witness) show(v any) {
	if v == nil || reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil() {
		return
	}
	w.drove(typesIn(reflect.TypeOf(v))...)
	w.print(v)
	if e := reflect.ValueOf(v); e.Kind() == reflect.Pointer {
		w.print(e.Elem()) // of which fmt prints the value, one level deeper
	}
	w.logger.Debug("printed", "value", v)
	text, err := json.Marshal(v)
	w.shown = append(w.shown, fmt.Sprintf("%s %v", text, err))
}

func (w *witness) print(v any) {
	w.shown = append(w.shown, fmt.Sprintf("%v\n%+v\n%#v", v, v, v))
	w.last = append(w.last, v)
}

// typesIn are the names of this package's types that a printed value shows.
func typesIn(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.PkgPath() != "github.com/keyless-go/identity" {
		return nil
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if f.IsExported() {
				names = append(names, typesIn(f.Type)...)
			}
		}
	}
	return append(names, t.Name())
}

// showError prints an error and all that can be reached from it.
func (w *witness) showError(err error) {
	if _, ok := err.(*foreignError); ok || err == nil {
		return
	}
	w.print(err)
	w.shown = append(w.shown, err.Error())
	w.logger.Debug("failed", "error", err, "fields", fmt.Sprintf("%+v", err))
	if e, ok := err.(interface{ Summary() string }); ok { // a chain's, too
		w.shown = append(w.shown, e.Summary())
	}
	if e, ok := err.(*AuthenticationError); ok {
		w.drove("AuthenticationError.Summary", "AuthenticationError.Error",
			"AuthenticationError.Unwrap", "AuthenticationError.NonRetriable")
		e.NonRetriable()
		w.show(e)
		w.showResponse(e.RawResponse)
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		w.showError(x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			w.showError(e)
		}
	}
}

func (w *witness) showResponse(r *http.Response) {
	if r == nil {
		return
	}
	w.print(r)
	dump, err := httputil.DumpResponse(r, true)
	w.shown = append(w.shown, fmt.Sprintf("%s %v %+v", dump, err, r.Trailer))
	if r.Request != nil {
		dump, err := httputil.DumpRequest(r.Request, true)
		w.shown = append(w.shown, fmt.Sprintf("%s %v %s %+v", dump, err, r.Request.URL, *r.Request))
	}
}

// check looks for the secrets in all of it.
func (w *witness) check(t *testing.T, overHTTP bool) {
	t.Helper()
	for _, v := range w.last {
		w.shown = append(w.shown, fmt.Sprintf("%s\n%q", v, v))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := map[string]string{"azcore's log": w.azcore.String(), "the trace": w.spans.String(),
		"slog's text": w.text.String(), "slog's JSON": w.json.String()}
	for where, text := range texts {
		if text == "" && (overHTTP || strings.HasPrefix(where, "slog")) {
			t.Errorf("%s is empty: this test would see nothing", where)
		}
	}
	slices.Sort(w.shown)
	for i, text := range slices.Compact(w.shown) { // much is printed more than once
		texts[fmt.Sprint("print ", i)] = text
	}
	for where, text := range texts {
		if found := everySecret().find(text); found != "" {
			t.Errorf("%s shows %s", where, found)
		}
	}
}

// reply is what a host says to a request that has the secret, at the n-th time, from 1.
type reply func(n int, secret string, r *http.Request) (*http.Response, error)

// hostOutcome is what becomes of requests for a token.
type hostOutcome struct {
	name    string
	reply   reply
	adjust  func(*CredentialOptions) // nil for nothing
	granted bool                     // there is a token
	// all methods are called; the others go the same ways to their end
	long  bool
	inner bool // a connection that is pinned can't be made to do so
	rogue bool // another's certificate than the pinned one
}

// repeating is a reply that repeats the secret in a form, wherever ECHO is in the body or the
// headers. A body that begins with a brace is JSON. TOKEN and JWT are the host's own.
func repeating(f form, status int, body string, header ...string) reply {
	return func(_ int, secret string, _ *http.Request) (*http.Response, error) {
		written, inBody := f.write(secret), f.write(secret)
		if strings.HasPrefix(body, "{") && !f.json {
			inBody = inJSON(written)
		}
		tokens := strings.NewReplacer("TOKEN", opaqueToken, "JWT", jwtToken)
		pairs := make([]string, len(header))
		for i, text := range header {
			pairs[i] = strings.ReplaceAll(tokens.Replace(text), "ECHO", written)
		}
		return respond(status, strings.ReplaceAll(tokens.Replace(body), "ECHO", inBody), pairs...), nil
	}
}

// imdsEcho is IMDS's error with the secret wherever there is room.
const imdsEcho = `{"error":"ECHO","error_description":"you sent ECHO.","correlation_id":"ECHO"}`

// echoes are the places in an answer where a host may repeat something: bodies, and headers as
// names and values.
var echoes = map[string][]string{
	"IMDS's error": {imdsEcho},
	"a coded error": {`{"error":{"code":"ECHO","message":"you sent ECHO","correlationId":"ECHO",` +
		`"innererror":{"trace":"ECHO"}}}`},
	"App Service's error": {`{"statusCode":400,"message":"you sent ECHO","correlationId":"ECHO"}`},
	"legacy App Service's error": {
		`{"ErrorCode":"ECHO","ExceptionMessage":"you sent ECHO","CorrelationId":"ECHO"}`},
	"Entra's error": {`{"error":"invalid_client","error_description":"AADSTS90000: you sent ECHO",` +
		`"error_codes":[90000],"correlation_id":"ECHO"}`},
	"a text":             {"100% wrong: you sent ECHO, didn't you"},
	"a page":             {"<html>you sent ECHO", "Content-Type", "text/html"},
	"a text that is cut": {strings.Repeat("x", 280) + "ECHO"},
	"headers": {`{"error":"x"}`, "X-Echo", "ECHO", "X-Correlation-Id", "ECHO", "Set-Cookie",
		"k=ECHO"},
	"headers that azcore shows": {`{"error":"x"}`, "Server", "ECHO", "X-Ms-Request-Id", "Basic ECHO",
		"Www-Authenticate", "Basic realm=ECHO", "Retry-After", "ECHO"},
	"a location": {"", "Location", "http://elsewhere.example/ECHO?h=ECHO"},
}

// answers are bodies with a 200.
var answers = map[string]string{
	"a token":              `{"access_token":"TOKEN","expires_in":3600,"client_id":"mine"}`,
	"a JWT":                `{"access_token":"JWT","expires_in":3600,"client_id":"mine"}`,
	"another's":            `{"access_token":"TOKEN","expires_in":3600,"client_id":"other"}`,
	"another's JWT":        `{"access_token":"JWT","expires_in":3600,"client_id":"JWT"}`,
	"no date":              `{"access_token":"TOKEN"}`,
	"an expired token":     `{"access_token":"TOKEN","expires_on":"946684801"}`,
	"a date of the token":  `{"access_token":"TOKEN","expires_on":"TOKEN"}`,
	"another kind":         `{"access_token":"TOKEN","expires_in":60,"token_type":"TOKEN"}`,
	"half a token":         `{"access_token":"TOKEN`,
	"half a JWT":           `{"access_token":"JWT`,
	"a list":               `[{"access_token":"TOKEN"}]`,
	"a token with a blank": `{"access_token":"TOKEN JWT","expires_in":60}`,
	"a token in a token":   `{"access_token":{"access_token":"TOKEN"},"expires_in":60}`,
	"a page":               `<html>TOKEN ECHO JWT`,
	"a text":               `TOKEN`,
	"a string":             `"TOKEN"`,
	"a value":              `{"value":"TOKEN","error":"TOKEN","error_description":"TOKEN"}`,
	"a list of tokens":     `{"access_token":["TOKEN"],"expires_in":"1"}`,
	"a line behind it":     `{"access_token":"TOKEN\n","expires_in":60}`,
	"two objects":          `{"access_token":"TOKEN","expires_on":1}{`,
	"a span of the token":  `{"access_token":"TOKEN","expires_in":"TOKEN"}`,
	"too much": `{"access_token":"TOKEN","expires_in":3600,"x":"ECHO` +
		strings.Repeat("x", transport.MaxBody) + `"}`,
}

// lostError is an error whose text says nothing, but what it wraps does.
type lostError struct{ inner error }

func (e lostError) Error() string { return "the connection was lost" }
func (e lostError) Unwrap() error { return e.inner }

// detailedError is an error whose text says nothing, but its fields do.
type detailedError struct{ Header http.Header }

func (e detailedError) Error() string { return "refused" }

// bodyOf is the body of a request.
func bodyOf(r *http.Request) string {
	if r.Body == nil {
		return "no body"
	}
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// fault is what a Transport may do instead of answering a request with a secret.
type fault func(s string, r *http.Request) error

// faults are any, and of innerFaults a pinned connection has none: see hostOutcome.
var faults = map[string]fault{
	"an error": func(s string, _ *http.Request) error {
		return errors.New("can't send " + s)
	},
	"a JWT": func(string, *http.Request) error { return errors.New("not " + jwtToken) },
	"headers": func(_ string, r *http.Request) error {
		return fmt.Errorf("can't send %v", r.Header)
	},
	"another in one": func(s string, _ *http.Request) error { return lostError{errors.New(s)} },
	"an error with fields": func(s string, _ *http.Request) error {
		return detailedError{http.Header{"X": {s}}}
	},
	"net/http's": func(s string, r *http.Request) error {
		return &url.Error{Op: "Get", URL: r.URL.String() + "#" + s, Err: errors.New(s)}
	},
	"the system's": func(s string, _ *http.Request) error {
		return &net.OpError{Op: "dial", Net: s, Err: os.NewSyscallError(s, io.EOF)}
	},
	"an error around two": func(s string, _ *http.Request) error {
		return lostError{errors.Join(io.EOF, lostError{&net.AddrError{Err: "x", Addr: s}})}
	},
}

var innerFaults = map[string]fault{
	"a body": func(_ string, r *http.Request) error { return errors.New("can't send " + bodyOf(r)) },
	"an error with the URL": func(_ string, r *http.Request) error {
		return fmt.Errorf("can't ask %s (%s): %w", r.URL, r.URL.RequestURI(), io.ErrUnexpectedEOF)
	},
	"net/http's with its URL alone": func(s string, r *http.Request) error {
		u := *r.URL
		u.User = url.UserPassword("u", s)
		return fmt.Errorf("lost: %w", &url.Error{Op: "Get", URL: u.String(), Err: io.ErrUnexpectedEOF})
	},
	"an end after a wait": func(s string, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("%w with %s", r.Context().Err(), s)
	},
	"a panic":           func(s string, r *http.Request) error { panic(fmt.Sprint(r.Header, s)) },
	"one with an error": func(s string, _ *http.Request) error { panic(errors.New(s + jwtToken)) },
}

// wickedPolicies are what a user's policy may do instead of sending a request.
var wickedPolicies = map[string]func(*policy.Request) error{
	"an error": func(req *policy.Request) error {
		return fmt.Errorf("not with %v to %s %s", req.Raw().Header, req.Raw().URL, bodyOf(req.Raw()))
	},
	"an error around another": func(req *policy.Request) error {
		return lostError{fmt.Errorf("not with %v to %s, %s", req.Raw().Header, req.Raw().URL, jwtToken)}
	},
	"an SDK's": func(req *policy.Request) error {
		return &azcore.ResponseError{ErrorCode: jwtToken,
			RawResponse: &http.Response{Status: jwtToken, Body: http.NoBody, Request: req.Raw()}}
	},
	"a panic": func(req *policy.Request) error { panic(fmt.Sprint("not with ", req.Raw().Header)) },
}

// twice is a token, and at the next time something else.
func twice(then reply) reply {
	return func(n int, secret string, r *http.Request) (*http.Response, error) {
		if n == 1 {
			return respond(200, fmt.Sprintf(`{"access_token":%q,"expires_in":86400,"client_id":"mine"}`,
				opaqueToken)), nil
		}
		return then(n, secret, r)
	}
}

// cut is an answer that ends with an error.
func cut(status int) reply {
	return func(_ int, secret string, _ *http.Request) (*http.Response, error) {
		resp := respond(status, "", "X-Echo", secret)
		resp.Body = io.NopCloser(io.MultiReader(
			strings.NewReader(`{"access_token":"`+opaqueToken+secret),
			errReader{errors.New("lost after " + secret + jwtToken)}))
		return resp, nil
	}
}

// followed is a refusal after a redirect to a URL with a secret in it that the Transport followed.
func followed(to func(secret string) *url.URL) reply {
	return func(_ int, secret string, r *http.Request) (*http.Response, error) {
		resp := respond(400, `{"error":"x"}`)
		resp.Request = &http.Request{Method: "GET", URL: to(secret), Header: r.Header.Clone(),
			Host: to(secret).Host}
		return resp, nil
	}
}

// elsewhere is a URL with a secret as its password, in its query and as its fragment.
func elsewhere(s string) *url.URL {
	return &url.URL{Scheme: "http", User: url.UserPassword("u", s), Host: "elsewhere.example",
		Path: "/", RawQuery: "h=" + url.QueryEscape(s), Fragment: s}
}

// formOutcomes repeat the secret in one form, in all kinds of answers.
func formOutcomes(p place, f form) []hostOutcome {
	return []hostOutcome{
		{name: "an error with it " + f.name, reply: repeating(f, 400, imdsEcho, "X-Echo", "ECHO",
			"X-Ms-Request-Id", "Basic ECHO", "Www-Authenticate", "Basic realm=ECHO")},
		{name: "a text with it " + f.name,
			reply: repeating(f, 403, "100% wrong: you sent ECHO, didn't you", "Location", "/ECHO")},
		{name: "a redirect with it " + f.name, reply: repeating(f, 302, `<a href="/?k=ECHO">Found</a>`,
			"Location", "http://elsewhere.example/?h=ECHO")},
		{name: "a token's kind, " + f.name,
			reply: repeating(f, 200, `{"access_token":"TOKEN","expires_in":60,"token_type":"ECHO"}`)},
		{name: "another's token, " + f.name, granted: p.client == "",
			reply: repeating(f, 200, `{"access_token":"TOKEN","expires_in":60,"client_id":"ECHO",`+
				`"object_id":"ECHO","msi_res_id":"ECHO"}`)},
	}
}

// hostOutcomes are all that may become of a request at a place. Where nothing is secret in the
// request, the host repeats a token.
func hostOutcomes(p place) (list []hostOutcome) {
	plain := echoedForms[0]
	add := func(o hostOutcome) { list = append(list, o) }
	for name, e := range echoes {
		add(hostOutcome{name: "400 and " + name, reply: repeating(plain, 400, e[0], e[1:]...)})
	}
	list = append(list, formOutcomes(p, plain)...)
	if p.host == HostAppService || p.host == HostWorkloadIdentity {
		// What finds them is the same for all hosts: in a header of one, and in the body of another.
		for _, f := range echoedForms[1:] {
			list = append(list, formOutcomes(p, f)...)
		}
	}
	for _, status := range []int{
		100, 201, 202, 203, 204, 206, 299, 302, 400, 401, 403, 404, 410, 429, 500, 503,
	} {
		if status == 100 && p.pinned { // is none of an answer over a connection
			continue
		}
		add(hostOutcome{name: fmt.Sprint(status, " and it"),
			reply: repeating(plain, status, p.problem("some_error", "you sent ECHO."), "X-Echo", "ECHO")})
		add(hostOutcome{name: fmt.Sprint(status, " and a token"),
			reply: repeating(plain, status,
				`{"access_token":"TOKEN","message":"oops: TOKEN","error":"TOKEN","x":"JWT"}`, "X-Echo", "JWT")})
		add(hostOutcome{name: fmt.Sprint(status, " in renewal"), granted: true,
			long: status == 401 || status == 429, reply: twice(repeating(plain, status,
				`{"error":"you have JWT, you sent ECHO"}`, "Retry-After", "1"))})
	}
	for name, body := range answers {
		granted := name == "a token" || name == "a JWT" || strings.HasPrefix(name, "another's") &&
			p.client == ""
		add(hostOutcome{name: name, reply: repeating(plain, 200, body), granted: granted, long: granted})
	}
	refusal := repeating(plain, 400, `{"error":"x"}`)
	if p.pinned {
		add(hostOutcome{name: "an impostor", reply: refusal, long: true, rogue: true})
	}
	for _, inner := range []bool{false, true} {
		for name, f := range map[bool]map[string]fault{false: faults, true: innerFaults}[inner] {
			add(hostOutcome{name: name, long: strings.HasPrefix(name, "an "), inner: inner,
				reply: func(_ int, secret string, r *http.Request) (*http.Response, error) {
					return nil, f(secret, r)
				}})
		}
	}
	for name, wicked := range wickedPolicies {
		add(hostOutcome{name: name + " of a policy", reply: refusal, long: !strings.Contains(name, " a"),
			adjust: func(o *CredentialOptions) {
				o.PerRetryPolicies = []policy.Policy{policyFunc(
					func(req *policy.Request) (*http.Response, error) { return nil, wicked(req) })}
			}})
	}
	return append(list,
		hostOutcome{name: "another's claim", granted: p.client == "",
			reply: func(_ int, secret string, _ *http.Request) (*http.Response, error) {
				return respond(200, `{"access_token":"`+jwtOf(`{"appid":"`+inJSON(secret)+`"}`)+
					`","expires_in":60,"client_id":"mine"}`), nil
			}},
		hostOutcome{name: "an expired assertion", // which is read again
			reply: repeating(plain, 401,
				`{"error":"invalid_client","error_description":"AADSTS700024: you sent ECHO"}`)},
		hostOutcome{name: "half an answer", reply: cut(200)},
		hostOutcome{name: "half a refusal", long: true, reply: cut(400)},
		hostOutcome{name: "its status text", long: true, inner: true,
			reply: func(_ int, secret string, _ *http.Request) (*http.Response, error) {
				resp := respond(400, `{"error":"x"}`)
				resp.Status = "400 " + secret + " " + jwtToken
				return resp, nil
			}},
		hostOutcome{name: "a redirect that was followed", long: true, inner: true,
			reply: followed(func(secret string) *url.URL {
				to := elsewhere(secret)
				to.Path += secret
				to.RawQuery += "&resource=" + url.QueryEscape(secret)
				return to
			})},
		hostOutcome{name: "one to another's password", inner: true,
			reply: followed(func(string) *url.URL { return elsewhere(endpointKey) })},
	)
}

// secretiveSite opens a place with the secrets in it, whatever the fake thinks of them, and a host
// that says what the outcome does.
func secretiveSite(t *testing.T, p place, o hostOutcome) (environment, policy.Transporter) {
	t.Helper()
	s := p.open(t)
	variables := map[string]string{}
	for _, line := range s.ep.Env(p.base) {
		name, value, _ := strings.Cut(line, "=")
		variables[name] = value
	}
	for _, name := range []string{envEndpoint, envMSI} {
		// whose fake has an endpoint that its key directory is known by
		if variables[name] != "" && p.host != HostArc {
			if strings.Contains(variables[name], "?") {
				variables[name] += "&code=" + endpointKey
			} else {
				variables[name] += "?code=" + endpointKey
			}
		}
	}
	if o.rogue {
		variables[envThumbprint] = strings.Repeat("0", 40)
	}
	secret, file := "", filepath.Join(s.dir, "some.key")
	switch {
	case p.secret != "":
		secret, variables[p.secret] = hostSecret, hostSecret
	case p.host == HostArc:
		secret = hostSecret
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	case p.host == HostWorkloadIdentity:
		secret = ownAssertion
		if err := os.WriteFile(variables[envTokenFile], []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		secret = jwtToken
	}
	env := environmentOf(variables)
	env.run = func(context.Context, command.Command) ([]byte, error) {
		return []byte(toolToken), exits(1, `ERROR: broken {"accessToken": "`+toolToken+`"}`)
	}
	if !p.pinned {
		var mu sync.Mutex
		n := 0
		return env, transportFunc(func(r *http.Request) (*http.Response, error) {
			if p.host == HostArc && r.Header.Get("Authorization") == "" {
				return respond(401, "", "WWW-Authenticate", "Basic realm="+file), nil
			}
			mu.Lock()
			n++
			at := n
			mu.Unlock()
			return o.reply(at, secret, r)
		})
	}
	client := s.ep.Client() // what the reply says goes over a connection
	for n := 1; n <= 2; n++ {
		resp, err := o.reply(n, secret, &http.Request{Method: "GET",
			URL: &url.URL{Scheme: "https", Host: "localhost"}, Header: http.Header{"Secret": {secret}}})
		if err != nil {
			client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn,
				error) {
				return nil, err
			}
			break
		}
		body, err := io.ReadAll(resp.Body)
		answer := identitytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(body),
			Err: err}
		if n == 2 {
			answer.For = 24 * time.Hour
		}
		s.ep.Enqueue(answer)
	}
	return env, client
}

// foreignCredential is one of another package, which is not a pointer.
type foreignCredential struct{ Held, ClientSecret string }

func (c foreignCredential) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, &foreignError{jwtToken}
}

// foreignError is another package's. A chain's error unwraps to it, and must not show it.
type foreignError struct{ text string }

func (e *foreignError) Error() string        { return e.text }
func (e *foreignError) Is(target error) bool { return target == ErrUnavailable }

// TestNoSecretIsSeen: header, key, assertion, and tokens of hosts and of a developer's tools are in
// no error, no log, no trace, no field and no print of anything, whatever becomes of a request and
// whatever the host repeats. AccessToken alone has the token.
func TestNoSecretIsSeen(t *testing.T) { // not parallel, see watch
	driven := map[string]bool{}
	for _, p := range places {
		for _, o := range hostOutcomes(p) {
			if o.inner && p.pinned {
				continue
			}
			synctestRun(t, p.name+"/"+o.name, func(t *testing.T) {
				w, stop := watch(driven)
				defer stop()
				env, transport := secretiveSite(t, p, o)
				driveHost(t, w, p, o, env, transport)
				w.check(t, true)
			})
		}
	}
	eachToolOutcome(func(name string, d developer, o toolOutcome, token string) {
		synctestRun(t, name, func(t *testing.T) {
			w, stop := watch(driven)
			defer stop()
			driveTool(t, w, d, o, token)
			w.check(t, false)
		})
	})
	for source, assertion := range federatedSources {
		for answer, reply := range federatedReplies {
			synctestRun(t, "federated/"+source+"/"+answer, func(t *testing.T) {
				w, stop := watch(driven)
				defer stop()
				driveFederated(t, w, assertion(t), reply)
				w.check(t, false)
			})
		}
	}
	if !t.Failed() {
		checkDriven(t, driven)
	}
}

// driveHost calls all there is to call of a credential, and of the chains that it is part of.
func driveHost(
	t *testing.T, w *witness, p place, o hostOutcome, env environment, transport policy.Transporter,
) {
	time.Sleep(time.Minute) // so that there is a past for a token to have ended in
	options := &CredentialOptions{Logger: w.logger}
	options.Transport = transport
	w.loud(&options.ClientOptions)
	if p.client != "" {
		options.ID = ClientID("mine")
	}
	if o.adjust != nil {
		o.adjust(options)
	}
	w.show(options)
	w.drove("Detect")
	d := detectIn(env)
	d.Evidence = evidence(env)
	w.show(d)

	w.drove("NewCredential", "Credential.GetToken", "Credential.Status", "Credential.Host",
		"Host.String")
	cred, err := newCredential(options, env)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := getToken(t.Context(), cred)
	if (err == nil) != o.granted {
		t.Fatalf("got error %v, want a token: %t", err, o.granted)
	}
	if err == nil && tk.Token == "" {
		t.Fatal("an empty token")
	}
	if o.rogue && !strings.Contains(err.Error(), "has the thumbprint") {
		t.Errorf("got %v, want to hear of the certificate", err)
	}
	w.showError(err)
	driveCallers(t, w, cred)
	if o.granted {
		time.Sleep(16 * time.Hour) // renewal
		_, err = getToken(t.Context(), cred)
		w.showError(err)
	}
	synctest.Wait()
	w.show(cred)
	w.show(cred.Host())
	w.show(cred.Status())
	if !o.long || p.host != HostIMDS && p.host != HostAppService && p.host != HostWorkloadIdentity {
		return
	}

	_, err = asClientChallenged(t.Context(), cred)
	w.showError(err)
	time.Sleep(time.Minute)
	w.drove("Credential.Refresh", "Credential.Ready")
	_, _, err = cred.Refresh(t.Context(), vaultScope)
	w.showError(err)
	time.Sleep(24 * time.Hour)
	short, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second,
		errors.New("that is enough"))
	w.showError(cred.Ready(short, vaultScope, armScope))
	cancel()
	_, err = cred.GetToken(short,
		policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
	w.showError(err)
	synctest.Wait()
	w.show(cred)
	w.show(cred.Status())

	w.drove("NewChain", "Chain.GetToken", "Chain.Ready", "Chain.Status", "Chain.Refresh", "Chain.Statuses",
		"Credential.Statuses", "Reporter", "NewDefaultCredential")
	time.Sleep(time.Hour)
	foreign := foreignCredential{jwtToken, hostSecret}
	chain, err := NewChain([]azcore.TokenCredential{foreign, cred, foreign},
		&ChainOptions{Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	byDefault := &DefaultCredentialOptions{ClientOptions: options.ClientOptions, ID: options.ID,
		Logger: w.logger}
	w.show(byDefault)
	standard, err := newDefaultCredential(newShared(), byDefault, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Chain{chain, standard} {
		w.show(c)
		_, err := getToken(t.Context(), c)
		w.showError(err)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		w.showError(c.Ready(short, armScope))
		cancel()
		time.Sleep(16 * time.Hour)
		_, err = getToken(t.Context(), c)
		w.showError(err)
		synctest.Wait()
		w.show(c)
		w.show(c.Status())
		w.show(c.Statuses())
		_, _, err = c.Refresh(t.Context(), vaultScope)
		w.showError(err)
	}
	w.show(cred.Statuses())
	time.Sleep(5 * time.Minute)
}

// driveCallers gets tokens as programs do that are no Azure SDK clients.
func driveCallers(t *testing.T, w *witness, cred azcore.TokenCredential) {
	w.drove("TokenFunc", "PrincipalOf", "Passing", "Tokens", "Transport.RoundTrip",
		"Transport.CloseIdleConnections")
	token, err := TokenFunc(cred, vaultScope)(t.Context())
	w.showError(err)
	w.shown = append(w.shown, fmt.Sprint(Passing(err)))
	for _, text := range []string{token, jwtToken, hostSecret} {
		is, err := PrincipalOf(text)
		w.showError(err)
		if err != nil { // otherwise it is what the token says, to be used
			w.show(is)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, err := range Tokens(short, cred, vaultScope) {
		w.showError(err)
		break
	}
	api := &Transport{Credential: cred, Scope: vaultScope, Base: roundTripper(
		func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("can't send %v", r.Header)
		})}
	w.show(api)
	for _, url := range []string{"https://api.example/", "http://api.example/"} {
		_, err := (&http.Client{Transport: api}).Get(url)
		w.showError(err)
	}
}

// asClientChallenged asks as an Azure SDK client does whose token was refused.
func asClientChallenged(
	ctx context.Context, cred azcore.TokenCredential,
) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true,
		Claims: rejectedClaims})
}

// lockedBuffer is a buffer that several goroutines write to and read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
