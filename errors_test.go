package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/transport"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	const vault = "https://vault.azure.net"
	for _, tt := range []struct {
		name string
		err  AuthenticationError
		want string
	}{
		{"refused", AuthenticationError{Host: HostIMDS, Resource: vault, StatusCode: 400,
			Code: "invalid_request", Message: "Identity not found", Attempts: 1, Elapsed: 12 * time.Millisecond, hint: "is client ID " + guid + " assigned to this VM?"},
			`identity: IMDS: 400 invalid_request "Identity not found" (token for ` + vault +
				`, 1 attempt, 12ms): is client ID ` + guid + ` assigned to this VM?`},
		{"several attempts and a correlation ID",
			AuthenticationError{Host: HostAppService, Resource: vault, StatusCode: 500, Message: "oops",
				CorrelationID: "c", Attempts: 3, Elapsed: 1234567890},
			`identity: App Service: 500 "oops" (token for ` + vault +
				`, 3 attempts, 1.2s, correlation ID c)`},
		{"status only", AuthenticationError{Host: HostIMDS, Resource: vault, StatusCode: 503, Attempts: 2,
			Elapsed: 75*time.Second + 400*time.Millisecond},
			`identity: IMDS: 503 (token for ` + vault + `, 2 attempts, 1m15s)`},
		{"no answer", AuthenticationError{Host: HostIMDS, Resource: vault, Attempts: 1,
			Elapsed: 1500 * time.Nanosecond, what: "no answer from http://x: connection refused"},
			`identity: IMDS: no answer from http://x: connection refused (token for ` + vault +
				`, 1 attempt, 2µs)`},
		{"status and what", AuthenticationError{Host: HostIMDS, Resource: vault, StatusCode: 200,
			Attempts: 1, what: "not an answer of IMDS"},
			`identity: IMDS: 200: not an answer of IMDS (token for ` + vault + `, 1 attempt, 0s)`},
		{"nothing sent", AuthenticationError{Host: HostAppService, Resource: vault,
			what: "IDENTITY_HEADER: is empty"},
			`identity: App Service: IDENTITY_HEADER: is empty (token for ` + vault + `)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

const nasty = "a\r\nb\x00c\x1b[31m\u0085d\u2028e\u2029f\xff\"g\t"

// checkOneLine fails the test if a terminal or a log would show more than one line.
func checkOneLine(tb testing.TB, text string) {
	tb.Helper()
	if strings.ContainsAny(text, "\r\n\v\f\x00\x1b\u0085\u2028\u2029") || !utf8.ValidString(text) {
		tb.Errorf("not one line of UTF-8: %q", text)
	}
}

func TestErrorIsOneLine(t *testing.T) {
	escaped := `a\r\nb\u0000c\u001b[31m\u0085d\u2028e\u2029f\"g\t`
	for _, tt := range []struct {
		name  string
		reply transportFunc
	}{
		{"text", always(500, nasty)},
		{"IMDS's shape", always(500, `{"error":"`+escaped+`","error_description":"`+escaped+
			`","correlation_id":"`+escaped+`"}`)},
		{"App Service's shape", always(500, `{"statusCode":500,"message":"`+escaped+`","correlationId":"`+
			escaped+`"}`)},
		{"headers", always(500, "", "X-Correlation-Id", nasty, "Location", nasty, "Server",
			"IMDS/"+nasty)},
		{"token type", always(200, `{"access_token":"t","expires_in":1,"token_type":"`+escaped+`"}`)},
		{"identity", always(200, `{"access_token":"t","expires_in":60,"client_id":"`+escaped+
			`","mi_res_id":"/x"}`)},
		{"transport's error", func(*http.Request) (*http.Response, error) {
			return nil, errors.New(nasty)
		}},
		{"azcore's error of many lines", func(*http.Request) (*http.Response, error) {
			return nil, &azcore.ResponseError{StatusCode: 404, ErrorCode: nasty}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for _, env := range []environment{nowhere(), appServiceAt()} {
					_, err := getToken(t.Context(), credentialAt(t, env, tt.reply, func(o *CredentialOptions) {
						o.ID = ClientID(guid)
						o.Retry.MaxRetries = -1
					}))
					if err == nil {
						t.Fatal("got a token, want an error")
					}
					checkOneLine(t, err.Error())
					if len(err.Error()) > 2000 {
						t.Errorf("error has %d bytes", len(err.Error()))
					}
				}
			})
		})
	}
	t.Run("fields set by hand", func(t *testing.T) { // a fake in a user's test makes them so
		t.Parallel()
		checkOneLine(t, (&AuthenticationError{Host: nasty, Resource: nasty, StatusCode: 1, Code: nasty,
			Message: nasty, CorrelationID: nasty, Attempts: 1}).Error())
	})
	t.Run("cause of the caller's context", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New(nasty))
			_, err := getToken(ctx, onIMDS(t, always(500, "")))
			if err == nil {
				t.Fatal("got a token, want an error")
			}
			checkOneLine(t, err.Error())
		})
	})
	t.Run("zero value", func(t *testing.T) {
		t.Parallel()
		checkOneLine(t, (&AuthenticationError{}).Error())
	})
}

