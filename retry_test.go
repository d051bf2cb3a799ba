package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// always answers every request alike.
func always(status int, body string, header ...string) transportFunc {
	return func(*http.Request) (*http.Response, error) { return respond(status, body, header...), nil }
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

func TestRetryPerStatus(t *testing.T) {
	retried := map[Host][]int{
		HostIMDS:       {404, 408, 410, 429, 500, 501, 502, 503, 504, 505, 511, 599, 600, 999, 0},
		HostAppService: {408, 429, 500, 501, 502, 503, 504, 599, 600, 999, 0},
	}
	final := map[Host][]int{
		HostIMDS:       {400, 401, 402, 403, 405, 409, 418, 451, 201, 204},
		HostAppService: {400, 401, 403, 404, 405, 410, 418, 201, 204},
	}
	for _, host := range []Host{HostIMDS, HostAppService} {
		env, body, low, high := nowhere(), imdsError, 65*time.Second, 75*time.Second
		if host == HostAppService {
			env, body, low, high = appServiceAt(), appServiceError, 20*time.Second, 30*time.Second
		}
		for _, status := range retried[host] {
			t.Run(fmt.Sprint(host, " retries ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e, took := mustFail(t, credentialAt(t, env, always(status, body)))
					if e.Attempts < 6 || took < low || took > high {
						t.Errorf("%d attempts in %v, want many in %v to %v: %v", e.Attempts, took, low, high, e)
					}
					if e.StatusCode != status || e.Elapsed != took || errors.Is(e, ErrUnavailable) {
						t.Errorf("error is off: %+v", e)
					}
					if got, want := errors.Is(e, ErrThrottled), status == 429; got != want {
						t.Errorf("errors.Is(ErrThrottled) = %v, want %v", got, want)
					}
				})
			})
		}
		for _, status := range final[host] {
			t.Run(fmt.Sprint(host, " does not retry ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e, took := mustFail(t, credentialAt(t, env, always(status, body)))
					if e.Attempts != 1 || took != 0 || e.StatusCode != status {
						t.Errorf("%d attempts in %v, status %d, want 1 at once: %v", e.Attempts, took, e.StatusCode,
							e)
					}
				})
			})
		}
	}
}

// foreign are answers of something in the host's place, and silence.
var foreign = []struct {
	name  string
	reply transportFunc
}{
	{"Docker Desktop's 403",
		always(403, "connecting to 169.254.169.254:80: dial tcp: a socket operation was attempted to an unreachable network")},
	{"a gateway's 404 page", always(404, "<html><body>Not Found</body></html>", "Content-Type",
		"text/html")},
	{"a proxy's 502", always(502, "<html>Bad Gateway</html>", "Server", "squid")},
	{"an HTML 200", always(200, "<!doctype html><title>Welcome to the guest network</title>")},
	{"an empty 200", always(200, "")},
	{"another cloud's JSON", always(404, `{"message":"no such path"}`)},
	{"a JSON array", always(200, `["error"]`)},
	{"a redirect", always(302, "", "Location", "http://portal.example/login")},
	{"connection refused", func(*http.Request) (*http.Response, error) {
		return nil, syscall.ECONNREFUSED
	}},
	{"connection closed", func(*http.Request) (*http.Response, error) { return nil, io.EOF }},
	{"slow silence", func(r *http.Request) (*http.Response, error) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
		return nil, errors.New("dial tcp: i/o timeout")
	}},
}

func TestAnswersThatAreNotTheHosts(t *testing.T) {
	for _, tt := range foreign {
		t.Run("IMDS, "+tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, onIMDS(t, tt.reply))
				if !errors.Is(e, ErrUnavailable) || took > 6*time.Second {
					t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
				}
				if e.Attempts < 2 {
					t.Errorf("%d attempts: it wasn't tried again", e.Attempts)
				}
			})
		})
		t.Run("IMDS after it answered, "+tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep, asked := identitytest.NewIMDS(nil), false
				cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
					if !asked {
						asked = true
						return ep.Do(r)
					}
					return tt.reply(r)
				}))
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: scopesOf(1)}); err != nil {
					t.Fatal(err)
				}
				e, took := mustFail(t, cred)
				if errors.Is(e, ErrUnavailable) || took < 65*time.Second || took > 75*time.Second {
					t.Errorf("got %v after %v, want it retried like a 5xx, and not ErrUnavailable", e, took)
				}
			})
		})
		if tt.name == "Docker Desktop's 403" || tt.name == "a gateway's 404 page" ||
			tt.name == "another cloud's JSON" {
			continue // the endpoint was named by the platform: a refusal is believed
		}
		if tt.name == "a JSON array" {
			continue
		}
		t.Run("App Service, "+tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, credentialAt(t, appServiceAt(), tt.reply))
				if errors.Is(e, ErrUnavailable) || took < 20*time.Second || took > 30*time.Second {
					t.Errorf("got %v after %v, want it retried for up to 30 s, and not ErrUnavailable", e, took)
				}
				if !strings.Contains(e.Error(), "http://localhost:4141/msi/token") ||
					!strings.Contains(e.Error(), "attempts, ") {
					t.Errorf("error does not name endpoint and time: %v", e)
				}
			})
		})
	}
}

