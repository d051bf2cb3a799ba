package identity

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// variables are an environment that changes under the credential, as App Service's does.
type variables struct {
	mu     sync.Mutex
	values map[string]string
}

func (v *variables) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[name] = value
}

func (v *variables) environment() environment {
	env := nowhere()
	env.getenv = func(name string) string {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.values[name]
	}
	return env
}

func anotherToken(cred *Credential) error {
	_, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://another.example/.default"}})
	return err
}

// moving is a host whose variables change, and what was sent to it.
type moving struct {
	place
	*variables
	good map[string]string // the variables at the start
	sent []posted
}

// whereMoving runs a test at each of the hosts whose endpoint a variable names, which is read for
// each request.
func whereMoving(t *testing.T, f func(t *testing.T, m *moving)) {
	for _, p := range places {
		if p.check == "MSI_ENDPOINT" || p.check == "IDENTITY_ENDPOINT" {
			bubbleIn(t, p.name, func(t *testing.T) {
				values := variablesAt(p.fake(&identitytest.Options{Identities: p.identities}), p.base)
				f(t, &moving{place: p, variables: &variables{values: maps.Clone(values)}, good: values})
			})
		}
	}
}

func (m *moving) credential(t *testing.T, reply func(n int) *http.Response) *Credential {
	return answering(t, m.environment(), &m.sent, reply)
}

// move changes the secret, and the endpoint if it isn't "".
func (m *moving) move(endpoint, secret string) {
	if m.secret != "" {
		m.set(m.secret, secret)
	}
	if endpoint != "" {
		m.set(m.check, endpoint)
	}
}

// moved is another endpoint of the host's.
func (m *moving) moved() string { return strings.Split(m.base, "//")[0] + "//10.0.0.3:9999/moved" }

