package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/detect"
)

func TestDefaultOffAzure(t *testing.T) {
	for name, transport := range notIMDS {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{took: 100 * time.Millisecond}
				chain := l.credential(t, transport)
				ask := func(chain *Chain, scope string, limit time.Duration) {
					t.Helper()
					start := time.Now()
					tk, err := chain.GetToken(t.Context(),
						policy.TokenRequestOptions{Scopes: []string{scope}})
					if took := time.Since(start); err != nil || !ofTool(tk) || took > limit {
						t.Errorf("%s: got the token %q, error %v, after %v, want the developer's within %v",
							scope, tk.Token, err, took, limit)
					}
				}
				ask(chain, vaultScope, 1200*time.Millisecond)
				ask(chain, vaultScope, 0)
				for i := range 10 {
					ask(chain, fmt.Sprintf("https://%d.example/.default", i), 100*time.Millisecond)
				}
				// Another chain of this process, as a service has it that makes one for each request.
				ask(l.credential(t, transport), vaultScope, time.Minute)
				for range 60 { // for an hour
					time.Sleep(time.Minute)
					ask(chain, vaultScope, 2*time.Second)
				}
				if s := chain.Status(); s.InUse != "Azure CLI" || s.Azure != "" {
					t.Errorf("status is %+v", s)
				}
			})
		})
	}
}

// TestDefaultWithoutAnything: the second is paid once a minute, also when nobody is logged in; and
// the error says it all.
func TestDefaultWithoutAnything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{az: errNotLoggedIn}
		chain := l.credential(t, notIMDS["dead address"])
		_, err := getToken(t.Context(), chain)
		want := []string{
			"identity: default credential: no token for https://vault.azure.net: no source is available",
			"managed identity: IMDS: ",
			"Azure CLI: ", "run az login",
			"Azure Developer CLI: azd is not installed, or not on PATH (token for " +
				"https://vault.azure.net, 1 attempt, 0s): install it from ",
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error is\n%v\nwithout %q", err, w)
			}
		}
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
			strings.Count(err.Error(), "\n") != 3 {
			t.Errorf("error is %v, want ErrUnavailable in four lines, and no deadline of ours", err)
		}
		start := time.Now()
		_, err = getToken(t.Context(), chain)
		if took := time.Since(start); err == nil || took > 0 {
			t.Errorf("a later call took %v (%v)", took, err)
		}
		l.az = nil // the developer logs in
		time.Sleep(11 * time.Second)
		if tk, took := mustToken(t, chain); tk.Token != developersToken || took > 0 {
			t.Errorf("got %q after %v, want the developer's token at once", tk.Token, took)
		}
	})
}

// TestDefaultPaysOnceAMinute for finding out that this is no Azure, for all resources and chains,
// with nobody logged in.
func TestDefaultPaysOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{az: errNotLoggedIn}
		chain := l.credential(t, notIMDS["silence"])
		start := time.Now()
		var paid []time.Duration // when a call took more than nothing
		for i := 0; time.Since(start) < 5*time.Minute; i++ {
			began := time.Now()
			_, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://%d.example/.default", i%3)}})
			if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > time.Second {
				t.Fatalf("got %v after %v", err, took)
			} else if took > 0 {
				paid = append(paid, began.Sub(start))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(paid) != 5 {
			t.Errorf("calls paid at %v, want once a minute", paid)
		}
		for i := 1; i < len(paid); i++ {
			if gap := paid[i] - paid[i-1]; gap < time.Minute {
				t.Errorf("the second was paid again after %v", gap)
			}
		}
	})
}

