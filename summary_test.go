package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// variedText is a host's text in which all varies that hosts let vary.
func variedText(i int) string {
	return fmt.Sprintf("refused. Trace ID: 0000000%d-2222-4333-8444-555555555555 "+
		"Correlation ID: c0ffee%d Timestamp: 2026-11-28 10:0%d:00Z, try again in %d seconds",
		i, i, i, i+1)
}

// summaryCauses are reasons to have no token at a host, by name, each with the ways to notice it.
func summaryCauses(t *testing.T, s *site) map[string][]func(i int) error {
	cred := s.credential(t)
	const quiet, long = 4 * time.Minute, 10 * time.Minute
	ask := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		tk, err := getToken(ctx, cred)
		if err == nil {
			t.Fatalf("got the token %s until %v, now is %v", tk.Token, tk.ExpiresOn, time.Now())
		}
		return err
	}
	type answer = func(i int) identitytest.Response
	answers := func(patience time.Duration, answer answer) func(int) error {
		return func(i int) error {
			r := answer(i)
			r.For = quiet
			s.answer(r)
			return ask(patience)
		}
	}
	refuses := func(status int, code, before string, header ...string) answer {
		return func(i int) identitytest.Response {
			return s.own(status, s.problem(code, before+variedText(i)), header...)
		}
	}
	causes := map[string][]func(int) error{
		"a refusal":       {answers(long, refuses(403, "some_code", ""))},
		"another code":    {answers(long, refuses(403, "another_code", ""))},
		"another message": {answers(long, refuses(403, "some_code", "not "))},
		"another status": {answers(long, refuses(503, "some_code", "")),
			answers(10*time.Second, refuses(503, "some_code", ""))},
		"throttled": {answers(long, func(i int) identitytest.Response {
			return refuses(429, "some_code", "", "Retry-After", fmt.Sprint(i))(i)
		})},
		"a gateway": {answers(long, func(i int) identitytest.Response {
			return identitytest.Response{Status: 502, Body: fmt.Sprintf("<html>Bad Gateway <!-- Ref A: "+
				"5D%dC0FFEE Ref B: MSP%d Ref C: 2026-11-28T10:0%d:00Z --></html>", i, i, i)}
		})},
		"refused connections": {func(int) error {
			s.down.Store(true)
			defer s.down.Store(false)
			return ask(long)
		}},
		"connections that break": {answers(long, func(i int) identitytest.Response {
			end := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
			return identitytest.Response{Err: &net.OpError{
				Op: "read", Net: "tcp", Source: end(53124 + i), Addr: end(4141),
				Err: os.NewSyscallError("read", syscall.ECONNRESET),
			}}
		})},
		"no token in it": {answers(long, func(int) identitytest.Response {
			return s.own(200, `{"expires_in":"3600"}`)
		})},
		"a clock that is wrong": {answers(long, func(i int) identitytest.Response {
			return s.own(200, fmt.Sprintf(`{"access_token":"t","expires_on":"%d","token_type":"Bearer"}`,
				time.Now().Add(-time.Duration(i+1)*time.Hour).Unix()))
		})},
		"a caller without patience": {answers(time.Second, func(int) identitytest.Response {
			return identitytest.Response{Delay: time.Hour}
		})},
	}
	if s.problem("a", "m") == s.problem("b", "m") { // its failures have no code
		delete(causes, "another code")
	}
	return causes
}

