package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/transport"
)

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
	fails := func(err error) transportFunc {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for name, reply := range map[string]transportFunc{
		"text": always(500, nasty),
		"headers": always(500, "", "X-Correlation-Id", nasty, "Location", nasty, "Server",
			"IMDS/"+nasty),
		"token type": always(200, `{"access_token":"t","expires_in":1,"token_type":"`+escaped+`"}`),
		"identity": always(200, `{"access_token":"t","expires_in":60,"client_id":"`+escaped+
			`","mi_res_id":"/x"}`),
		"transport's error":            fails(errors.New(nasty)),
		"azcore's error of many lines": fails(&azcore.ResponseError{StatusCode: 404, ErrorCode: nasty}),
	} {
		bubbleIn(t, name, func(t *testing.T) {
			for _, env := range []environment{nowhere(), appServiceAt()} {
				e, _ := mustFail(t, credentialAt(t, env, reply, once, withID(ClientID(guid))))
				checkOneLine(t, e.Error())
				if len(e.Error()) > 2000 {
					t.Errorf("error has %d bytes", len(e.Error()))
				}
			}
		})
	}
	bubbleIn(t, "cause of the caller's context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New(nasty))
		_, err := getToken(ctx, onIMDS(t, always(500, "")))
		checkOneLine(t, err.Error())
	})
	// A fake in a user's test sets fields by hand.
	checkOneLine(t, (&AuthenticationError{Host: nasty, Resource: nasty, StatusCode: 1, Code: nasty,
		Message: nasty, CorrelationID: nasty, Attempts: 1}).Error())
	checkOneLine(t, (&AuthenticationError{}).Error())
}

func TestErrorUnwraps(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	sentinels := []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled}
	for _, reason := range append(sentinels, nil) {
		for _, cause := range []error{cause, nil} {
			e := &AuthenticationError{reason: reason, cause: cause}
			wrapped := fmt.Errorf("outer: %w", errors.Join(errors.New("another"), e))
			for _, sentinel := range append(sentinels, cause) {
				if want := sentinel != nil && (sentinel == reason || sentinel == cause); errors.Is(wrapped,
					sentinel) != want {
					t.Errorf("reason %v, cause %v: errors.Is(%v) is %v", reason, cause, sentinel, !want)
				}
			}
			if slices.Contains(e.Unwrap(), nil) {
				t.Error("Unwrap returns a nil error")
			}
		}
	}
	var nonRetriable interface{ NonRetriable() }
	if !errors.As(fmt.Errorf("%w", &AuthenticationError{}), &nonRetriable) {
		t.Fatal("azcore's retry policy would ask again")
	}
	nonRetriable.NonRetriable()
}

// TestErrorAsJSON: a structured log may marshal what it is given.
func TestErrorAsJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 400})
		e, _ := mustFail(t, onIMDS(t, ep, withID(ClientID(guid))))
		text, err := json.Marshal(e)
		if err != nil || e.RawResponse == nil {
			t.Fatalf("json.Marshal: %v; RawResponse is %v", err, e.RawResponse)
		}
		for _, want := range []string{`"Host":"imds"`, `"ID":"` + guid + `"`, `"StatusCode":400`,
			`"Code":"invalid_request"`, `"Attempts":1`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("got %s, want %s in it", text, want)
			}
		}
	})
}

