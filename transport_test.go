package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/transport"
)

// served starts the endpoint on loopback and returns the environment of its host.
func served(tb testing.TB, ep *identitytest.Endpoint) environment {
	tb.Helper()
	server := httptest.NewServer(ep)
	tb.Cleanup(server.Close)
	variables := map[string]string{}
	for _, line := range ep.Env(server.URL) {
		name, value, _ := strings.Cut(line, "=")
		variables[name] = value
	}
	return environmentOf(variables)
}

func TestDefaultTransport(t *testing.T) {
	t.Parallel()
	for _, ep := range []*identitytest.Endpoint{identitytest.NewIMDS(nil), identitytest.NewAppService(nil)} {
		cred, err := newCredential(nil, served(t, ep))
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range scopesOf(2) {
			if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range ep.Requests() {
			if !r.Close {
				t.Errorf("%v: the connection would be kept: a pooled one poisons a later call", cred.Host())
			}
			if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("%v: headers nobody asked for: %v", cred.Host(), r.Header)
			}
		}
	}
	transport := transport.Node.Transport.(*http.Transport)
	if transport.Proxy != nil {
		t.Error("a proxy would get the request for a node endpoint")
	}
}

// TestProcessSharesTokens: fifty clients that each made a credential of one identity send one request.
func TestProcessSharesTokens(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewIMDS(nil)
	env := served(t, ep)
	for range 50 {
		cred, err := newCredential(nil, env)
		if err != nil {
			t.Fatal(err)
		}
		mustToken(t, cred)
	}
	if got := len(ep.Requests()); got != 1 {
		t.Errorf("50 credentials without a Transport sent %d requests, want 1", got)
	}
}

// TestNoProxy sets the environment's proxies: whatever they say, the endpoint is asked directly. ProxyFromEnvironment
// exempts loopback, so that the request is for a name that only this test's resolver of addresses knows.
func TestNoProxy(t *testing.T) {
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	ep := identitytest.NewIMDS(nil)
	server := httptest.NewServer(ep)
	defer server.Close()
	direct := transport.Node.Transport.(*http.Transport).Clone()
	direct.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(addr, "169.254.169.254:") {
			return nil, fmt.Errorf("dialled %s, want the endpoint itself", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	cred := onIMDS(t, &http.Client{Transport: direct})
	mustToken(t, cred)
	if proxied.Load() != 0 {
		t.Errorf("the proxy saw %d requests, want 0", proxied.Load())
	}
	if got := len(ep.Requests()); got != 1 {
		t.Errorf("the endpoint saw %d requests, want 1", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Add(1)
		_, _ = io.WriteString(w, grantBody("stolen", time.Hour))
	}))
	t.Cleanup(elsewhere.Close)
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(redirecting.Close)
	env := environmentOf(map[string]string{envEndpoint: redirecting.URL + "/msi/token", envHeader: "the-secret"})
	for _, tt := range []struct {
		name      string
		transport policy.Transporter
	}{
		{"default", nil},
		{"a client of the user's", &http.Client{}},
		{"http.DefaultClient", http.DefaultClient},
	} {
		cred := credentialAt(t, env, tt.transport, func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
		e, _ := mustFail(t, cred)
		if followed.Load() != 0 {
			t.Fatalf("%s: the redirect was followed, and the secret header with it", tt.name)
		}
		if e.StatusCode != http.StatusTemporaryRedirect || !strings.Contains(e.Error(), "redirect") {
			t.Errorf("%s: got %v, want an error that names the redirect", tt.name, e)
		}
	}
	if http.DefaultClient.CheckRedirect != nil {
		t.Error("the user's client was changed")
	}
}

func TestBodies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply transportFunc
		want  string
	}{
		{"over 1 MiB", always(200, `{"access_token":"`+strings.Repeat("a", 1<<20)+`"}`), "larger than 1048576 bytes"},
		{"an error over 1 MiB", always(500, strings.Repeat("a", 1<<20+1)), "larger than 1048576 bytes"},
		{"no body at all", func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 500}, nil }, "500"},
		{"neither response nor error", func(*http.Request) (*http.Response, error) { return nil, nil }, "neither a response nor an error"},
		{"response and error", func(*http.Request) (*http.Response, error) {
			return respond(200, grantBody("t", time.Hour)), io.ErrClosedPipe
		}, "closed pipe"},
		{"not JSON", always(200, `{"access_token":"eyJhbGciOiJ`, "Server", "IMDS/1"), "not a JSON object"},
		{"empty access_token", always(200, `{"access_token":"","expires_in":"3600"}`), "no access_token"},
		{"wrong token_type", always(200, `{"access_token":"t","expires_in":"3600","token_type":"pop"}`), "token_type"},
		{"expired", always(200, `{"access_token":"t","expires_on":"946684801","x":"946684800"}`), "expired at 2000-01-01T00:00:01Z"},
		{"undated", always(200, `{"access_token":"t"}`), "does not say when the token expires"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				time.Sleep(time.Minute)
				e, _ := mustFail(t, onIMDS(t, tt.reply, func(o *CredentialOptions) { o.Retry.MaxRetries = -1 }))
				if !strings.Contains(e.Error(), tt.want) || len(e.Error()) > 1000 {
					t.Errorf("got %v, want %q", e, tt.want)
				}
			})
		})
	}
	t.Run("exactly 1 MiB", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			head := `{"access_token":"t","expires_in":3600,"pad":"`
			mustToken(t, onIMDS(t, always(202, head+strings.Repeat(" ", transport.MaxBody-len(head)-2)+`"}`)))
		})
	})
}

