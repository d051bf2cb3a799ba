package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/redact"
)

// passingNumbers are refusals of Entra's that pass by themselves, with what says so.
var passingNumbers = []int{
	// The federation is right, and was not found: kedacore/keda#8152,
	// Azure/azure-workload-identity#977, #1200, #273.
	70021, 70025, 700211, 700213,
	// Entra couldn't read the issuer's documents: Azure/AKS#4029, Azure/azure-cli#28863,
	// Azure/azure-workload-identity#642.
	50166, 90061, 501661,
	// Entra's error reference calls them transient, retryable, a timeout or a service that is
	// unavailable.
	40010, 50000, 50033, 50087, 70012, 80005, 90006, 90012, 90024, 90033, 90055, 90090, 90091, 501621,
}

// definiteNumbers are those that somebody has to do something about.
var definiteNumbers = []int{
	70001, 7000112, 53003, 700011, 700016, 700038, 7000229, 700212, 7002138, 50013, 50027, 90002,
	900023, 90038, 50001, 500011, 500014, 70011, 1002012,
}

// numbered is an answer of the host's with a number of Entra's in it.
func (p place) numbered(status, number int) identitytest.Response {
	if p.host == HostWorkloadIdentity { // whose shape has the number in a second place
		return p.own(status, entraBody("invalid_client", number, "some text.", ""))
	}
	return p.own(status, p.problem("invalid_client", fmt.Sprintf("AADSTS%d: some text.", number)))
}

// TestHostEntraNumbers: Entra's number decides, on each host that passes one on, whatever status it
// comes with.
func TestHostEntraNumbers(t *testing.T) {
	for _, p := range places {
		passing, definite := []int{90033, 700213}, []int{500011, 700016}
		if p.host == HostWorkloadIdentity {
			passing, definite = passingNumbers, definiteNumbers
		}
		for _, status := range []int{400, 401, 500} {
			for _, number := range slices.Concat(passing, definite) {
				bubbleIn(t, fmt.Sprint(p.name, " ", status, " ", number), func(t *testing.T) {
					checkNumber(t, p, number, status, slices.Contains(passing, number))
				})
			}
		}
	}
}

func checkNumber(t *testing.T, p place, number, status int, passes bool) {
	s := p.open(t)
	answer := s.numbered(status, number)
	answer.For = time.Hour
	s.answer(answer)
	cred := s.credential(t)
	e, took := mustFail(t, cred)
	if e.StatusCode != status {
		t.Errorf("status is %d: %v", e.StatusCode, e)
	}
	wantErrorText(t, e, fmt.Sprintf("AADSTS%d: some text.", number))
	if passes && (s.sent() < 4*s.steps || took < s.budget[0] || took > s.budget[1]) {
		t.Errorf("%d requests in %v, want many in %v: %v", s.sent(), took, s.budget, e)
	}
	if !passes && (s.sent() != s.steps || took != 0) {
		t.Errorf("%d requests in %v, want %d at once: %v", s.sent(), took, s.steps, e)
	}
	time.Sleep(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	start := time.Now()
	err := cred.Ready(ctx, vaultScope)
	if waited := errors.Is(err, context.DeadlineExceeded); err == nil || waited != passes ||
		!passes && time.Since(start) != 0 {
		t.Errorf("Ready returned %v after %v, want it to wait: %v", err, time.Since(start), passes)
	}
}

// TestHostLoopDetected: Entra calls it a loop of equal requests. More of them are no help, a pause
// is.
func TestHostLoopDetected(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		answer := s.numbered(400, 50196)
		answer.For = time.Minute
		s.answer(answer)
		cred := s.credential(t)
		if e, took := mustFail(t, cred); took != 0 || s.sent() != s.steps {
			t.Errorf("%d requests in %v, want %d: %v", s.sent(), took, s.steps, e)
		}
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Errorf("Ready doesn't wait: %v", err)
		}
	})
}