// TestBlanksInQuotesStay: of a path with several in a row a person would look for another file.
func TestBlanksInQuotesStay(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/var/run/token", "/a  b", " /a   b    c ", "/a\u00a0 \t  b",
		`C:\a  b`, "  ", "/a \xff  b"} {
		text := (&AuthenticationError{Host: HostIMDS, what: "can't read " + redact.Quoted(path) +
			": no such file"}).Error()
		prefix, err := strconv.QuotedPrefix(text[strings.Index(text, `"`):])
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := strconv.Unquote(prefix); got != path || err != nil {
			t.Errorf("%q is shown as %s, error %v", path, text, err)
		}
	}
}

func TestErrorUnwraps(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, reason := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled, nil} {
		for _, cause := range []error{cause, nil} {
			e := &AuthenticationError{reason: reason, cause: cause}
			wrapped := fmt.Errorf("outer: %w", errors.Join(errors.New("another"), e))
			for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled, cause} {
				if sentinel == nil {
					continue
				}
				want := sentinel == reason || sentinel == cause
				if got := errors.Is(wrapped, sentinel); got != want {
					t.Errorf("reason %v, cause %v: errors.Is(%v) is %v, want %v", reason, cause, sentinel, got,
						want)
				}
			}
			if errors.Is(e, nil) {
				t.Error("errors.Is finds nil")
			}
			for _, u := range e.Unwrap() {
				if u == nil {
					t.Error("Unwrap returns a nil error")
				}
			}
		}
	}
	var nonRetriable interface{ NonRetriable() }
	if !errors.As(fmt.Errorf("%w", &AuthenticationError{}), &nonRetriable) {
		t.Error("azcore's retry policy would ask again")
	}
	(&AuthenticationError{}).NonRetriable()
}

// TestErrorNeverUnwrapsToResponseError: a 404 of the host must not look like the missing blob of
// the call. TestErrorAsJSON: a structured log may marshal what it is given.
func TestErrorAsJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 400})
		e, _ := mustFail(t, onIMDS(t, ep, func(o *CredentialOptions) { o.ID = ClientID(guid) }))
		text, err := json.Marshal(e)
		if err != nil || e.RawResponse == nil {
			t.Fatalf("json.Marshal: %v; RawResponse is %v", err, e.RawResponse)
		}
		for _, want := range []string{`"Host":"imds"`, `"ID":"` + guid + `"`, `"StatusCode":400`, `"Code":"invalid_request"`, `"Attempts":1`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("got %s, want %s in it", text, want)
			}
		}
	})
}