// TestDefaultSlowIMDS: as long as nothing says that this is Azure the developer's token is used;
// the managed identity from its first answer on, and then never the developer's again.
func TestDefaultSlowIMDS(t *testing.T) {
	const s = time.Second
	for name, tt := range map[string]struct {
		delay, absent time.Duration
		by            time.Duration // when the managed identity is in use
	}{
		"answers after 3 s":   {delay: 3 * s, by: 3 * s},
		"answers after 20 s":  {delay: 20 * s, by: 20 * s},
		"is there after 3 s":  {absent: 3 * s, by: 5 * s},
		"is there after 90 s": {absent: 90 * s, by: 180 * s},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, start := &laptop{}, time.Now()
				chain := l.credential(t, &slowAtFirst{ep: identitytest.NewIMDS(nil), delay: tt.delay,
					until: start.Add(tt.absent)})
				if tk, took := mustToken(t, chain); !ofTool(tk) || took != time.Second {
					t.Errorf("got %q after %v, want the developer's token after 1 s", tk.Token, took)
				}
				var changed time.Duration
				for time.Since(start) < time.Hour {
					tk, _ := mustToken(t, chain)
					switch {
					case !ofTool(tk) && changed == 0:
						changed = time.Since(start)
					case ofTool(tk) && changed > 0:
						t.Fatalf("the developer's token again after %v", time.Since(start))
					}
					time.Sleep(100 * time.Millisecond)
				}
				if changed == 0 || changed > tt.by+200*time.Millisecond {
					t.Errorf("the managed identity was used after %v, want %v", changed, tt.by)
				}
				if log := l.log.String(); !strings.Contains(log,
					"level=WARN msg=\"this is Azure: the developer's credentials are not used from now on\" "+
						"because=\"IMDS has answered at http") {
					t.Errorf("the log doesn't say why:\n%s", log)
				}
				runs := l.runs.Load()
				time.Sleep(30 * time.Hour)
				mustToken(t, chain)
				if l.runs.Load() != runs {
					t.Error("az was run after the managed identity's first answer")
				}
			})
		})
	}
}

// TestDefaultAnswersWhileToolRuns: the developer's token that comes a moment after the proof is
// thrown away, and an error is of what IMDS said, and not of what was thought before.
func TestDefaultAnswersWhileToolRuns(t *testing.T) {
	for name, tt := range map[string]struct {
		az   error
		imds policy.Transporter
		want string // in the error
	}{
		"with a token":  {nil, identitytest.NewIMDS(nil), ""},
		"with an error": {exits(1, "ERROR: broken"), identitytest.NewIMDS(nil), ""},
		"and IMDS refuses": {nil, always(400, imdsError),
			"managed identity failed\n\tmanaged identity: IMDS: 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				chain := (&laptop{took: 5 * time.Second, az: tt.az}).credential(t,
					takes(3*time.Second, tt.imds))
				start := time.Now()
				tk, err := getToken(t.Context(), chain)
				if tt.want != "" {
					if !strings.Contains(fmt.Sprint(err), tt.want) || errors.Is(err, ErrUnavailable) {
						t.Errorf("error is %v", err)
					}
				} else if took := time.Since(start); err != nil || ofTool(tk) || took != 6*time.Second {
					t.Errorf("got %q (%v) after %v, want the managed identity's after az has ended",
						tk.Token, err, took)
				}
			})
		})
	}
}

// TestDefaultStaysItself: one transient failure, or a day of them, doesn't change who the program
// is.
func TestDefaultStaysItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{}
		ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})
		chain := l.credential(t, ep)
		first, _ := mustToken(t, chain)
		ep.Enqueue(identitytest.Response{Err: errors.New("connection refused"), For: 12 * time.Hour})
		time.Sleep(10 * time.Minute)
		if tk, _ := mustToken(t, chain); tk.Token != first.Token {
			t.Error("a failed renewal changed the token")
		}
		time.Sleep(time.Hour)
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			tk, err := getToken(ctx, chain)
			cancel()
			if err == nil || errors.Is(err, ErrUnavailable) {
				t.Fatalf("during the outage: got %q, error %v, want one that isn't ErrUnavailable", tk.Token,
					err)
			}
			time.Sleep(5 * time.Minute)
		}
		time.Sleep(12 * time.Hour)
		if tk, _ := mustToken(t, chain); strings.HasPrefix(tk.Token, developersToken) ||
			l.runs.Load() > 0 {
			t.Errorf("after the outage: got %q, and %d runs of az", tk.Token, l.runs.Load())
		}
	})
}