// TestSummaryStays the same while the cause does, however the host words it each time, and differs
// for each cause: a controller that writes an error into a condition would otherwise be woken by
// its own writing (cert-manager/cert-manager#5652).
func TestSummaryStays(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		time.Sleep(24 * time.Hour) // a bubble's time begins where a date that is past is none
		seen := map[string]string{}
		for name, ways := range summaryCauses(t, p.open(t)) {
			summary, errorTexts := "", map[string]bool{}
			for i := range 5 {
				for _, way := range ways {
					err := way(i)
					var found interface{ Summary() string }
					if !errors.As(err, &found) {
						t.Fatalf("%s: the error is %v", name, err)
					}
					errorTexts[err.Error()] = true
					got := found.Summary()
					if summary == "" {
						summary = got
					}
					if got != summary {
						t.Errorf("%s: the cause stayed, and the summary became\n%s\nafter\n%s\nof %v",
							name, got, summary, err)
					}
					if strings.ContainsAny(got, "\r\n") ||
						!strings.HasPrefix(got, "identity: "+p.host.String()+": ") {
						t.Errorf("%s: the summary is %q", name, got)
					}
					time.Sleep(12*time.Minute + time.Duration(i)*777*time.Millisecond)
				}
			}
			if other, ok := seen[summary]; ok {
				t.Errorf("%s and %s have one summary: %s", name, other, summary)
			}
			if seen[summary] = name; len(errorTexts) < 2 && name == "another status" {
				t.Errorf("%s: five texts of Error are one: this test shows nothing", name)
			}
		}
	})
}