func TestErrorNeverUnwrapsToResponseError(t *testing.T) {
	blob := func() error { return &azcore.ResponseError{StatusCode: 404, ErrorCode: "BlobNotFound"} }
	check := func(t *testing.T, err error) {
		t.Helper()
		var re *azcore.ResponseError
		switch {
		case err == nil:
			t.Fatal("got a token, want an error")
		case errors.As(err, &re):
			t.Errorf("error unwraps to an azcore.ResponseError of status %d: %v", re.StatusCode, err)
		}
	}
	for _, tt := range []struct {
		name   string
		reply  transportFunc
		policy policy.Policy
	}{
		{"404 of the host", always(404, imdsError), nil},
		{"400 of the host", always(400, imdsError), nil},
		{"from the Transport", func(*http.Request) (*http.Response, error) { return nil, blob() }, nil},
		{"wrapped by the Transport", func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("x: %w", errors.Join(io.EOF, blob()))
		}, nil},
		{"from a policy", always(500, ""), policyFunc(func(*policy.Request) (*http.Response, error) {
			return nil, blob()
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for _, perCall := range []bool{true, false} {
					_, err := getToken(t.Context(), onIMDS(t, tt.reply, func(o *CredentialOptions) {
						o.Retry.MaxRetries = -1
						switch {
						case tt.policy == nil:
						case perCall:
							o.PerCallPolicies = []policy.Policy{tt.policy}
						default:
							o.PerRetryPolicies = []policy.Policy{tt.policy}
						}
					}))
					check(t, err)
				}
			})
		})
	}
	// errgroup.WithContext cancels the context of all with the error of the first: a blob that is
	// missing for one goroutine is no answer to the token that another waits for.
	t.Run("cause of the caller's context", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Delay: 10 * time.Second})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(blob()) })
			_, err := getToken(ctx, onIMDS(t, ep))
			check(t, err)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("errors.Is(context.Canceled) is false: %v", err)
			}
		})
	})
}

// TestLeavingTogether: an azcore.ResponseError writes to itself in Error, so that two goroutines
// may not ask it for its text at once, and all who share a context are told of its end at once.
func TestLeavingTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Delay: 10 * time.Second})
		cred := onIMDS(t, ep)
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := getToken(ctx, cred); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
		}
		time.Sleep(time.Second)
		cancel(&azcore.ResponseError{StatusCode: 404, ErrorCode: "BlobNotFound"})
		all.Wait()
	})
}

func TestLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Delay: 20 * time.Second})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("shutting down"))
		defer cancel()
		_, err := getToken(ctx, onIMDS(t, ep))
		wantErrorText(t, err,
			"identity: IMDS: gave up waiting after 10s: context deadline exceeded, because shutting down (token for https://vault.azure.net)", "so far the host answered: IMDS: 503")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("errors.Is(context.DeadlineExceeded) is false: %v", err)
		}
		var e *AuthenticationError
		if !errors.As(err, &e) || e.Host != HostIMDS || e.Endpoint == "" ||
			e.Resource != "https://vault.azure.net" {
			t.Errorf("fields are off: %+v", e)
		}
	})
}

// TestForCaller: each caller reads a body of its own.
func TestForCaller(t *testing.T) {
	t.Parallel()
	const body = "the whole body"
	shared := &AuthenticationError{Host: HostIMDS, reason: ErrThrottled, body: body,
		RawResponse: &http.Response{
			StatusCode: 429, Header: http.Header{"A": {"1"}}, Body: io.NopCloser(strings.NewReader(body)),
		}}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			own := shared.forCaller()
			got, err := io.ReadAll(own.RawResponse.Body)
			if err != nil || string(got) != body {
				t.Errorf("caller %d read %q, %v", i, got, err)
			}
			if own.RawResponse.Header.Get("A") != "1" {
				t.Errorf("caller %d found a header that another changed", i)
			}
			own.RawResponse.Header.Set("A", "2")
			own.RawResponse.StatusCode = 0
			own.Message = fmt.Sprint(i)
			own.Attempts++
			if !errors.Is(own, ErrThrottled) {
				t.Errorf("caller %d lost the sentinel", i)
			}
		})
	}
	all.Wait()
	if shared.RawResponse.StatusCode != 429 || shared.RawResponse.Header.Get("A") != "1" ||
		shared.Message != "" || shared.Attempts != 0 {
		t.Errorf("a caller changed the shared error: %+v", shared)
	}
	if own := (&AuthenticationError{Code: "c"}).forCaller(); own.RawResponse != nil ||
		own.Code != "c" {
		t.Errorf("without a response: %+v", own)
	}
}

