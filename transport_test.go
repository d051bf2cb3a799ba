package identity

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	return environmentAt(ep, server.URL)
}

// TestBodies: TestHostSendsSomethingElse has what isn't a token.
func TestBodies(t *testing.T) {
	const tooLarge = "larger than 1048576 bytes"
	returns := func(resp *http.Response, err error) transportFunc {
		return func(*http.Request) (*http.Response, error) { return resp, err }
	}
	for _, tt := range []struct {
		name  string
		reply transportFunc
		want  string
	}{
		{name: "over 1 MiB", want: tooLarge,
			reply: always(200, `{"access_token":"`+strings.Repeat("a", 1<<20)+`"}`)},
		{name: "an error over 1 MiB", reply: always(500, strings.Repeat("a", 1<<20+1)), want: tooLarge},
		{name: "no body at all", reply: returns(&http.Response{StatusCode: 500}, nil), want: "500"},
		{name: "neither response nor error", reply: returns(nil, nil),
			want: "neither a response nor an error"},
		{name: "response and error", want: "closed pipe",
			reply: returns(respond(200, `{"access_token":"t","expires_in":60}`), io.ErrClosedPipe)},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			e, _ := mustFail(t, onIMDS(t, tt.reply, once))
			if !strings.Contains(e.Error(), tt.want) || len(e.Error()) > 1000 {
				t.Errorf("got %v, want %q", e, tt.want)
			}
		})
	}
	bubbleIn(t, "exactly 1 MiB", func(t *testing.T) {
		head := `{"access_token":"t","expires_in":3600,"pad":"`
		mustToken(t, onIMDS(t,
			always(202, head+strings.Repeat(" ", transport.MaxBody-len(head)-2)+`"}`)))
	})
	// The limit holds for what is read, not only for what is kept.
	bubbleIn(t, "endless", func(t *testing.T) {
		var body endlessBody
		mustFail(t, onIMDS(t, returns(&http.Response{StatusCode: 200, Body: io.NopCloser(&body)}, nil),
			once))
		if body > 2*transport.MaxBody {
			t.Errorf("%d bytes were read, want little more than %d", body, transport.MaxBody)
		}
	})
}

// endlessBody counts what is read of it.
type endlessBody int

func (b *endlessBody) Read(p []byte) (int, error) { *b += endlessBody(len(p)); return len(p), nil }

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
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{
			MaxRetries: 5, RetryDelay: time.Nanosecond, StatusCodes: []int{429}})
		ctx = httptrace.WithClientTrace(ctx,
			&httptrace.ClientTrace{GetConn: func(string) { traced = true }})
		start := time.Now()
		if _, err := getToken(ctx, cred); err != nil {
			t.Fatal(err)
		}
		if traced || value != nil {
			t.Errorf("the caller's httptrace hook was called: %v, the Transport sees the caller's value %v",
				traced, value)
		}
		if captured != nil {
			t.Error("the token's response was captured into the caller's variable")
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

// TestTracing: a span for each acquisition that reaches the host, with the HTTP requests below it,
// none for a hit.
func TestTracing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type parent struct{}
		var mu sync.Mutex
		var spans []string
		provider := tracing.NewProvider(func(name, version string) tracing.Tracer {
			return tracing.NewTracer(func(ctx context.Context, name string,
				_ *tracing.SpanOptions) (context.Context, tracing.Span) {
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
		ep := identitytest.NewIMDS(&identitytest.Options{HostCache: true,
			Identities: []identitytest.Identity{{ClientID: "mine"}}})
		cred := onIMDS(t, ep, once, withID(ClientID("mine")), func(o *CredentialOptions) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		const kept, expires = "the held token stays in use", "expires=2000-01-02T00:00:00"
		another := identitytest.Response{
			Body: `{"access_token":"t","expires_in":60,"client_id":"other"}`}
		for _, tt := range []struct {
			what  string
			after time.Duration
			host  identitytest.Response // its answer, if not as ever
			fails bool
			want  []string // in the one line; nil for none
		}{
			{what: "first",
				want: []string{"level=INFO", `msg="token acquired"`, "host=imds",
					"endpoint=http://169.254.169.254/metadata/identity/oauth2/token", `identity="client ID mine"`,
					"resource=https://vault.azure.net", expires, "renewal=2000-01-01T1"}},
			{what: "a hit"},
			{what: "renewal", after: 14 * time.Hour,
				want: []string{"level=DEBUG", `msg="token renewed"`, "changed=false", expires}},
			{what: "failed renewal", after: 6 * time.Hour, host: identitytest.Response{Status: 503},
				want: []string{"level=INFO", kept, "503", "next_try=2000-01-01T20:00:0", expires}},
			{what: "and again", after: 10 * time.Second, host: identitytest.Response{Status: 503},
				want: []string{"level=WARN", kept, "503", "next_try=2000-01-01T20:00:1"}},
			{what: "failure", after: 5 * time.Hour, host: identitytest.Response{Status: 400}, fails: true,
				want: []string{"level=WARN", `msg="token request failed"`, "Identity not found",
					"next_try=2000-01-02T01:00:1"}},
			{what: "mismatch", after: time.Minute, host: another, fails: true, want: []string{"level=WARN",
				`msg="token of another identity refused"`, "client ID mine", "other"}},
			{what: "after expiry", after: time.Minute, want: []string{"level=INFO", `msg="token acquired"`}},
		} {
			time.Sleep(tt.after)
			if tt.host.Status != 0 || tt.host.Body != "" {
				ep.Enqueue(tt.host)
			}
			if _, err := getToken(t.Context(), cred); (err != nil) != tt.fails {
				t.Errorf("%s: error is %v", tt.what, err)
			}
			synctest.Wait() // a renewal logs in the background
			got := log.String()
			log.Reset()
			if n := strings.Count(got, "\n"); n != min(1, len(tt.want)) {
				t.Errorf("%s: %d lines: %s", tt.what, n, got)
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s: got %s\nwant %q in it", tt.what, got, want)
				}
			}
		}
	})
}

func TestSilentByDefault(t *testing.T) {
	t.Parallel()
	cred := onIMDS(t, &answerDirectly{})
	if cred.hosted.log.Enabled(t.Context(), slog.LevelError) {
		t.Error("a credential without Logger logs")
	}
}