// TestSummaryTellsCausesApart by each of the fields that make one.
func TestSummaryTellsCausesApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	base := AuthenticationError{Host: HostIMDS, Resource: "https://vault.azure.net",
		StatusCode: 400, Code: "invalid_request", Message: "Identity not found", Attempts: 3,
		Elapsed: time.Second, CorrelationID: "c0ffee"}
	const app = "Application with identifier '11111111-2222-4333-8444-%s' was not found"
	for _, change := range []func(*AuthenticationError){
		func(*AuthenticationError) {},
		func(e *AuthenticationError) { e.Host = HostAppService },
		func(e *AuthenticationError) { e.tool = "Azure CLI" },
		func(e *AuthenticationError) { e.Resource = "https://graph.microsoft.com" },
		func(e *AuthenticationError) { e.StatusCode = 401 },
		func(e *AuthenticationError) { e.Code = "invalid_client" },
		func(e *AuthenticationError) { e.Message = "Identity not found here" },
		func(e *AuthenticationError) { e.Message = fmt.Sprintf(app, "555555555555") },
		func(e *AuthenticationError) { e.Message = fmt.Sprintf(app, "666666666666") },
		func(e *AuthenticationError) { e.ID = ClientID(guid) },
		func(e *AuthenticationError) { e.ID = ObjectID(guid) },
		func(e *AuthenticationError) { e.what = "without a word" },
	} {
		e := base
		change(&e)
		summary := e.Summary()
		if seen[summary] {
			t.Errorf("two causes have one summary: %s", summary)
		}
		seen[summary] = true
		e.Attempts, e.Elapsed, e.CorrelationID = 4, time.Minute, "0ddba11"
		if got := e.Summary(); got != summary {
			t.Errorf("the summary became %q after %q", got, summary)
		}
	}
	const want = `identity: IMDS: 400 invalid_request "Identity not found" ` +
		`(token for https://vault.azure.net of client ID 1): check`
	e := base
	e.ID, e.hint = ClientID("1"), "check"
	if got := e.Summary(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// summarized is an error of another package that has a Summary.
type summarized struct{ summary func() string }

func (summarized) Error() string     { return fmt.Sprint("failed at ", time.Now()) }
func (s summarized) Summary() string { return s.summary() }

// TestSummaryOfChains is that of the sources that ended the walk.
func TestSummaryOfChains(t *testing.T) {
	varied := 0
	text := func() string { varied++; return variedText(varied % 10) }
	fails := func(err error) azcore.TokenCredential { return &scripted{err: err} }
	const refusal = `managed identity failed: IMDS: 400 invalid_request "Identity not found" ` +
		`(token for https://vault.azure.net of client ID ` + guid + `)`
	for want, sources := range map[string]func(t *testing.T) []azcore.TokenCredential{
		refusal: func(t *testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{fails(errAway),
				onIMDS(t, identitytest.NewIMDS(nil), withID(ClientID(guid)))}
		},
		"chain failed: no token for https://vault.azure.net: " +
			refusal: func(t *testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{mustChain(t, nil,
				onIMDS(t, identitytest.NewIMDS(nil), withID(ClientID(guid))))}
		},
		"identity.sourceFunc failed: broken: refused. Trace ID: … ": func(
			*testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{sourceFailing(func() error {
				return errors.New("broken: " + text())
			})}
		},
		"no source is available: identity.scripted: away: no managed identity endpoint answers here; " +
			"identity.sourceFunc: no managed identity endpoint answers here at …": func(
			*testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{fails(errAway), sourceFailing(func() error {
				return fmt.Errorf("%w at %v", ErrUnavailable, time.Now())
			})}
		},
		"identity.scripted failed: two lines, REDACTED": func(*testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{fails(fmt.Errorf("try %w", summarized{func() string {
				return "two\nlines, eyJhbGciOiJub25lIn0.canary"
			}}))}
		},
		"identity.scripted failed: failed at …": func(*testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{fails(summarized{func() string { panic("Summary") }})}
		},
		"gave up waiting for identity.scripted: context deadline exceeded": func(
			*testing.T) []azcore.TokenCredential {
			return []azcore.TokenCredential{&scripted{took: time.Hour}}
		},
		"managed identity failed: IMDS: 503 ": func(t *testing.T) []azcore.TokenCredential {
			ep := identitytest.NewIMDS(nil) // and a caller without patience
			ep.Enqueue(identitytest.Response{Status: 503, For: 24 * time.Hour})
			return []azcore.TokenCredential{onIMDS(t, ep)}
		},
	} {
		bubbleIn(t, want, func(t *testing.T) {
			chain := mustChain(t, nil, sources(t)...)
			got := steadySummary(t, want, func(i int) error {
				time.Sleep(time.Duration(i) * 77 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(),
					40*time.Second+time.Duration(i)*time.Millisecond)
				defer cancel()
				_, err := getToken(ctx, chain)
				return err
			})
			if want := "identity: chain: no token for https://vault.azure.net: " +
				want; !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
				t.Errorf("the summary is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// sourceFailing is a source of another package whose error is made anew each time.
func sourceFailing(fail func() error) sourceFunc {
	var mu sync.Mutex
	return func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		mu.Lock()
		defer mu.Unlock()
		return azcore.AccessToken{}, fail()
	}
}

// TestSummaryOfReady is that of the failure that Ready waited over.
func TestSummaryOfReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, cred := range map[string]interface {
			Ready(context.Context, ...string) error
		}{
			"credential": onIMDS(t, always(503, imdsError)),
			"chain":      mustChain(t, nil, onIMDS(t, always(503, imdsError))),
		} {
			if got := steadySummary(t, name, func(i int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(80+40*i)*time.Second)
				defer cancel()
				return cred.Ready(ctx, vaultScope)
			}); strings.Contains(got, "not ready") {
				t.Errorf("%s: the summary is %s", name, got)
			}
		}
	})
}

// TestSummaryOfTools: az and azd put the time and their own numbers into what they say.
func TestSummaryOfTools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runs := 0
		tool := azureCLIOf(t, &fakeTool{answer: func(int) ([]byte, error) {
			runs++
			return nil, exits(1, "ERROR: AADSTS50076: second factor needed. "+variedText(runs))
		}}, AzureCLICredentialOptions{})
		got := steadySummary(t, "az", func(int) error {
			time.Sleep(5 * time.Minute)
			_, err := getToken(t.Context(), tool)
			return err
		})
		if runs != 5 || !strings.Contains(got, "AADSTS50076") {
			t.Errorf("az was run %d times, want 5, and the summary is %s", runs, got)
		}
	})
}

// steadySummary is that of five failures, which have one cause.
func steadySummary(t *testing.T, name string, fail func(i int) error) (summary string) {
	t.Helper()
	for i := range 5 {
		err := fail(i)
		var found interface{ Summary() string }
		if !errors.As(fmt.Errorf("reconcile: %w", err), &found) {
			t.Fatalf("%s: no Summary in %v", name, err)
		}
		got := found.Summary()
		if i > 0 && got != summary {
			t.Errorf("%s: the cause stayed, and the summary became\n%s\nafter\n%s", name, got, summary)
		}
		summary = got
	}
	return summary
}