func TestHostsRecover(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  environment
		ep   *identitytest.Endpoint
		down identitytest.Response
	}{
		{"IMDS is being updated", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Status: 410, For: 69 * time.Second}},
		{"IMDS does not know the identity yet", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Status: 404, For: 69 * time.Second}},
		{"IMDS is overloaded", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Status: 429, For: 69 * time.Second}},
		{"IMDS fails", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Status: 500, For: 69 * time.Second}},
		{"IMDS cuts its answer short", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Status: 200, Err: io.ErrUnexpectedEOF, For: 69 * time.Second}},
		{"IMDS comes up late", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Err: syscall.ECONNREFUSED, For: 3 * time.Second}},
		{"IMDS hangs once", nowhere(), identitytest.NewIMDS(nil),
			identitytest.Response{Delay: time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tt.ep.Enqueue(tt.down)
				mustToken(t, credentialAt(t, tt.env, tt.ep))
			})
		})
	}
	t.Run("App Service's endpoint comes up late", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewAppService(nil)
			ep.Enqueue(identitytest.Response{Err: syscall.ECONNREFUSED, For: 24 * time.Second})
			mustToken(t, credentialAt(t, onAppService(ep), ep))
		})
	})
}

func TestRetryAfterIsAMinimum(t *testing.T) {
	for _, tt := range []struct {
		header []string
		least  time.Duration
	}{
		{[]string{"Retry-After", "3"}, 3 * time.Second},
		{[]string{"Retry-After-Ms", "3000"}, 3 * time.Second},
		{[]string{"X-Ms-Retry-After-Ms", "3000"}, 3 * time.Second},
		{[]string{"Retry-After-Ms", "500"}, 500 * time.Millisecond},
		{[]string{"Retry-After", "20"}, 20 * time.Second},
		{[]string{"Retry-After", "date"}, 2*time.Second + time.Millisecond}, // a date has whole seconds
	} {
		header := tt.header
		t.Run(strings.Join(header, " "), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				at := &arrivals{}
				at.next = transportFunc(func(*http.Request) (*http.Response, error) {
					if header[1] == "date" {
						return respond(429, imdsError, header[0],
							time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat)), nil
					}
					return respond(429, imdsError, header...), nil
				})
				e, _ := mustFail(t, onIMDS(t, at))
				if !errors.Is(e, ErrThrottled) {
					t.Errorf("got %v, want ErrThrottled", e)
				}
				times := at.times()
				if len(times) < 3 {
					t.Fatalf("%d attempts, want more", len(times))
				}
				for i := 1; i < len(times); i++ { // also the last one, which is cut to the budget
					if gap := times[i].Sub(times[i-1]); gap < tt.least || gap > tt.least+6*time.Second {
						t.Errorf("wait %d was %v, want at least %v, and up to 6 s more", i, gap, tt.least)
					}
				}
			})
		})
	}
	t.Run("beyond the budget", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e, took := mustFail(t, onIMDS(t, always(429, imdsError, "Retry-After", "90")))
			if !errors.Is(e, ErrThrottled) || took != 0 || e.Attempts != 1 {
				t.Errorf("got %v after %v, want ErrThrottled at once: waiting can't help", e, took)
			}
		})
	})
}