// TestDefaultWithEvidence: whatever says that this is Azure bars the developer, also while nothing
// answers.
func TestDefaultWithEvidence(t *testing.T) {
	for name, variables := range map[string]map[string]string{
		"App Service": {envEndpoint: "http://localhost:4141/msi/token", envHeader: "s"},
		"Azure ML":    {envMSI: "http://localhost:4141/msi/token", envMSISecret: "s"},
		"Cloud Shell": {envMSI: "http://localhost:50342/oauth2/token"},
		"Arc": {envEndpoint: "http://localhost:40342/metadata/identity/oauth2/token",
			envIMDS: "http://localhost:40342"},
		"Container Instances": {envHeader: "s", envThumbprint: "t"},
		"moved IMDS":          {envAuthority: "http://127.0.0.1:1"},
		"half of App Service": {envEndpoint: "http://localhost:4141/msi/token"},
		"half of Azure ML":    {envMSISecret: "s"},
		"half of Arc":         {envIMDS: "http://localhost:40342"},
		"an app of App Service without an identity":    {"WEBSITE_SITE_NAME": "shop"},
		"an app of Container Apps without an identity": {"CONTAINER_APP_NAME": "shop"},
		"a job of Container Apps without an identity":  {"CONTAINER_APP_JOB_NAME": "shop"},
		"workload identity": {envTokenFile: "/no/file", envClientID: "c",
			envTenantID: "t"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{variables: variables}
				chain := l.credential(t, notIMDS["refused"])
				synctest.Wait()
				if !strings.Contains(l.log.String(),
					"this is Azure: the developer's credentials are not used") {
					t.Errorf("the log doesn't say at once that this is Azure: %s", l.log.String())
				}
				l.wantBarred(t, chain, "Azure CLI: not asked")
			})
		})
	}
	for name, transport := range map[string]transportFunc{
		"no identity":               always(400, imdsError),
		"throttling":                always(429, `{"error":"too_many_requests"}`),
		"failing":                   always(500, "", "Server", "IMDS/150.870.65.1"),
		"an update that breaks off": breaksOff(respond(410, "")),
		"a restart that breaks off": breaksOff(respond(500, "", "Server", "Microsoft-IIS/10.0",
			"Content-Type", "text/plain")),
		"the agent's mark, and a break": breaksOff(respond(200, "", "X-Ms-Azure-Host-Authorization",
			"v")),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{}
				err := l.wantBarred(t, l.credential(t, transport),
					"Azure CLI: not asked: the next source is for when one is unavailable")
				if errors.Is(err, ErrUnavailable) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// wantBarred: there is an error, with want in it, and az hasn't been run.
func (l *laptop) wantBarred(t *testing.T, chain *Chain, want string) error {
	t.Helper()
	_, err := getToken(t.Context(), chain)
	if err == nil || l.runs.Load() > 0 || !strings.Contains(err.Error(), want) {
		t.Fatalf("error is %v, after %d runs of az, want %q and none", err, l.runs.Load(), want)
	}
	return err
}

// TestDefaultBarredInWords: the error says why the developer was not asked, and how to be asked all
// the same, where that is what helps.
func TestDefaultBarredInWords(t *testing.T) {
	const advice = ": managed identity failed: where the login of az or azd is meant, set " +
		"AZURE_TOKEN_CREDENTIALS=dev\n\t"
	const why = "AZURE_POD_IDENTITY_AUTHORITY_HOST is set, and no other host's variables are set"
	bubble(t, func(t *testing.T) {
		l := &laptop{variables: map[string]string{envAuthority: "http://127.0.0.1:1"}}
		err := l.wantBarred(t, l.credential(t, notIMDS["refused"]), advice)
		if lines := strings.Split(err.Error(), "\n\t"); len(lines) != 4 ||
			!strings.Contains(lines[1], why) || errors.Is(err, ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
		if got := notAsked(why); got != "not asked: this is Azure, because "+why+
			"; AZURE_TOKEN_CREDENTIALS=dev selects the developer's credentials all the same" {
			t.Errorf("a barred source's line is %q", got)
		}
		if all := err.(interface{ Unwrap() []error }).Unwrap(); len(all) != 1 || all[0] == nil {
			t.Errorf("the error unwraps to %v, want that of the one source that was asked", all)
		}

		l = &laptop{}
		err = l.wantBarred(t, l.credential(t,
			always(400, oauthProblem("invalid_request", "Identity not found"))), advice)
		if !errors.Is(err, ErrIdentityNotFound) {
			t.Errorf("error is %v", err)
		}
		err = l.wantBarred(t, l.credential(t,
			always(400, oauthProblem("invalid_resource", "AADSTS500011"))), "")
		if strings.Contains(err.Error(), "AZURE_TOKEN_CREDENTIALS") {
			t.Errorf("a wrong resource is no reason for another login: %v", err)
		}
	})
}

// TestDefaultEvidenceIsForLife of the process: what a chain has seen, or any Credential, a chain
// that is made later knows, too. It has the default transport, so that it shares with the process;
// it asks nothing here.
func TestDefaultEvidenceIsForLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for want, see := range map[string]func(*shared){
			envAuthority: func(s *shared) { // the variable is unset afterwards
				l := &laptop{variables: map[string]string{envAuthority: "http://127.0.0.1:1"}}
				if _, err := newDefaultCredential(s, nil, l.environment()); err != nil {
					t.Fatal(err)
				}
			},
			"IMDS has answered": func(s *shared) { mustToken(t, sharingIMDS(t, s)) },
		} {
			shared, l := newShared(), &laptop{}
			see(shared)
			chain, err := newDefaultCredential(shared, &DefaultCredentialOptions{
				Logger: slog.New(slog.NewTextHandler(&l.log, nil))}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if why := chain.Status().Azure; !strings.Contains(why, want) ||
				!strings.Contains(l.log.String(), want) {
				t.Errorf("a later chain says %q, and the log %s; want %s", why, l.log.String(), want)
			}
		}
	})
}

