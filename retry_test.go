package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/transport"
)

// always answers every request alike.
func always(status int, body string, header ...string) transportFunc {
	return func(*http.Request) (*http.Response, error) { return respond(status, body, header...), nil }
}

// afterOne grants the first request a token; reply answers the others.
func afterOne(reply transportFunc) transportFunc {
	n := 0
	return func(r *http.Request) (*http.Response, error) {
		if n++; n == 1 {
			return respond(200, grantBody("t", time.Hour)), nil
		}
		return reply(r)
	}
}

// hangs answers when its request ends.
var hangs transportFunc = func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const (
	imdsError       = `{"error":"some_error","error_description":"some text"}`
	appServiceError = `{"statusCode":0,"message":"some text","correlationId":"c0ffee"}`
)

// appServiceAt is App Service's environment for tests that answer with a transportFunc.
func appServiceAt() environment {
	return environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token",
		envHeader: "the-secret"})
}

// foreign are answers of something in the host's place, and silence.
var foreign = []struct {
	name  string
	reply transportFunc
	// it is believed where the platform has named the endpoint
	refusal bool
}{
	{name: "Docker Desktop's 403", refusal: true, reply: always(403,
		"connecting to 169.254.169.254:80: dial tcp: a socket operation was attempted to an "+
			"unreachable network")},
	{name: "a gateway's 404 page", refusal: true,
		reply: always(404, "<html><body>Not Found</body></html>", "Content-Type", "text/html")},
	{name: "a proxy's 502", reply: always(502, "<html>Bad Gateway</html>", "Server", "squid")},
	{name: "an HTML 200", reply: always(200, "<!doctype html><title>The guest network</title>")},
	{name: "an empty 200", reply: always(200, "")},
	{name: "over 1 MiB", reply: always(200, "<html>"+strings.Repeat(" ", transport.MaxBody))},
	{name: "cut short", reply: func(*http.Request) (*http.Response, error) {
		r := respond(200, "")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("<html>"),
			errReader{io.ErrUnexpectedEOF}))
		return r, nil
	}},
	{name: "another cloud's JSON", refusal: true, reply: always(404, `{"message":"no such path"}`)},
	{name: "a JSON array", reply: always(200, `["error"]`)},
	{name: "a redirect", reply: always(302, "", "Location", "http://portal.example/login")},
	{name: "connection refused", reply: func(*http.Request) (*http.Response, error) {
		return nil, syscall.ECONNREFUSED
	}},
	{name: "connection closed", reply: func(*http.Request) (*http.Response, error) {
		return nil, io.EOF
	}},
	{name: "slow silence", reply: func(r *http.Request) (*http.Response, error) {
		_ = lasts(r.Context(), time.Second)
		return nil, errors.New("dial tcp: i/o timeout")
	}},
}

func TestAnswersThatAreNotTheHosts(t *testing.T) {
	for _, tt := range foreign {
		bubbleIn(t, tt.name, func(t *testing.T) {
			e, took := mustFail(t, onIMDS(t, tt.reply))
			if !errors.Is(e, ErrUnavailable) || took > 6*time.Second || e.Attempts < 2 {
				t.Errorf("got %v after %v, want ErrUnavailable within 6 s, after several tries", e, took)
			}
			cred := onIMDS(t, afterOne(tt.reply))
			if err := anotherToken(cred); err != nil {
				t.Fatal(err)
			}
			e, took = mustFail(t, cred)
			if errors.Is(e, ErrUnavailable) || took < 65*time.Second || took > 75*time.Second {
				t.Errorf("after IMDS answered: got %v after %v, want it retried like a 5xx, and not "+
					"ErrUnavailable", e, took)
			}
			if tt.refusal {
				return
			}
			e, took = mustFail(t, credentialAt(t, appServiceAt(), tt.reply))
			if errors.Is(e, ErrUnavailable) || took < 20*time.Second || took > 30*time.Second {
				t.Errorf("App Service: got %v after %v, want it retried for up to 30 s", e, took)
			}
			wantErrorText(t, e, "http://localhost:4141/msi/token", "attempts, ")
		})
	}
}