func TestRetryOptions(t *testing.T) {
	throttled := always(429, imdsError)
	hangs := transportFunc(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	for _, tt := range []struct {
		name         string
		retry        policy.RetryOptions
		reply        transportFunc
		least, most  int
		after, until time.Duration
	}{
		{"MaxRetries -1", policy.RetryOptions{MaxRetries: -1}, throttled, 1, 1, 0, 0},
		{"MaxRetries 2", policy.RetryOptions{MaxRetries: 2}, throttled, 3, 3, 0, 5 * time.Second},
		{"MaxRetries 30", policy.RetryOptions{MaxRetries: 30}, throttled, 31, 31, 76 * time.Second,
			5 * time.Minute},
		{"TryTimeout", policy.RetryOptions{TryTimeout: 2 * time.Second, MaxRetries: 1}, hangs, 2, 2,
			4 * time.Second, 6 * time.Second},
		{"TryTimeout by default", policy.RetryOptions{MaxRetries: -1}, hangs, 1, 1, 40 * time.Second,
			40 * time.Second},
		{"TryTimeout beyond the budget", policy.RetryOptions{TryTimeout: 5 * time.Minute, MaxRetries: -1},
			hangs, 1, 1, 5 * time.Minute, 5 * time.Minute},
		{"RetryDelay -1", policy.RetryOptions{RetryDelay: -1}, throttled, 4, 4, 0, time.Microsecond},
		{"waits of no length", policy.RetryOptions{RetryDelay: 1, MaxRetryDelay: 1}, throttled, 4, 4, 0,
			time.Millisecond},
		{"RetryDelay -1, MaxRetries", policy.RetryOptions{RetryDelay: -1, MaxRetries: 10}, throttled, 11,
			11, 0, time.Microsecond},
		{"RetryDelay, MaxRetryDelay", policy.RetryOptions{RetryDelay: time.Millisecond,
			MaxRetryDelay: 100 * time.Millisecond, MaxRetries: 100}, throttled, 101, 101, time.Second, 10 * time.Second},
		{"RetryDelay beyond MaxRetryDelay's default",
			policy.RetryOptions{RetryDelay: 4 * time.Minute,
				MaxRetries: 9}, throttled, 10, 10, 16 * time.Minute, 40 * time.Minute},
		{"RetryDelay beyond MaxRetryDelay",
			policy.RetryOptions{RetryDelay: time.Hour, MaxRetryDelay: time.Second,
				MaxRetries: 9}, throttled, 10, 10, 4 * time.Second, 9 * time.Second},
		{"MaxRetryDelay -1", policy.RetryOptions{MaxRetryDelay: -1, MaxRetries: 9}, throttled, 10, 10,
			30 * time.Second, 1500 * time.Second},
		{"MaxRetryDelay below Retry-After", policy.RetryOptions{MaxRetryDelay: 2 * time.Second},
			always(429, imdsError, "Retry-After", "3"), 1, 1, 0, 0},
		{"MaxRetryDelay above Retry-After",
			policy.RetryOptions{MaxRetryDelay: 3 * time.Second, MaxRetries: 1}, always(429, imdsError,
				"Retry-After", "3"), 2, 2, 3 * time.Second, 5 * time.Second},
		{"StatusCodes without it", policy.RetryOptions{StatusCodes: []int{418}}, throttled, 1, 1, 0, 0},
		{"StatusCodes with it", policy.RetryOptions{StatusCodes: []int{418}, MaxRetries: 2},
			always(418, imdsError), 3, 3, 0, 5 * time.Second},
		{"no StatusCodes", policy.RetryOptions{StatusCodes: []int{}}, throttled, 1, 1, 0, 0},
		{"ShouldRetry no", policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool {
			return false
		}}, throttled, 1, 1, 0, 0},
		{"ShouldRetry yes", policy.RetryOptions{MaxRetries: 2,
			ShouldRetry: func(r *http.Response, err error) bool {
				return err == nil && r.StatusCode == 400
			}}, always(400, imdsError), 3, 3, 0, 5 * time.Second},
		{"ShouldRetry of an error", policy.RetryOptions{ShouldRetry: func(r *http.Response,
			err error) bool {
			return r != nil || err == nil
		}}, func(*http.Request) (*http.Response, error) { return nil, io.EOF }, 1, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, onIMDS(t, tt.reply, func(o *CredentialOptions) { o.Retry = tt.retry }))
				if e.Attempts < tt.least || e.Attempts > tt.most || took < tt.after || took > tt.until {
					t.Errorf("%d attempts in %v, want %d to %d in %v to %v: %v", e.Attempts, took, tt.least,
						tt.most, tt.after, tt.until, e)
				}
				if errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("our own deadline looks like the caller's: %v", e)
				}
			})
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
		e, took := mustFail(t, onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})))
		if took != 75*time.Second || e.Attempts != 2 || !strings.Contains(e.Error(), "no answer from") {
			t.Errorf("got %v after %v, want an error about two tries after 75 s", e, took)
		}
	})
}

// TestPolicies: PerCallPolicies run once per acquisition, PerRetryPolicies at each try.
func TestPolicies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 429})
		var calls, tries atomic.Int64
		counting := func(n *atomic.Int64, header string) policy.Policy {
			return policyFunc(func(req *policy.Request) (*http.Response, error) {
				req.Raw().Header.Set(header, fmt.Sprint(n.Add(1)))
				return req.Next()
			})
		}
		cred := onIMDS(t, ep, func(o *CredentialOptions) {
			o.PerCallPolicies = []policy.Policy{counting(&calls, "X-Call")}
			o.PerRetryPolicies = []policy.Policy{counting(&tries, "X-Try")}
		})
		mustToken(t, cred)
		var got []string
		for _, r := range ep.Requests() {
			got = append(got, r.Header.Get("X-Call")+"/"+r.Header.Get("X-Try"))
		}
		if diff := cmp.Diff([]string{"1/1", "1/2", "1/3"}, got); diff != "" {
			t.Errorf("headers of the policies (-want +got):\n%s", diff)
		}
	})
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