// checkSent compares endpoints and secrets of requests with the first ones, a new secret, and both.
// The identity stays the one that tokens are kept by.
func (m *moving) checkSent(t *testing.T) {
	t.Helper()
	first, _, _ := strings.Cut(m.good[m.check], "?")
	want := []string{first, first, m.moved()}
	if m.secret != "" {
		want = []string{first + " " + m.good[m.secret], first + " second", m.moved() + " third"}
	}
	var got []string
	for _, r := range m.sent {
		said, _, _ := strings.Cut(r.URL.String(), "?")
		for name, values := range m.header {
			if values[0] == "SECRET" {
				said += " " + strings.Join(r.Header[name], ",")
			}
		}
		got = append(got, said)
		for name := range m.parameters {
			if name != "resource" && name != "api-version" &&
				r.URL.Query().Get(name) != m.sent[0].URL.Query().Get(name) {
				t.Errorf("%s changed: %s", name, r.URL)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestHostReadsItsVariablesAtEveryRequest(t *testing.T) {
	whereMoving(t, func(t *testing.T, m *moving) {
		cred := m.credential(t, grants)
		mustToken(t, cred)
		m.move("", "second")
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		m.move(m.moved(), "third")
		m.set("DEFAULT_IDENTITY_CLIENT_ID", otherGUID)
		time.Sleep(25 * time.Hour)
		mustToken(t, cred)
		m.checkSent(t)
	})
}

// TestHostReadsItsVariablesAtEveryTry: and an error names the endpoint that was asked, since the
// old address would send a person astray.
func TestHostReadsItsVariablesAtEveryTry(t *testing.T) {
	whereMoving(t, func(t *testing.T, m *moving) {
		e, _ := mustFail(t, m.credential(t, func(n int) *http.Response {
			switch n {
			case 1:
				m.move("", "second")
			case 2:
				m.move(m.moved(), "third")
			default:
				return respond(403, m.problem("some_error", "some text"))
			}
			return respond(503, m.problem("some_error", "some text"))
		}))
		m.checkSent(t)
		if e.StatusCode != 403 || e.Endpoint != m.moved() {
			t.Errorf("the error is about %s, asked was %s: %v", e.Endpoint, m.moved(), e)
		}
	})
}

// TestHostVariablesThatGoBad: nothing is sent, callers have their token to its end and then the
// variable's name, and all is well once the variable is.
func TestHostVariablesThatGoBad(t *testing.T) {
	whereMoving(t, func(t *testing.T, m *moving) {
		bad := []string{m.check, "", m.check, "pa55word", m.check, "http://user:pa55word@localhost/",
			m.check, "ftp://localhost/pa55word"}
		switch m.host {
		case HostServiceFabric:
			bad = append(bad, m.check, "http://localhost:2377/", "IDENTITY_API_VERSION", "a b")
		case HostContainerInstances:
			bad = append(bad, m.check, "http://20.1.2.3/t")
		}
		if m.secret != "" {
			bad = append(bad, m.secret, "", m.secret, "pa55word\n")
		}
		for i := 0; i < len(bad); i += 2 {
			variable := bad[i]
			m.sent = nil
			cred := m.credential(t, grants)
			mustToken(t, cred)
			m.set(variable, bad[i+1])
			start := time.Now()
			err := anotherToken(cred)
			wantErrorText(t, err, variable+": ", "https://another.example")
			if err != nil && (strings.Contains(err.Error(), "pa55") ||
				m.secret != "" && strings.Contains(err.Error(), m.good[m.secret])) {
				t.Errorf("error repeats a secret: %v", err)
			}
			for time.Since(start) < 24*time.Hour-time.Second { // fresh, stale, expiring
				if _, took := mustToken(t, cred); took > 0 {
					t.Errorf("%s: a caller waited %v for a token that was held", variable, took)
				}
				time.Sleep(time.Second + (24*time.Hour-time.Since(start))/20)
			}
			time.Sleep(2 * time.Minute)
			e, took := mustFail(t, cred)
			wantErrorText(t, e, variable+": ")
			if took > 0 || len(m.sent) != 1 || e.Attempts > 1 {
				t.Errorf("%s: %d requests, error after %v: %v", variable, len(m.sent), took, e)
			}
			m.set(variable, m.good[variable])
			time.Sleep(time.Minute)
			mustToken(t, cred)
		}
	})
}

func TestHostVariableVanishesBetweenTries(t *testing.T) {
	whereMoving(t, func(t *testing.T, m *moving) {
		e, _ := mustFail(t, m.credential(t, func(int) *http.Response {
			m.set(m.check, "")
			return respond(503, m.problem("some_error", "some text"))
		}))
		wantErrorText(t, e, m.check+": ")
		if e.Attempts != 1 || len(m.sent) != 1 {
			t.Errorf("%d attempts, %d requests, want 1: %v", e.Attempts, len(m.sent), e)
		}
	})
}

// TestHostSecretRotates: against the fakes, which refuse what they gave out before.
func TestHostSecretRotates(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		if p.secret == "" {
			t.Skip("no secret")
		}
		s := p.open(t)
		v := &variables{values: variablesAt(s.ep, s.base)}
		cred := credentialAt(t, v.environment(), s.transport())
		mustToken(t, cred)
		s.ep.RotateSecret()
		err := anotherToken(cred)
		if p.host == HostContainerInstances { // whose word for it is that of a missing identity
			wantErrorText(t, err, "ManagedIdentityNotFound")
		} else {
			wantErrorText(t, err, p.secret)
		}
		if e, ok := errors.AsType[*AuthenticationError](err); ok && e.Attempts != 1 {
			t.Errorf("%d attempts, want 1", e.Attempts)
		}
		for name, value := range variablesAt(s.ep, s.base) {
			v.set(name, value)
		}
		time.Sleep(time.Minute) // the cool-down of the failure
		if err := anotherToken(cred); err != nil {
			t.Errorf("the new secret isn't used: %v", err)
		}
	})
}