// TestWaitersHaveTheirOwnErrors: the same through GetToken, with all callers waiting for one
// flight.
func TestWaitersHaveTheirOwnErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 400, Delay: time.Second, Body: imdsError})
		cred := onIMDS(t, ep)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := getToken(context.Background(), cred)
				var e *AuthenticationError
				if !errors.As(err, &e) {
					t.Errorf("got %v, want an AuthenticationError", err)
					return
				}
				got, err := io.ReadAll(e.RawResponse.Body)
				if err != nil || string(got) != imdsError {
					t.Errorf("read %q, %v", got, err)
				}
				e.RawResponse.Header.Set("A", "1")
				e.Message = ""
			})
		}
		all.Wait()
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestRound(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 1: "0s", 1500: "2µs", 1500 * time.Microsecond: "2ms", 1234 * time.Millisecond: "1.2s",
		75400 * time.Millisecond: "1m15s",
		time.Second:              "1s", time.Minute: "1m0s", 90 * time.Minute: "1h30m0s",
		-time.Second: "-1s",
	} {
		if got := redact.Round(d).String(); got != want {
			t.Errorf("redact.Round(%v) is %s, want %s", d, got, want)
		}
	}
}

// TestErrorsKeepLittle: thousands of keys may hold an error, and none a whole answer.
func TestErrorsKeepLittle(t *testing.T) {
	body := strings.Repeat("x", transport.MaxBody-1)
	cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
		return respond(400, strings.Clone(body), "Server", "IMDS/1"), nil
	}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const keys = 64
	for i := range keys {
		if _, err := cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{fmt.Sprint("https://", i)}}); err == nil {
			t.Fatal("got a token")
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > keys*transport.MaxBody/4 {
		t.Errorf("%d errors keep %d bytes, of bodies of %d", keys, kept, transport.MaxBody)
	}
	runtime.KeepAlive(cred)
}

// TestRawResponseShowsNoForeignQuery: the endpoint's own query may be a key to it.
func TestRawResponseShowsNoForeignQuery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		env := environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token?code=" +
			canary, envHeader: "the-secret"})
		e, _ := mustFail(t, credentialAt(t, env,
			transportFunc(func(r *http.Request) (*http.Response, error) {
				resp := respond(400, `{"statusCode":400,"message":"no"}`)
				resp.Request = r
				return resp, nil
			})))
		if got, want := e.RawResponse.Request.URL.RawQuery,
			"api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"; got != want {
			t.Errorf("query is %s, want %s", got, want)
		}
	})
}

// TestUnexpectedSuccessIsNotShown: it may be a token in a wrapping that nobody knows.
func TestUnexpectedSuccessIsNotShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := mustFail(t, credentialAt(t, appServiceAt(),
			always(201, `{"wrapped":"opaque","message":"opaque"}`)))
		body, err := io.ReadAll(e.RawResponse.Body)
		if err != nil || e.StatusCode != 201 || len(body) > 0 || strings.Contains(e.Error(), "opaque") {
			t.Errorf("got %v with the body %q, %v, want a 201 without a byte of it", e, body, err)
		}
	})
}

// TestStrangersAnswerGetsNoHintOfTheHosts: what IMDS means by a 404 says nothing of a proxy's.
func TestStrangersAnswerGetsNoHintOfTheHosts(t *testing.T) {
	for _, status := range []int{404, 429, 503} {
		bubbleIn(t, fmt.Sprint(status), func(t *testing.T) {
			n := 0
			cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return respond(200, grantBody("t", time.Hour)), nil
				}
				return respond(status, "<html>"), nil
			}), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
			mustToken(t, cred)
			err := anotherToken(cred)
			wantErrorText(t, err, "not an answer of IMDS", "proxy or a gateway", "http://169.254.169.254/")
			if strings.Contains(err.Error(), "passes within") ||
				strings.Contains(err.Error(), "20 token requests") {
				t.Errorf("a proxy's answer is explained as the host's: %v", err)
			}
		})
	}
}

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// TestHalfAHostIsNamed: where half of another host's variables are set, IMDS was hardly meant.
func TestHalfAHostIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		variables map[string]string
		want      string
	}{
		{"App Service without the header", map[string]string{envEndpoint: "http://localhost/"},
			"IDENTITY_ENDPOINT"},
		{"Container Instances", map[string]string{envHeader: "h", envThumbprint: "t"},
			"Container Instances"},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			e, _ := mustFail(t, credentialAt(t, environmentOf(tt.variables), always(404, "<html>")))
			wantErrorText(t, e, tt.want)
			e, _ = mustFail(t, credentialAt(t, environmentOf(tt.variables),
				always(400, `{"error":"invalid_request","error_description":"Identity not found"}`), func(o *CredentialOptions) {
					o.ID = ClientID(guid)
				}))
			wantErrorText(t, e, tt.want, "is client ID "+guid+" assigned")
		})
	}
	bubbleIn(t, "nothing set", func(t *testing.T) {
		e, _ := mustFail(t, onIMDS(t, always(404, "<html>")))
		if strings.Contains(e.Error(), "was asked because") {
			t.Errorf("there is no doubt: %v", e)
		}
	})
}