// TestUsersRulesAndNumbers: the user's statuses and function replace ours, and Ready waits over
// what either calls passing.
func TestUsersRulesAndNumbers(t *testing.T) {
	const passes, definite = 700213, 700016
	says := func(answer bool) func(*http.Response, error) bool {
		return func(*http.Response, error) bool { return answer }
	}
	for _, tt := range []struct {
		name   string
		number int
		retry  policy.RetryOptions
		tries  int
		waits  bool
	}{
		{name: "statuses without it", number: passes, retry: policy.RetryOptions{StatusCodes: []int{503}},
			tries: 1, waits: true},
		{name: "statuses with it", number: definite, tries: 3, waits: true,
			retry: policy.RetryOptions{StatusCodes: []int{401}, MaxRetries: 2}},
		{name: "a function that says no", number: passes, tries: 1, waits: true,
			retry: policy.RetryOptions{ShouldRetry: says(false)}},
		{name: "a function that says yes", number: definite, tries: 3, waits: true,
			retry: policy.RetryOptions{ShouldRetry: says(true), MaxRetries: 2}},
		{name: "a function that says no to what is definite", number: definite, tries: 1,
			retry: policy.RetryOptions{ShouldRetry: says(false)}},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			cred := credentialAt(t, inPod(t),
				always(401, entraRefusal("invalid_client", tt.number, "some text.")),
				func(o *CredentialOptions) { o.Retry = tt.retry })
			if e, _ := mustFail(t, cred); e.Attempts != tt.tries {
				t.Errorf("%d tries, want %d: %v", e.Attempts, tt.tries, e)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := cred.Ready(ctx, vaultScope)
			if errors.Is(err, context.DeadlineExceeded) != tt.waits {
				t.Errorf("Ready waited: %v, want %v: %v", !tt.waits, tt.waits, err)
			}
		})
	}
}

// TestHostCertificates: one that isn't accepted is no better a second later. A clock that is wrong
// may be set.
func TestHostCertificates(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		text string
		wait bool
	}{
		{name: "unknown authority", err: x509.UnknownAuthorityError{}, text: "ca-certificates"},
		{name: "no authorities", err: x509.SystemRootsError{}, text: "ca-certificates"},
		{name: "another name", text: "is the endpoint's name right", err: x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{"a.example"}}, Host: "b.example"}},
		{name: "no server's", text: "x509",
			err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.IncompatibleUsage}},
		{name: "dates", text: "clock right? It says 2000-01-01T", wait: true,
			err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}},
		{name: "a weak signature", err: x509.InsecureAlgorithmError(x509.SHA1WithRSA), text: "insecure"},
	} {
		for _, wrapped := range []bool{true, false} {
			cause := tt.err
			if wrapped {
				cause = &tls.CertificateVerificationError{Err: tt.err}
			} else if tt.name == "a weak signature" { // nobody but crypto/tls has that
				continue
			}
			everywhereNamed(t, fmt.Sprint(tt.name, " wrapped ", wrapped), func(t *testing.T, p place) {
				if p.pinned {
					t.Skip("its certificate has a test of its own")
				}
				s := p.open(t)
				var accepted atomic.Bool
				cred := credentialAt(t, s.env, transportFunc(func(r *http.Request) (*http.Response, error) {
					s.note()
					if !accepted.Load() {
						return nil, fmt.Errorf("tls: %w", cause)
					}
					return s.ep.Do(r)
				}))
				e, took := mustFail(t, cred)
				if took != 0 || s.sent() != 1 || errors.Is(e, ErrUnavailable) {
					t.Errorf("%d requests in %v, want 1 at once, and not ErrUnavailable: %v", s.sent(), took, e)
				}
				wantErrorText(t, e, tt.text, s.endpoint(), s.check)
				time.AfterFunc(3*time.Minute, func() { accepted.Store(true) })
				start := time.Now()
				err := cred.Ready(t.Context(), vaultScope)
				if (err == nil) != tt.wait || !tt.wait && time.Since(start) > 2*time.Second {
					t.Errorf("Ready returned %v after %v, want it to wait: %v", err, time.Since(start), tt.wait)
				}
				if !accepted.Load() {
					time.Sleep(3 * time.Minute)
				}
			})
		}
	}
}

