package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

const vaultScope = "https://vault.azure.net/.default"

// bubble runs a test in parallel and on virtual time. A goroutine left behind fails it, once a
// renewal that is under way at the end has had the time of its budget.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(2 * time.Minute)
	})
}

// lasts waits for d or for the end of ctx, whose error it returns. It polls no timer that is due at
// once: under the race detector Go 1.26 crashes when goroutines of a bubble receive from such
// timers at one time, because they all run in the one race context that a bubble has for its timers
// (runtime, maybeRunChan).
func lasts(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// imdsPath is the token endpoint's at IMDS.
const imdsPath = "/metadata/identity/oauth2/token"

// nowhere is an environment in which nothing is set.
func nowhere() environment { return environmentOf(nil) }

func environmentOf(variables map[string]string) environment {
	return environment{
		getenv: func(name string) string { return variables[name] },
		exists: func(string) bool { return false },
		goos:   "linux",
	}
}

// environmentAt is the environment of a fake host that is served at a base URL, if only in memory.
func environmentAt(ep *identitytest.Endpoint, base string) environment {
	return environmentOf(variablesAt(ep, base))
}

// variablesAt are a fake host's variables, by name.
func variablesAt(ep *identitytest.Endpoint, base string) map[string]string {
	variables := map[string]string{}
	for _, line := range ep.Env(base) {
		name, value, _ := strings.Cut(line, "=")
		variables[name] = value
	}
	return variables
}

// credentialAt makes a credential whose host is an in-memory endpoint. Options are changed by
// adjust.
func credentialAt(
	tb testing.TB, env environment, transport policy.Transporter, adjust ...func(*CredentialOptions),
) *Credential {
	tb.Helper()
	options := &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: transport}}
	for _, f := range adjust {
		f(options)
	}
	cred, err := newCredential(options, env)
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

func onIMDS(
	tb testing.TB, transport policy.Transporter, adjust ...func(*CredentialOptions),
) *Credential {
	tb.Helper()
	return credentialAt(tb, nowhere(), transport, adjust...)
}

// getToken asks for the vault's token.
func getToken(ctx context.Context, cred azcore.TokenCredential) (azcore.AccessToken, error) {
	return tokenFor(ctx, cred, vaultScope)
}

func tokenFor(
	ctx context.Context, cred azcore.TokenCredential, scope string,
) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
}

// mustToken fails the test if there is none, and returns how long it took.
func mustToken(tb testing.TB, cred azcore.TokenCredential) (azcore.AccessToken, time.Duration) {
	tb.Helper()
	start := time.Now()
	tk, err := getToken(context.Background(), cred)
	if err != nil {
		tb.Fatalf("GetToken after %v: %v", time.Since(start), err)
	}
	if !tk.ExpiresOn.After(time.Now()) {
		tb.Fatalf("GetToken returned a token that expired at %v, now is %v", tk.ExpiresOn, time.Now())
	}
	return tk, time.Since(start)
}

// mustFail fails the test if there is a token, and returns the error and how long it took.
func mustFail(tb testing.TB, cred azcore.TokenCredential) (*AuthenticationError, time.Duration) {
	tb.Helper()
	start := time.Now()
	_, err := getToken(context.Background(), cred)
	if err == nil {
		tb.Fatal("GetToken returned a token, want an error")
	}
	var ae *AuthenticationError
	if !errors.As(err, &ae) {
		tb.Fatalf("GetToken returned %T: %v, want *AuthenticationError", err, err)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		tb.Errorf("error is not one line: %q", err)
	}
	return ae, time.Since(start)
}

// transportFunc is a function as a Transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// respond makes a response.
func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// grantBody is IMDS's answer with a token of the given life.
func grantBody(token string, life time.Duration) string {
	return fmt.Sprintf(`{"access_token":%q,"expires_in":"%d","expires_on":"%d","token_type":"Bearer"}`,
		token, int(life.Seconds()), time.Now().Add(life).Unix())
}

// arrivals is a Transport that notes when requests arrived.
type arrivals struct {
	next policy.Transporter
	mu   sync.Mutex
	at   []time.Time
}

func (a *arrivals) Do(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.at = append(a.at, time.Now())
	a.mu.Unlock()
	return a.next.Do(r)
}

func (a *arrivals) times() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.at...)
}

// shiftClock moves all that the credential's cache holds by the clock, as if the clock itself had
// jumped by d: a bubble's clock can't.
func shiftClock(cred *Credential, d time.Duration) { cred.tokens.ShiftClock(d) }

// inFlight counts the resources for which the credential is asking.
func inFlight(cred *Credential) (n int) {
	for _, r := range cred.Status().Resources {
		if r.InFlight {
			n++
		}
	}
	return n
}