// sharingIMDS is a credential whose IMDS answers.
func sharingIMDS(t *testing.T, s *shared) *Credential {
	t.Helper()
	cred, err := newCredentialIn(s,
		&CredentialOptions{ClientOptions: optionsWith(identitytest.NewIMDS(nil))}, nowhere())
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// TestDefaultEvidenceForChainsInUse: what any Credential of the process sees ends the developer's
// part of a chain that is older than that, and is in use.
func TestDefaultEvidenceForChainsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newShared()
		cred := sharingIMDS(t, shared)
		// The chain has the default transport, so that it shares with the process; as nothing has
		// answered lately it asks nothing here.
		beSilent(newProbedHost(cred, shared, ""))
		l := &laptop{azd: command.ErrNotOnPath}
		chain, err := newDefaultCredential(shared,
			&DefaultCredentialOptions{Logger: slog.New(slog.NewTextHandler(&l.log, nil))},
			l.environment())
		if err != nil {
			t.Fatal(err)
		}
		wantFrom(t, chain, developersToken)
		tk, _ := mustToken(t, cred)
		// of which az has no token yet
		other := policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}}
		askFor(t, cred, other)
		if tk := askFor(t, chain, other); ofTool(tk) {
			t.Errorf("got %q", tk.Token)
		}
		wantFrom(t, chain, tk.Token)
		synctest.Wait()
		if s := chain.Status(); s.InUse != "managed identity" ||
			!strings.Contains(s.Azure, "IMDS has answered") ||
			!strings.Contains(l.log.String(), "level=WARN") {
			t.Errorf("status is %+v, and the log %s", s, l.log.String())
		}
		later, err := newDefaultCredential(shared, nil, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		wantFrom(t, later, tk.Token)
		if n := l.runs.Load(); n != 1 {
			t.Errorf("%d runs of az, want 1", n)
		}
	})
}

// TestDefaultTransportIsAPlace of its own: what one stand-in has answered says nothing of another.
func TestDefaultTransportIsAPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{}
		if tk, _ := mustToken(t,
			l.credential(t, identitytest.NewIMDS(nil))); tk.Token == developersToken {
			t.Errorf("got %q", tk.Token)
		}
		wantFrom(t, l.credential(t, notIMDS["refused"]), developersToken)
	})
}