// TestErrorNeverUnwrapsToResponseError: a 404 of the host must not look like the missing blob of
// the call.
func TestErrorNeverUnwrapsToResponseError(t *testing.T) {
	blob := func() error { return &azcore.ResponseError{StatusCode: 404, ErrorCode: "BlobNotFound"} }
	check := func(t *testing.T, err error) {
		t.Helper()
		if re, ok := errors.AsType[*azcore.ResponseError](err); ok || err == nil {
			t.Errorf("no error, or it unwraps to %v", re)
		}
	}
	failing := policyFunc(func(*policy.Request) (*http.Response, error) { return nil, blob() })
	for name, tt := range map[string]struct {
		reply  transportFunc
		adjust func(*CredentialOptions)
	}{
		"404 of the host":    {always(404, imdsError), once},
		"400 of the host":    {always(400, imdsError), once},
		"from the Transport": {func(*http.Request) (*http.Response, error) { return nil, blob() }, once},
		"wrapped by the Transport": {func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("x: %w", errors.Join(io.EOF, blob()))
		}, once},
		"from a policy": {always(500, ""), func(o *CredentialOptions) {
			o.PerCallPolicies = []policy.Policy{failing}
		}},
		"from a policy of tries": {always(500, ""), func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{failing}
		}},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			_, err := getToken(t.Context(), onIMDS(t, tt.reply, once, tt.adjust))
			check(t, err)
		})
	}
	// errgroup.WithContext cancels the context of all with the error of the first: a blob that is
	// missing for one goroutine is no answer to the token that another waits for.
	bubbleIn(t, "cause of the caller's context", func(t *testing.T) {
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
			"identity: IMDS: gave up waiting after 10s: context deadline exceeded, because shutting down "+
				"(token for https://vault.azure.net)", "so far the host answered: IMDS: 503")
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

// TestWaitersHaveTheirOwnErrors: each of those who wait for one flight reads a body of its own, and
// changes nothing of the others' error.
func TestWaitersHaveTheirOwnErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429, Delay: time.Second, Body: imdsError})
		cred := onIMDS(t, ep, once)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				e, _ := mustFail(t, cred)
				got, err := io.ReadAll(e.RawResponse.Body)
				if err != nil || string(got) != imdsError || e.RawResponse.Header.Get("A") != "" ||
					e.RawResponse.StatusCode != 429 || e.Message != "some text" || e.Attempts != 1 ||
					!errors.Is(e, ErrThrottled) {
					t.Errorf("read %q, %v of %+v", got, err, e)
				}
				e.RawResponse.Header.Set("A", "1")
				e.RawResponse.StatusCode = 0
				e.Message = ""
				e.Attempts++
			})
		}
		all.Wait()
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
	if own := (&AuthenticationError{Code: "c"}).forCaller(); own.RawResponse != nil ||
		own.Code != "c" {
		t.Errorf("without a response: %+v", own)
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

// TestStrangersAnswerGetsNoHintOfTheHosts: what IMDS means by a 404 says nothing of a proxy's. A
// pod asks Entra, and not itself.
func TestStrangersAnswerGetsNoHintOfTheHosts(t *testing.T) {
	for _, status := range []int{404, 429, 503} {
		bubbleIn(t, fmt.Sprint(status), func(t *testing.T) {
			cred := onIMDS(t, afterOne(always(status, "<html>")), once)
			mustToken(t, cred)
			err := anotherToken(cred)
			wantErrorText(t, err, "not an answer of IMDS", "proxy or a gateway", "http://169.254.169.254/")
			if strings.Contains(err.Error(), "passes within") ||
				strings.Contains(err.Error(), "20 token requests") {
				t.Errorf("a proxy's answer is explained as the host's: %v", err)
			}
		})
	}
	bubbleIn(t, "Entra", func(t *testing.T) {
		cred := credentialAt(t, inPod(t), afterOne(always(403, "<html>")), once)
		mustToken(t, cred)
		wantErrorText(t, anotherToken(cred), "not an answer of Entra", "in the place of Entra")
	})
}

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// TestHalfAHostIsNamed: where half of another host's variables are set, IMDS was hardly meant.
func TestHalfAHostIsNamed(t *testing.T) {
	for want, variables := range map[string][]string{
		envEndpoint:           {envEndpoint, "http://localhost/"},
		"Container Instances": {envHeader, "h", envThumbprint, "t"},
		"":                    nil,
	} {
		bubbleIn(t, want, func(t *testing.T) {
			env := nowhere().with(variables...)
			e, _ := mustFail(t, credentialAt(t, env, always(404, "<html>")))
			wantErrorText(t, e, want)
			if want == "" && strings.Contains(e.Error(), "was asked because") {
				t.Errorf("there is no doubt: %v", e)
			}
			e, _ = mustFail(t, credentialAt(t, env, always(400,
				`{"error":"invalid_request","error_description":"Identity not found"}`),
				withID(ClientID(guid))))
			wantErrorText(t, e, want, "is client ID "+guid+" assigned")
		})
	}
}

// TestSecretRotatedOnItsWay: a request that met the new secret with the old one is sent again, once
// and at once.
func TestSecretRotatedOnItsWay(t *testing.T) {
	const second = time.Second
	for _, tt := range []struct {
		name   string
		status int  // of the answers to a secret that was read before the last
		stays  bool // the secret
		always bool // it is rotated each time, and not only the first
		after  []time.Duration
		fails  bool
	}{
		{name: "once", status: 403, after: []time.Duration{0, 0}},
		{name: "never", status: 403, stays: true, after: []time.Duration{0}, fails: true},
		{name: "each time", status: 403, always: true, after: []time.Duration{0, 0}, fails: true},
		{name: "throttled", status: 429, after: []time.Duration{0, 10 * second}},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			n, start := 0, time.Now()
			var after []time.Duration
			env := appServiceAt()
			given := env.getenv
			env.getenv = func(name string) string {
				if name == envHeader && !tt.stays {
					return fmt.Sprint("secret-", n)
				}
				return given(name)
			}
			cred := credentialAt(t, env, transportFunc(func(r *http.Request) (*http.Response, error) {
				if got, want := r.Header.Get("X-Identity-Header"), env.getenv(envHeader); got != want {
					t.Errorf("sent %s, want %s", got, want)
				}
				after = append(after, time.Since(start).Truncate(second))
				if n++; n == 1 || tt.always { // while the request is on its way
					return respond(tt.status, "{}", "Retry-After", "10"), nil
				}
				return respond(200, grantBody("t", time.Hour)), nil
			}))
			if _, err := getToken(t.Context(), cred); (err != nil) != tt.fails ||
				!slices.Equal(after, tt.after) {
				t.Errorf("sent after %v, want %v: %v", after, tt.after, err)
			}
		})
	}
}

func TestBlankSecrets(t *testing.T) {
	t.Parallel()
	for variable, endpoint := range map[string]string{envHeader: envEndpoint, envMSISecret: envMSI} {
		_, err := newCredential(nil, nowhere().with(endpoint, "http://localhost/", variable, " \t"))
		wantErrorText(t, err, variable, "is blank")
	}
}