// TestSecretRotatedOnItsWay: a request that met the new secret with the old one is sent again, once
// and at once.
func TestSecretRotatedOnItsWay(t *testing.T) {
	bubbleIn(t, "once", func(t *testing.T) {
		secret, sent := "first", []string{}
		env := environmentOf(nil)
		env.getenv = func(name string) string {
			return map[string]string{envEndpoint: "http://localhost:4141/msi/token", envHeader: secret}[name]
		}
		cred := credentialAt(t, env, transportFunc(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("X-Identity-Header"))
			if secret == "first" {
				secret = "second" // while the request is on its way
				return respond(403, ""), nil
			}
			return respond(200, grantBody("t", time.Hour)), nil
		}))
		if _, took := mustToken(t, cred); took != 0 || !slices.Equal(sent, []string{"first", "second"}) {
			t.Errorf("sent %v in %v, want the new secret at once", sent, took)
		}
	})
	bubbleIn(t, "never rotated", func(t *testing.T) {
		n := 0
		cred := credentialAt(t,
			environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token",
				envHeader: "s"}), transportFunc(func(*http.Request) (*http.Response, error) {
				n++
				return respond(403, ""), nil
			}))
		if mustFail(t, cred); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
	bubbleIn(t, "throttled while it was rotated", func(t *testing.T) {
		n := 0
		env := environmentOf(nil)
		env.getenv = func(name string) string {
			return map[string]string{envEndpoint: "http://localhost:4141/msi/token",
				envHeader: fmt.Sprint("s", n)}[name]
		}
		cred := credentialAt(t, env, transportFunc(func(*http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return respond(429, "{}", "Retry-After", "10"), nil
			}
			return respond(200, grantBody("t", time.Hour)), nil
		}))
		if _, took := mustToken(t, cred); took < 10*time.Second {
			t.Errorf("asked again after %v, the host wanted 10 s", took)
		}
	})
	bubbleIn(t, "rotated each time", func(t *testing.T) {
		n := 0
		env := environmentOf(nil)
		env.getenv = func(name string) string {
			return map[string]string{envEndpoint: "http://localhost:4141/msi/token",
				envHeader: fmt.Sprint("s", n)}[name]
		}
		cred := credentialAt(t, env, transportFunc(func(*http.Request) (*http.Response, error) {
			n++
			return respond(403, ""), nil
		}))
		if mustFail(t, cred); n != 2 {
			t.Errorf("%d requests, want 2: one more and no loop", n)
		}
	})
}

func TestCertificateAdvice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, tt := range []struct {
			err  error
			want string
		}{
			{x509.UnknownAuthorityError{}, "ca-certificates"},
			{x509.SystemRootsError{}, "ca-certificates"},
			{x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
				"clock right? It says 2000-01-01T"},
		} {
			e, _ := mustFail(t, credentialAt(t, inPod(t),
				transportFunc(func(*http.Request) (*http.Response, error) {
					return nil, &tls.CertificateVerificationError{Err: tt.err}
				}), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 }))
			wantErrorText(t, e, tt.want, "HTTPS_PROXY")
		}
	})
}

func TestBlankSecrets(t *testing.T) {
	t.Parallel()
	for variable, env := range map[string]environment{
		envHeader:    environmentOf(map[string]string{envEndpoint: "http://localhost/", envHeader: "  "}),
		envMSISecret: environmentOf(map[string]string{envMSI: "http://localhost/", envMSISecret: "\t"}),
	} {
		_, err := newCredential(nil, env)
		wantErrorText(t, err, variable, "is blank")
	}
}

// TestStrangerInThePlaceOfEntra: whom a pod asks is Entra, and not itself.
func TestStrangerInThePlaceOfEntra(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		cred := credentialAt(t, inPod(t), transportFunc(func(*http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return respond(200, grantBody("t", time.Hour)), nil
			}
			return respond(403, "<html>"), nil
		}), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
		mustToken(t, cred)
		wantErrorText(t, anotherToken(cred), "not an answer of Entra", "in the place of Entra")
	})
}