// TestEndlessBody: the limit holds for what is read, not only for what is kept.
func TestEndlessBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		body := &endlessBody{}
		_, _ = mustFail(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: body}, nil
		}), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 }))
		if body.read > 2*transport.MaxBody {
			t.Errorf("%d bytes were read, want little more than %d", body.read, transport.MaxBody)
		}
	})
}

type endlessBody struct{ read int }

func (b *endlessBody) Read(p []byte) (int, error) { b.read += len(p); return len(p), nil }
func (b *endlessBody) Close() error               { return nil }

// TestCallersContextValues: none of them reaches the Transport, least of all those of azcore, which
// belong to the caller's operation.
func TestCallersContextValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429}, identitytest.Response{Status: 429})
		var value any
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			value = r.Context().Value(key{})
			if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
				trace.GetConn("") // which calls the caller's hook, too, if it is there
			}
			return ep.Do(r)
		}))
		traced := false
		var captured *http.Response
		ctx := context.WithValue(t.Context(), key{}, "the caller's")
		ctx = policy.WithCaptureResponse(ctx, &captured)
		ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Of-The-Caller": {"1"}})
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: 5, RetryDelay: time.Nanosecond, StatusCodes: []int{429}})
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { traced = true }})
		start := time.Now()
		if _, err := getToken(ctx, cred); err != nil {
			t.Fatal(err)
		}
		if traced {
			t.Error("the caller's httptrace hook was called: it could see the secret header, and after the caller has left")
		}
		if captured != nil {
			t.Error("the token's response was captured into the caller's variable")
		}
		if value != nil {
			t.Errorf("the Transport sees the caller's own value %v, and would after the caller has left",
				value)
		}
		if time.Since(start) < time.Microsecond {
			t.Error("the caller's retry options were used: two layers retry")
		}
		for _, r := range ep.Requests() {
			if r.Header.Get("X-Of-The-Caller") != "" {
				t.Error("the caller's header went to the host")
			}
		}
	})
}

// TestTracing: a span for each acquisition that reaches the host, with the HTTP requests below it, none for a hit.
func TestTracing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type parent struct{}
		var mu sync.Mutex
		var spans []string
		provider := tracing.NewProvider(func(name, version string) tracing.Tracer {
			return tracing.NewTracer(func(ctx context.Context, name string, _ *tracing.SpanOptions) (context.Context, tracing.Span) {
				if up, _ := ctx.Value(parent{}).(string); up != "" {
					name = up + " > " + name
				}
				mu.Lock()
				spans = append(spans, name)
				mu.Unlock()
				return context.WithValue(ctx, parent{}, name), tracing.NewSpan(tracing.SpanImpl{
					SetStatus: func(_ tracing.SpanStatus, text string) {
						mu.Lock()
						defer mu.Unlock()
						spans = append(spans, "status of "+name+": "+text)
					},
				})
			}, nil)
		}, nil)
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503})
		cred := onIMDS(t, ep, func(o *CredentialOptions) { o.TracingProvider = provider })
		ctx := context.WithValue(t.Context(), parent{}, "caller")
		for range 3 {
			if _, err := getToken(ctx, cred); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"caller > Credential.GetToken",
			"caller > Credential.GetToken > HTTP GET",
			"status of caller > Credential.GetToken > HTTP GET: 503 Service Unavailable",
			"caller > Credential.GetToken > HTTP GET",
		}
		if diff := cmp.Diff(want, spans); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
	})
}