// TestDefaultReady is a readiness probe's 900 ms, on a laptop and on a slow host: ready in the end,
// without a failure for good.
func TestDefaultReady(t *testing.T) {
	for name, transport := range map[string]func() policy.Transporter{
		"laptop": func() policy.Transporter { return notIMDS["silence"] },
		"slow IMDS": func() policy.Transporter {
			return &slowAtFirst{ep: identitytest.NewIMDS(nil), delay: 5 * time.Second}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{az: errNotLoggedIn, took: time.Second}
				chain := l.credential(t, transport())
				probe := func() error {
					ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
					defer cancel()
					defer time.Sleep(2 * time.Second)
					return chain.Ready(ctx, vaultScope, "https://storage.azure.com/.default")
				}
				if err := probe(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("at first: %v", err)
				}
				time.Sleep(20 * time.Second)
				if name == "laptop" {
					if err := probe(); err == nil {
						t.Errorf("nobody logged in: %v", err)
					}
					synctest.Wait()
					l.az = nil // the developer logs in
					time.Sleep(20 * time.Second)
				}
				for i := 0; probe() != nil; i++ {
					if i > 10 {
						t.Fatalf("not ready: %v", probe())
					}
				}
			})
		})
	}
}

func TestDefaultThousandCallers(t *testing.T) {
	for name, tt := range map[string]struct {
		transport policy.Transporter
		tool      bool
	}{
		"laptop": {notIMDS["gateway's 404"], true},
		"Azure":  {identitytest.NewIMDS(&identitytest.Options{RateLimit: true}), false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{took: time.Second}
				chain := l.credential(t, tt.transport)
				var wrong atomic.Int64
				var all sync.WaitGroup
				start := time.Now()
				for range 1000 {
					all.Go(func() {
						tk, err := getToken(t.Context(), chain)
						if err != nil || ofTool(tk) != tt.tool ||
							time.Since(start) > 2200*time.Millisecond {
							wrong.Add(1)
						}
					})
				}
				all.Wait()
				if runs := l.runs.Load(); wrong.Load() > 0 || runs > 1 || (runs == 1) != tt.tool {
					t.Errorf("%d of 1000 callers got something else, after %d runs of az", wrong.Load(),
						runs)
				}
			})
		})
	}
}

// fates are how a pipeline's call can end, with the machine's identity and IMDS as they are.
var fates = map[string]struct {
	imds      policy.Transporter
	variables map[string]string
	// "developer", which is the pipeline's login here, "managed", "unavailable" or "failure"
	want   string
	most   time.Duration
	nobody string // the same where nobody is logged in
}{
	"an identity": {imds: identitytest.NewIMDS(nil), want: "managed", nobody: "managed"},
	"none":        {imds: hasNo("Identity not found"), want: "developer", nobody: "unavailable"},
	"several": {imds: hasNo("Multiple user assigned identities exist, please specify the clientId / " +
		"resourceId of the identity in the token request"), want: "failure", nobody: "failure"},
	"no header": {imds: hasNo("Required metadata header not specified"), want: "failure",
		nobody: "failure"},
	"not the one selected": {imds: hasNo("Identity not found"),
		variables: map[string]string{envClientID: guid}, want: "failure", nobody: "failure"},
	"slow": {imds: takes(3*time.Second, identitytest.NewIMDS(nil)), want: "developer",
		most: time.Second, nobody: "managed"},
	"slow to say none": {imds: takes(3*time.Second, hasNo("Identity not found")),
		want: "developer", most: time.Second, nobody: "unavailable"},
	"failing": {imds: always(503, imdsError), want: "developer", most: time.Second,
		nobody: "failure"},
	"the guest proxy agent refuses": {imds: always(403, "", "Connection", "close"),
		want: "failure", nobody: "failure"},
	"silence": {imds: notIMDS["silence"], want: "developer", most: time.Second, nobody: "failure"},
	"nobody":  {imds: notIMDS["refused"], want: "developer", most: time.Second, nobody: "unavailable"},
	"a moved one that isn't there": {imds: notIMDS["refused"],
		variables: map[string]string{envAuthority: "http://127.0.0.1:8080"}, want: "developer",
		most: time.Second, nobody: "failure"},
	"App Service that isn't there": {imds: notIMDS["refused"],
		variables: map[string]string{envEndpoint: "http://localhost:4141/msi/token", envHeader: "s"},
		want:      "developer", most: time.Second, nobody: "failure"},
}