type nonRetriable struct{ error }

func (nonRetriable) NonRetriable() {}

func TestPoliciesThatDoNotSend(t *testing.T) {
	for _, tt := range []struct {
		name      string
		policy    policyFunc
		perRetry  bool
		wantToken bool
		attempts  int
		want      string
	}{
		{"fail before the first try", func(*policy.Request) (*http.Response, error) {
			return nil, errors.New("no\nway")
		}, false, false, 0, "a policy in CredentialOptions failed: no way"},
		{"answer by themselves", func(*policy.Request) (*http.Response, error) {
			return respond(200, grantBody("t", time.Hour)), nil
		}, false, true, 0, ""},
		{"refuse by themselves", func(*policy.Request) (*http.Response, error) {
			return respond(403, imdsError), nil
		}, false, false, 0, "403 some_error"},
		{"return nothing", func(*policy.Request) (*http.Response, error) {
			return nil, nil
		}, false, false, 0, "neither a response nor an error"},
		{"say that it is final", func(*policy.Request) (*http.Response, error) {
			return nil, nonRetriable{errors.New("no")}
		}, true, false, 1, "a policy in CredentialOptions failed: no"},
		{"return nothing at a try", func(*policy.Request) (*http.Response, error) {
			return nil, nil
		}, true, false, 1, "neither a response nor an error"},
		{"drop the response", func(req *policy.Request) (*http.Response, error) {
			_, _ = req.Next()
			return nil, nil
		}, true, false, 1, "neither a response nor an error"},
		{"panic", func(*policy.Request) (*http.Response, error) {
			panic("oops")
		}, true, false, 0, "panicked: oops"},
		{"return an SDK's error", func(*policy.Request) (*http.Response, error) {
			return nil, &azcore.ResponseError{StatusCode: 404, ErrorCode: "BlobNotFound"}
		}, false, false, 0, "a policy in CredentialOptions failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, always(500, imdsError), func(o *CredentialOptions) {
					if tt.perRetry {
						o.PerRetryPolicies = []policy.Policy{tt.policy}
					} else {
						o.PerCallPolicies = []policy.Policy{tt.policy}
					}
				})
				if tt.wantToken {
					mustToken(t, cred)
					return
				}
				e, took := mustFail(t, cred)
				if took != 0 || e.Attempts != tt.attempts || !strings.Contains(e.Error(), tt.want) {
					t.Errorf("got %v after %v and %d attempts, want %q at once", e, took, e.Attempts, tt.want)
				}
				var response *azcore.ResponseError
				if errors.As(e, &response) {
					t.Error("unwraps to an *azcore.ResponseError: it would look like the caller's missing blob")
				}
			})
		})
	}
}

// TestPerCallPolicyMayChangeTheURL: at every try.
func TestPerCallPolicyMayChangeTheURL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []string
		n := 0
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			got = append(got, r.URL.Query().Get("bypass_cache"))
			if n++; n < 3 {
				return respond(503, imdsError), nil
			}
			return respond(200, grantBody("t", time.Hour)), nil
		}), func(o *CredentialOptions) {
			o.PerCallPolicies = []policy.Policy{policyFunc(func(req *policy.Request) (*http.Response,
				error) {
				req.Raw().URL.RawQuery += "&bypass_cache=true"
				return req.Next()
			})}
		})
		mustToken(t, cred)
		if diff := cmp.Diff([]string{"true", "true", "true"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestTransportThatNeverConnects: a client of the user's, without a time limit of its own, at an
// address where packets vanish.
func TestTransportThatNeverConnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vanish := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _,
			_ string) (net.Conn, error) {
			select {
			case <-ctx.Done(): // http.Transport lets it go on for the sake of later requests
			case <-time.After(time.Minute):
			}
			return nil, errors.New("i/o timeout")
		}}}
		e, took := mustFail(t, onIMDS(t, vanish))
		if !errors.Is(e, ErrUnavailable) || errors.Is(e, context.DeadlineExceeded) ||
			errors.Is(e, context.Canceled) || took > 6*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
		}
	})
}

// TestSilenceThenSlowness: what refused the connection first gets no 40 s to answer.
func TestSilenceThenSlowness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return nil, syscall.ECONNREFUSED
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		if e, took := mustFail(t, cred); !errors.Is(e, ErrUnavailable) || took > 6*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
		}
	})
}