// TestRetryOptions: what they make of the rules, and what those lead to, internal/retry tests. This
// is what comes of it.
func TestRetryOptions(t *testing.T) {
	const second, minute = time.Second, time.Minute
	type options = policy.RetryOptions
	says := func(answer bool) func(*http.Response, error) bool {
		return func(*http.Response, error) bool { return answer }
	}
	throttled, retryAfter := always(429, imdsError), always(429, imdsError, "Retry-After", "3")
	for _, tt := range []struct {
		name         string
		retry        options
		reply        transportFunc // if it isn't throttled
		attempts     int
		after, until time.Duration
	}{
		{name: "MaxRetries -1", retry: options{MaxRetries: -1}, attempts: 1},
		{name: "TryTimeout", retry: options{TryTimeout: 2 * second, MaxRetries: 1}, reply: hangs,
			attempts: 2, after: 4 * second, until: 6 * second},
		{name: "TryTimeout by default", retry: options{MaxRetries: -1}, reply: hangs, attempts: 1,
			after: 40 * second, until: 40 * second},
		{name: "TryTimeout beyond the budget", retry: options{TryTimeout: 5 * minute, MaxRetries: -1},
			reply: hangs, attempts: 1, after: 5 * minute, until: 5 * minute},
		{name: "RetryDelay -1", retry: options{RetryDelay: -1, MaxRetries: 10}, attempts: 11,
			until: time.Microsecond},
		{name: "MaxRetryDelay below Retry-After", retry: options{MaxRetryDelay: 2 * second},
			reply: retryAfter, attempts: 1},
		{name: "StatusCodes with it", retry: options{StatusCodes: []int{418}, MaxRetries: 2},
			reply: always(418, imdsError), attempts: 3, until: 5 * second},
		{name: "ShouldRetry yes", retry: options{MaxRetries: 2, ShouldRetry: says(true)},
			reply: always(400, imdsError), attempts: 3, until: 5 * second},
		{name: "ShouldRetry of an error", attempts: 1,
			reply: func(*http.Request) (*http.Response, error) {
				return nil, io.EOF
			}, retry: options{ShouldRetry: func(r *http.Response, err error) bool {
				return r != nil || err == nil
			}}},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			if tt.reply == nil {
				tt.reply = throttled
			}
			e, took := mustFail(t, onIMDS(t, tt.reply, func(o *CredentialOptions) { o.Retry = tt.retry }))
			if e.Attempts != tt.attempts || took < tt.after || took > tt.until {
				t.Errorf("%d attempts in %v, want %d in %v to %v: %v", e.Attempts, took, tt.attempts,
					tt.after, tt.until, e)
			}
			if errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("our own deadline looks like the caller's: %v", e)
			}
		})
	}
}

func TestServerErrorsWaitASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 20 { // the first wait would be long enough by chance in 3 of 7
			at := &arrivals{next: always(500, imdsError)}
			_, _ = mustFail(t, onIMDS(t, at))
			times := at.times()
			for i := 1; i < len(times)-1; i++ {
				if gap := times[i].Sub(times[i-1]); gap < time.Second {
					t.Errorf("wait %d after a 500 was %v, want at least the second that IMDS asks for", i, gap)
				} else if i == 1 && gap > 1750*time.Millisecond {
					t.Errorf("the first wait after a 500 was %v: a lone process need not wait as long", gap)
				}
			}
		}
	})
}

// TestBudgetEndsATry that is under way: a host that accepts requests and says nothing gets 40 s,
// and then the rest of the 75 s.
func TestBudgetEndsATry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, took := mustFail(t, onIMDS(t, hangs))
		if took != 75*time.Second || e.Attempts != 2 || !strings.Contains(e.Error(), "no answer from") {
			t.Errorf("got %v after %v, want an error about two tries after 75 s", e, took)
		}
	})
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