// hasNo is an IMDS that refuses each request for a token.
func hasNo(message string) transportFunc {
	return always(400, oauthProblem("invalid_request", message))
}

// TestDefaultInPipelines: the tools' login is the pipeline's there, so that no evidence of Azure
// bars them; the machine's identity comes first, within a second.
func TestDefaultInPipelines(t *testing.T) {
	for name, tt := range fates {
		for _, pipeline := range []map[string]string{{detect.EnvGitHub: "true"}, {detect.EnvPipelines: "True"}} {
			for _, az := range []error{nil, errNotLoggedIn} {
				t.Run(fmt.Sprint(name, pipeline, az), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						l := &laptop{az: az, azd: command.ErrNotOnPath,
							variables: merged(tt.variables, pipeline)}
						want, most := tt.want, tt.most
						if az != nil {
							want, most = tt.nobody, time.Hour
						}
						l.inPipeline(t, tt.imds, want, most)
					})
				})
			}
		}
	}
}

func (l *laptop) inPipeline(
	t *testing.T, imds policy.Transporter, want string, most time.Duration,
) {
	env := l.environment()
	env.chassis = func() string { return chassis.Azure }
	chain, err := newDefaultCredential(newShared(), &DefaultCredentialOptions{
		ClientOptions: optionsWith(imds), Logger: slog.New(slog.NewTextHandler(&l.log, nil))}, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{vaultScope, armScope} { // the second, when more is known of IMDS
		start := time.Now()
		tk, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		got := "managed"
		switch {
		case errors.Is(err, ErrUnavailable):
			got = "unavailable"
		case err != nil:
			got = "failure"
		case ofTool(tk):
			got = "developer"
		}
		if took := time.Since(start); got != want || took > most {
			t.Errorf("got %s after %v, want %s within %v: %v", got, took, want, most, err)
		}
	}
	if log := l.log.String(); !strings.Contains(log, "this is Azure, and a pipeline") ||
		strings.Contains(log, "developer's credentials are not used") {
		t.Errorf("the log is:\n%s", log)
	}
	if d := detectIn(env); !strings.Contains(d.Reason,
		" is true, so that the login of az and azd is the pipeline's") {
		t.Errorf("the reason is %q", d.Reason)
	}
	if s := chain.Status(); s.Azure != "" {
		t.Errorf("the status says that the tools are barred: %+v", s)
	}
}

// TestDefaultPipelineBecomesItself: once a slow IMDS has brought a token, the machine's identity is
// used, as everywhere.
func TestDefaultPipelineBecomesItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{variables: map[string]string{detect.EnvGitHub: "true"}}
		chain := l.credential(t, takes(3*time.Second, identitytest.NewIMDS(nil)))
		wantFrom(t, chain, developersToken)
		time.Sleep(time.Minute)
		mustToken(t, chain)
		synctest.Wait()
		if tk, _ := mustToken(t, chain); tk.Token == developersToken ||
			chain.Status().InUse != "managed identity" {
			t.Errorf("got %q, of %s", tk.Token, chain.Status().InUse)
		}
	})
}

// TestDefaultAnswersWhileToolInUseRuns: the same when the developer was in use already.
func TestDefaultAnswersWhileToolInUseRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{took: 5 * time.Second}
		imds := &slowAtFirst{ep: identitytest.NewIMDS(nil), until: time.Now().Add(time.Hour)}
		chain := l.credential(t, imds)
		wantFrom(t, chain, developersToken)
		time.Sleep(10 * time.Second)
		synctest.Wait() // nothing is under way any more
		time.AfterFunc(2*time.Second, func() {
			imds.until = time.Time{}
			firstSource(chain).(*probedHost).cred.hosted.node.NoteAnswer()
		})
		tk, err := chain.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{armScope}})
		if err != nil || strings.HasPrefix(tk.Token, developersToken) || l.runs.Load() != 2 {
			t.Errorf("got %q, error %v, after %d runs of az, want the managed identity's after az has ended",
				tk.Token, err, l.runs.Load())
		}
	})
}

// ofTool reports whether a token is the developer's.
func ofTool(tk azcore.AccessToken) bool { return strings.HasPrefix(tk.Token, developersToken) }