// canary marks what must not be seen anywhere.
const canary = "CANARY"

// synctestRun is a subtest in a bubble, but not in parallel.
func synctestRun(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestSlog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		take := func() string {
			synctest.Wait() // a renewal logs in the background
			defer log.Reset()
			return log.String()
		}
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ep := identitytest.NewIMDS(&identitytest.Options{HostCache: true, Identities: []identitytest.Identity{{ClientID: "mine"}}})
		cred := onIMDS(t, ep, func(o *CredentialOptions) {
			o.ID, o.Logger = ClientID("mine"), logger
			o.Retry.MaxRetries = -1
		})
		check := func(what, got string, want ...string) {
			t.Helper()
			if strings.Count(got, "\n") != 1 {
				t.Errorf("%s: want one line, got %q", what, got)
			}
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s: got %s\nwant %q in it", what, got, w)
				}
			}
		}
		mustToken(t, cred)
		check("first", take(), "level=INFO", `msg="token acquired"`, "host=imds", "endpoint=http://169.254.169.254/metadata/identity/oauth2/token",
			`identity="client ID mine"`, "resource=https://vault.azure.net", "expires=2000-01-02T00:00:00", "renewal=2000-01-01T1")
		mustToken(t, cred)
		if got := take(); got != "" {
			t.Errorf("a hit logs %q", got)
		}
		time.Sleep(14 * time.Hour)
		mustToken(t, cred)
		check("renewal", take(), "level=DEBUG", `msg="token renewed"`, "changed=false", "expires=2000-01-02T00:00:00")
		time.Sleep(6 * time.Hour)
		ep.Enqueue(identitytest.Response{Status: 503})
		mustToken(t, cred)
		check("failed renewal", take(), "level=INFO", "the held token stays in use", "503", "next_try=2000-01-01T20:00:0", "expires=2000-01-02T00:00:00")
		time.Sleep(10 * time.Second)
		ep.Enqueue(identitytest.Response{Status: 503})
		mustToken(t, cred)
		check("and again", take(), "level=WARN", "the held token stays in use", "503", "next_try=2000-01-01T20:00:1")
		time.Sleep(5 * time.Hour)
		ep.Enqueue(identitytest.Response{Status: 400})
		_, _ = mustFail(t, cred)
		check("failure", take(), "level=WARN", `msg="token request failed"`, "Identity not found", "next_try=2000-01-02T01:00:1")
		time.Sleep(time.Minute)
		ep.Enqueue(identitytest.Response{Body: `{"access_token":"t","expires_in":60,"client_id":"other"}`})
		_, _ = mustFail(t, cred)
		check("mismatch", take(), "level=WARN", `msg="token of another identity refused"`, "client ID mine", "other")
		time.Sleep(time.Minute)
		mustToken(t, cred)
		check("after expiry", take(), "level=INFO", `msg="token acquired"`)
	})
}

func TestSilentByDefault(t *testing.T) {
	t.Parallel()
	cred := onIMDS(t, &answerDirectly{})
	if cred.hosted.log.Enabled(t.Context(), slog.LevelError) {
		t.Error("a credential without Logger logs")
	}
}

// TestAzcoreClient: the credential below a real azcore pipeline.
func TestAzcoreErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	var e error = &AuthenticationError{}
	var nre interface{ NonRetriable() }
	if !errors.As(e, &nre) {
		t.Error("azcore would retry a failed GetToken")
	}
	var _ azcore.TokenCredential = (*Credential)(nil)
}