// TestHostCutShort: a try that the end of the time cuts short says nothing; what the host said
// before it does.
func TestHostCutShort(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		bad := s.own(503, s.problem("some_error", "closed for the night"))
		bad.For = s.budget[0] - time.Second
		s.answer(bad)
		start := time.Now()
		time.AfterFunc(bad.For+time.Nanosecond, func() {
			for range 9 {
				s.answer(identitytest.Response{Delay: time.Hour})
			}
		})
		e, _ := mustFail(t, s.credential(t))
		if took := time.Since(start); took < s.budget[0] || took > s.budget[1] {
			t.Errorf("error after %v", took)
		}
		if e.StatusCode != 503 || e.RawResponse == nil {
			t.Errorf("fields are of the last try: %v", e)
		}
		wantErrorText(t, e, "closed for the night")
	})
	bubbleIn(t, "text after two seconds, and then none", func(t *testing.T) {
		n := 0
		e, took := mustFail(t, onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				time.Sleep(2 * time.Second)
				return respond(404, "404 page not found"), nil
			}
			return hangs(r)
		})))
		if took < 4*time.Second || took > 6*time.Second || e.StatusCode != 404 ||
			!errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v after %v, want the 404 and ErrUnavailable after 5 s", e, took)
		}
		wantErrorText(t, e, `404 "404 page not found": not an answer of IMDS, and no answer in the `,
			" that were left", "2 attempts", "is this an Azure VM")
		whole, _ := mustFail(t, onIMDS(t, always(404, "404 page not found")))
		if got, want := e.Summary(), whole.Summary(); got != want {
			t.Errorf("whether a last try was cut short makes another failure of it:\n%s\n%s", got, want)
		}
		only, _ := mustFail(t, onIMDS(t, hangs)) // has nothing before it
		wantErrorText(t, only, "no answer from ", " within ")
	})
}

// TestHostRetryAfterOfAStranger: a gateway in front knows when it is worth coming back. It can't
// silence the process beyond the acquisition.
func TestHostRetryAfterOfAStranger(t *testing.T) {
	told := func(s *site, after string) {
		s.answer(identitytest.Response{Status: 503, Body: "<html>Bad Gateway</html>",
			Header: http.Header{"Content-Type": {"text/html"}, "Retry-After": {after}}})
	}
	everywhereNamed(t, "heeded", func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		if err := anotherToken(cred); err != nil { // so that IMDS is known to be there
			t.Fatal(err)
		}
		before := s.sent()
		told(s, "9")
		if _, took := mustToken(t, cred); took < 9*time.Second || took > 12*time.Second ||
			s.sent() != before+2*s.steps {
			t.Errorf("a token after %v and %d requests, want 9 s and a little, and %d", took,
				s.sent()-before, 2*s.steps)
		}
	})
	everywhereNamed(t, "not beyond the acquisition", func(t *testing.T, p place) {
		if p.pinned {
			t.Skip("whatever comes over its connection is the host's")
		}
		s := p.open(t)
		told(s, "250")
		if _, took := mustToken(t, s.credential(t)); took < s.silence[0]*2/3 ||
			took > s.silence[1] || s.sent() != 2*s.steps {
			t.Errorf("a token after %v and %d requests, want the last try of the budget to bring it", took,
				s.sent())
		}
		s = p.open(t)
		told(s, "250")
		cred := s.credential(t, once)
		mustFail(t, cred)
		time.Sleep(coldCoolDown)
		mustToken(t, cred)
		s = p.open(t)
		told(s, "20")
		cred = s.credential(t, func(o *CredentialOptions) { o.Retry.MaxRetryDelay = 2 * time.Second })
		if _, took := mustToken(t, cred); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("MaxRetryDelay: a token after %v, want 2 to 4 s", took)
		}
	})
}