// TestPolicies: PerCallPolicies run once per acquisition, PerRetryPolicies at each try. What the
// former change of the URL, each try has.
func TestPolicies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 429})
		counting := func(header string) policy.Policy {
			n := 0
			return policyFunc(func(req *policy.Request) (*http.Response, error) {
				n++
				req.Raw().Header.Set(header, fmt.Sprint(n))
				if header == "X-Call" {
					req.Raw().URL.RawQuery += "&bypass_cache=true"
				}
				return req.Next()
			})
		}
		mustToken(t, onIMDS(t, ep, func(o *CredentialOptions) {
			o.PerCallPolicies = []policy.Policy{counting("X-Call")}
			o.PerRetryPolicies = []policy.Policy{counting("X-Try")}
		}))
		var got []string
		for _, r := range ep.Requests() {
			got = append(got, r.Header.Get("X-Call")+"/"+r.Header.Get("X-Try")+
				strings.Join(r.URL.Query()["bypass_cache"], ","))
		}
		if diff := cmp.Diff([]string{"1/1true", "1/2true", "1/3true"}, got); diff != "" {
			t.Errorf("what the policies have set (-want +got):\n%s", diff)
		}
	})
}

type nonRetriable struct{ error }

func (nonRetriable) NonRetriable() {}

func TestPoliciesThatDoNotSend(t *testing.T) {
	returns := func(resp *http.Response, err error) policyFunc {
		return func(*policy.Request) (*http.Response, error) { return resp, err }
	}
	const failed, nothing = "a policy in CredentialOptions failed", "neither a response nor an error"
	for _, tt := range []struct {
		name     string
		policy   policyFunc
		perRetry bool
		attempts int
		want     string
	}{
		{name: "fail before the first try", policy: returns(nil, errors.New("no\nway")),
			want: failed + ": no way"},
		{name: "refuse by themselves", policy: returns(respond(403, imdsError), nil),
			want: "403 some_error"},
		{name: "return nothing", policy: returns(nil, nil), want: nothing},
		{name: "say that it is final", policy: returns(nil, nonRetriable{errors.New("no")}),
			perRetry: true, attempts: 1, want: failed + ": no"},
		{name: "return nothing at a try", policy: returns(nil, nil), perRetry: true, attempts: 1,
			want: nothing},
		{name: "drop the response", policy: func(req *policy.Request) (*http.Response, error) {
			_, _ = req.Next()
			return nil, nil
		}, perRetry: true, attempts: 1, want: nothing},
		{name: "panic", policy: func(*policy.Request) (*http.Response, error) { panic("oops") },
			perRetry: true, want: "panicked: oops"},
		{name: "return an SDK's error", want: failed,
			policy: returns(nil, &azcore.ResponseError{StatusCode: 404, ErrorCode: "BlobNotFound"})},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			e, took := mustFail(t, onIMDS(t, always(500, imdsError), func(o *CredentialOptions) {
				if tt.perRetry {
					o.PerRetryPolicies = []policy.Policy{tt.policy}
				} else {
					o.PerCallPolicies = []policy.Policy{tt.policy}
				}
			}))
			if took != 0 || e.Attempts != tt.attempts || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %v after %v and %d attempts, want %q at once", e, took, e.Attempts, tt.want)
			}
			if _, ok := errors.AsType[*azcore.ResponseError](e); ok {
				t.Error("unwraps to an *azcore.ResponseError: it would look like the caller's missing blob")
			}
		})
	}
	bubbleIn(t, "answer by themselves", func(t *testing.T) {
		mustToken(t, onIMDS(t, always(500, imdsError), func(o *CredentialOptions) {
			o.PerCallPolicies = []policy.Policy{returns(respond(200, grantBody("t", time.Hour)), nil)}
		}))
	})
}

// TestTransportThatNeverConnects: a client of the user's, without a time limit of its own, at an
// address where packets vanish.
func TestTransportThatNeverConnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// http.Transport lets it go on for the sake of later requests
		vanish := func(ctx context.Context, _, _ string) (net.Conn, error) {
			_ = lasts(ctx, time.Minute)
			return nil, errors.New("i/o timeout")
		}
		e, took := mustFail(t, onIMDS(t, &http.Client{Transport: &http.Transport{DialContext: vanish}}))
		if !errors.Is(e, ErrUnavailable) || errors.Is(e, context.DeadlineExceeded) ||
			errors.Is(e, context.Canceled) || took > 6*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
		}
	})
}
