package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// retryTable says after which status a host is asked again: "+" yes, "-" no. From each host's page
// and, where that says nothing, from what all SDKs agree on: 408, 429 and 5xx pass, other refusals
// don't. IMDS says 404 and 410 while it is being updated; Service Fabric forbids to repeat a 404.
//
//	https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
//	https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code#error-handling
var retryTable = map[string]string{
	//                    400 401 403 404 405 408 410 418 429 500 502 503 504 599
	"IMDS":               "-   -   -   +   -   +   +   -   +   +   +   +   +   +",
	"App Service":        "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Service Fabric":     "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Windows containers": "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Azure ML":           "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"legacy App Service": "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Cloud Shell":        "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Azure Arc":          "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"workload identity":  "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
}

var retryStatuses = []int{400, 401, 403, 404, 405, 408, 410, 418, 429, 500, 502, 503, 504, 599}

func TestHostRetriesPerStatus(t *testing.T) {
	for _, p := range places {
		row := strings.Fields(retryTable[p.name])
		if len(row) != len(retryStatuses) {
			t.Fatalf("%s: %d columns, want %d", p.name, len(row), len(retryStatuses))
		}
		steps := []string{""}
		if p.steps > 1 {
			steps = []string{"", " in place of the challenge"}
		}
		for i, status := range retryStatuses {
			for _, step := range steps {
				bubbleIn(t, fmt.Sprint(p.name, " ", status, step), func(t *testing.T) {
					s := p.open(t)
					answer := s.own(status, s.problem("some_error", "some text"))
					answer.For = time.Hour
					perTry := s.steps
					if step == "" {
						s.answer(answer)
					} else { // a 401 without WWW-Authenticate is no challenge either
						s.ep.Enqueue(answer)
						perTry = 1
					}
					cred := s.credential(t)
					e, took := mustFail(t, cred)
					if e.StatusCode != status {
						t.Errorf("StatusCode is %d: %v", e.StatusCode, e)
					}
					if row[i] == "-" {
						if s.sent() != perTry || took != 0 {
							t.Errorf("%d requests in %v, want %d at once: %v", s.sent(), took, perTry, e)
						}
					} else if s.sent() < 4*perTry || took < s.budget[0] || took > s.budget[1] {
						t.Errorf("%d requests in %v, want many in %v to %v: %v", s.sent(), took, s.budget[0],
							s.budget[1], e)
					}
					if e.Attempts != s.sent() || e.Elapsed != took {
						t.Errorf("the error says %d attempts in %v, it were %d in %v", e.Attempts, e.Elapsed,
							s.sent(), took)
					}
					if got, want := errors.Is(e, ErrThrottled), status == 429; got != want {
						t.Errorf("errors.Is(ErrThrottled) is %v, want %v", got, want)
					}
					if errors.Is(e, ErrUnavailable) || errors.Is(e, ErrIdentityMismatch) {
						t.Errorf("sentinels are off: %v", e)
					}
					// During the cool-down nobody asks: everybody gets that error.
					before := s.sent()
					if again, took := mustFail(t, cred); took != 0 || s.sent() != before ||
						again.StatusCode != status {
						t.Errorf("a second caller took %v and sent %d requests: %v", took, s.sent()-before, again)
					}
				})
			}
		}
	}
}

// TestHostRecovers: the retries are for something, and each is the whole request again. IMDS is
// waited for through an update. A right federation is refused now and then.
func TestHostRecovers(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		statuses, down := []int{408, 429, 500, 502, 503, 504}, 10*time.Second
		if p.host == HostIMDS {
			statuses, down = append(statuses, 404, 410), 69*time.Second
		}
		answers := []identitytest.Response{p.numbered(401, 700213),
			p.own(400, oauthProblem("temporarily_unavailable", "some text"))}
		for _, status := range statuses {
			answers = append(answers, p.own(status, p.problem("some_error", "some text")))
		}
		for _, answer := range answers {
			s := p.open(t)
			answer.For = down
			s.answer(answer)
			if _, took := mustToken(t, s.credential(t)); took < down || took > s.budget[1] {
				t.Errorf("%d %s for %v: a token after %v", answer.Status, answer.Body, down, took)
			}
			if s.steps == 1 {
				s.checkRequests(t, s.ep.Requests(), s.selection("default"))
			}
		}
	})
	everywhereNamed(t, "hangs once", func(t *testing.T, p place) {
		s := p.open(t)
		s.answer(identitytest.Response{Delay: time.Hour})
		mustToken(t, s.credential(t))
	})
}