// proxySays is what Microsoft's azure-workload-identity proxy answers in IMDS's place when Entra
// refuses.
func proxySays(object string) *http.Response {
	text := "failed to acquire token: ClientAssertionCredential authentication failed.\n" +
		"POST https://login.microsoftonline.com/" + podTenant + "/oauth2/v2.0/token\n" +
		strings.Repeat("-", 80) + "\n" +
		"RESPONSE 400: 400 Bad Request\n" + strings.Repeat("-", 80) + "\n" + object + "\n" +
		strings.Repeat("-", 80) +
		"\nTo troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot\n"
	return respond(500, text, "Content-Type", "text/plain; charset=utf-8", "Server",
		"azure-workload-identity/proxy/v1.6.0 (linux/amd64) 2026/x")
}

// TestWorkloadIdentityProxy: Microsoft's proxy stands in IMDS's place and hands out tokens of
// Entra's.
//
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
func TestWorkloadIdentityProxy(t *testing.T) {
	const object = `{
  "error": "unauthorized_client",
  "error_description": "AADSTS700038: x is not valid. Trace ID: t Correlation ID: c0ffee Timestamp: z",
  "error_codes": [
    700038
  ],
  "correlation_id": "c0ffee"
}`
	bubbleIn(t, "a refusal", func(t *testing.T) {
		n := 0
		e, took := mustFail(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			n++
			return proxySays(object), nil
		}), withID(ClientID(guid))))
		if n != 1 || took != 0 || !errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
			t.Errorf("%d requests in %v, want 1 at once, and ErrIdentityNotFound: %v", n, took, e)
		}
		wantErrorText(t, e, `500 unauthorized_client "AADSTS700038: x is not valid."`,
			"correlation ID c0ffee", "is client ID "+guid+" an identity of this tenant?")
		if e.Code != "unauthorized_client" || e.CorrelationID != "c0ffee" {
			t.Errorf("fields are off: %+v", e)
		}
	})
	bubbleIn(t, "a refusal that passes, without the header", func(t *testing.T) {
		n := 0
		if _, took := mustToken(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			if n++; n > 1 {
				return respond(200, grantBody("t", time.Hour)), nil
			}
			resp := proxySays(strings.ReplaceAll(object, "700038", "700213"))
			resp.Header.Del("Server")
			return resp, nil
		}))); took > 10*time.Second || n != 2 {
			t.Errorf("a token after %v and %d requests", took, n)
		}
	})
	bubbleIn(t, "Entra is slow", func(t *testing.T) {
		n := 0
		_, took := mustToken(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			if n++; n > 2 {
				return respond(200, grantBody("t", time.Hour)), nil
			}
			time.Sleep(18 * time.Second)
			return respond(500, "context deadline exceeded\n", "Content-Type", "text/plain; charset=utf-8",
				"Server", "azure-workload-identity/proxy/v1.6.0"), nil
		})))
		if n != 3 || took < 36*time.Second || took > 75*time.Second {
			t.Errorf("a token after %v and %d requests, want the third to bring it", took, n)
		}
	})
	bubbleIn(t, "it can't start", func(t *testing.T) {
		e, took := mustFail(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return respond(502, "oops", "Server", "azure-workload-identity/proxy/v1.6.0"), nil
		})))
		if errors.Is(e, ErrUnavailable) || took < 65*time.Second {
			t.Errorf("got %v after %v, want the 75 s of IMDS, and not ErrUnavailable", e, took)
		}
	})
	bubbleIn(t, "its number is far behind", func(t *testing.T) {
		for _, ahead := range []int{1000, redact.MaxText + 1000} {
			n := 0
			e, _ := mustFail(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				n++
				return respond(500, strings.Repeat("goroutine 1 [running]\n", ahead/20)+object), nil
			})))
			if n != 1 || !errors.Is(e, ErrIdentityNotFound) {
				t.Errorf("%d requests, want 1, and ErrIdentityNotFound: %.200v", n, e)
			}
		}
	})
}