// TestHostRetryAfter: how it is read, internal/retry tests.
func TestHostRetryAfter(t *testing.T) {
	for _, status := range []int{408, 429, 500, 503} {
		everywhereNamed(t, fmt.Sprint(status), func(t *testing.T, p place) {
			for step := range p.steps { // on Arc, in place of the challenge, or of the token
				s := p.open(t)
				for range step {
					s.ep.Enqueue(identitytest.Response{})
				}
				s.ep.Enqueue(s.own(status, s.problem("some_error", "some text"), "Retry-After", "9"))
				_, took := mustToken(t, s.credential(t))
				if took < 9*time.Second || took > 12*time.Second || s.sent() != step+1+s.steps {
					t.Errorf("a token after %v and %d requests, want 9 s and a little, and %d", took, s.sent(),
						step+1+s.steps)
				}
			}
		})
	}
}

// TestHostRetryAfterTheBudget: a caller that is told to come back in five minutes doesn't wait for
// that, and nobody asks before.
func TestHostRetryAfterTheBudget(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		s.answer(s.own(429, s.problem("some_error", "some text"), "Retry-After", "250"))
		cred := s.credential(t)
		e, took := mustFail(t, cred)
		if !errors.Is(e, ErrThrottled) || took != 0 || s.sent() != s.steps {
			t.Errorf("got %v after %v and %d requests, want ErrThrottled at once", e, took, s.sent())
		}
		start := time.Now()
		for time.Since(start) < 245*time.Second {
			if e, took := mustFail(t, cred); !errors.Is(e, ErrThrottled) || took != 0 {
				t.Fatalf("%v later: got %v after %v", time.Since(start), e, took)
			}
			time.Sleep(7 * time.Second)
		}
		if s.sent() != s.steps {
			t.Errorf("%d requests although the host asked for silence, want %d", s.sent(), s.steps)
		}
		time.Sleep(20 * time.Second)
		mustToken(t, cred)
	})
}

// TestHostRefusesConnections: from the start, it may not be that host at all; afterwards it is an
// outage.
func TestHostRefusesConnections(t *testing.T) {
	everywhereNamed(t, "from the start", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		e, took := mustFail(t, s.credential(t))
		if took < s.silence[0] || took > s.silence[1] || s.sent() < 3 {
			t.Errorf("error after %v and %d tries, want many in %v to %v", took, s.sent(), s.silence[0],
				s.silence[1])
		}
		if errors.Is(e, ErrUnavailable) { // a variable names the endpoint, IMDS's, too
			t.Errorf("errors.Is(ErrUnavailable): %v", e)
		}
		wantErrorText(t, e, "identity: "+s.host.String()+": ", s.endpoint(), syscall.ECONNREFUSED.Error(),
			s.check, " attempts, ")
		if !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("the cause can't be found: %v", e)
		}
		if e.StatusCode != 0 || e.RawResponse != nil || e.Attempts != s.sent() {
			t.Errorf("fields are off: %+v", e)
		}
	})
	everywhereNamed(t, "after a success", func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		s.down.Store(true)
		e, took := mustFail(t, cred)
		if took < s.budget[0] || took > s.budget[1] || errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v after %v, want it retried like a 5xx for %v to %v, and not ErrUnavailable", e,
				took, s.budget[0], s.budget[1])
		}
		wantErrorText(t, e, "identity: "+s.host.String()+": ", s.endpoint(), syscall.ECONNREFUSED.Error())
		if err := anotherToken(cred); err != nil {
			t.Errorf("the token of another resource is lost: %v", err)
		}
		s.down.Store(false)
		time.Sleep(time.Minute)
		mustToken(t, cred)
	})
	everywhereNamed(t, "for a while", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		const until = 18 * time.Second
		time.AfterFunc(until, func() { s.down.Store(false) })
		if _, took := mustToken(t, s.credential(t)); took < until || took > s.silence[1] {
			t.Errorf("a token after %v", took)
		}
	})
}

// TestHostReady: what passes is waited for on each host. TestReady has the rest.
func TestHostReady(t *testing.T) {
	everywhereNamed(t, "waits through start-up", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		time.AfterFunc(5*time.Minute, func() { s.down.Store(false) })
		start := time.Now()
		if err := s.credential(t).Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Minute || took > 5*time.Minute+25*time.Second {
			t.Errorf("ready after %v, want soon after 5 minutes", took)
		}
	})
	everywhereNamed(t, "ends with the context", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		err := s.credential(t).Ready(ctx, vaultScope)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		wantErrorText(t, err, s.endpoint(), "connection refused")
	})
	everywhereNamed(t, "returns a refusal at once", func(t *testing.T, p place) {
		s := p.open(t)
		bad, want := s.absent, ErrIdentityNotFound
		if bad.Status == 0 { // Cloud Shell has no identities
			bad, want = s.own(400, s.problem("AudienceNotSupported", "some text")), nil
		}
		bad.For = time.Hour
		s.answer(bad)
		start := time.Now()
		err := s.credential(t).Ready(t.Context(), vaultScope)
		if err == nil || want != nil && !errors.Is(err, want) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want %v at once", err, time.Since(start), want)
		}
	})
}
