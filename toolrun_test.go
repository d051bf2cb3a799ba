package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/command"
)

func TestToolRunsOnceForAll(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		tool.takes = time.Second
		shared := newShared()
		creds := []azcore.TokenCredential{d.credentialIn(t, shared, tool.env(), ""),
			d.credentialIn(t, shared, tool.env(), "")}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if tk, took := mustToken(t, creds[i%2]); tk.Token != "token-1" || took != time.Second {
					t.Errorf("got %s after %v, want token-1 after 1s", tk.Token, took)
				}
			})
		}
		wg.Wait()
		for i := range 100 {
			if _, took := mustToken(t, creds[i%2]); took != 0 {
				t.Errorf("a held token took %v", took)
			}
		}
		// Whether a client understands challenges makes no difference to the tools.
		if tk, err := creds[0].GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true}); err != nil ||
			tk.Token != "token-1" {
			t.Errorf("with CAE: got %v, error %v", tk.Token, err)
		}
		if tool.count() != 1 {
			t.Fatalf("%s ran %d times, want once", d.program, tool.count())
		}
		if tk, err := creds[0].GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil || tk.Token != "token-2" {
			t.Errorf("another resource: got %q, error %v, want token-2", tk.Token, err)
		}
		if tk, err := ofTenant(creds[0], otherTenant); err != nil || tk.Token != "token-3" {
			t.Errorf("another tenant: got %q, error %v, want token-3", tk.Token, err)
		}
		if tool.count() != 3 {
			t.Errorf("%s ran %d times, want 3", d.program, tool.count())
		}
	})
}

// TestToolsInSeveralBubbles: tests of a user's, each in a bubble of its own, share what the process
// knows of a tool, also after runs that failed.
func TestToolsInSeveralBubbles(t *testing.T) {
	for _, d := range developers {
		t.Run(d.name, func(t *testing.T) {
			shared := newShared()
			tool := granting(d.says)
			for i := range 2 {
				fails := i == 0
				synctest.Test(t, func(t *testing.T) {
					tool.takes = time.Hour
					if !fails {
						time.Sleep(30 * time.Second) // bubbles begin at the same time: to the end of the cool-down
						tool.takes = time.Second
					}
					cred := d.impatient(t, shared, tool.env(), 5*time.Second)
					var wg sync.WaitGroup
					for range 3 {
						wg.Go(func() {
							if _, err := getToken(t.Context(), cred); (err != nil) != fails {
								t.Errorf("bubble %d: %v", i, err)
							}
						})
					}
					wg.Wait()
				})
			}
		})
	}
}

// TestOneRunAtATime: each run has the one token cache of the developer's in its hands.
func TestOneRunAtATime(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		tool.takes = 3 * time.Second
		shared := newShared()
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			// whatever the login
			cred := d.credentialIn(t, shared, tool.env("AZURE_CONFIG_DIR", fmt.Sprint("/", i%3)), "")
			wg.Go(func() {
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scopesOf(10)[i]}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); tool.most != 1 || took != 30*time.Second {
			t.Errorf("%d at once, 10 runs of 3 s took %v, want one at a time", tool.most, took)
		}
	})
	t.Run("az beside azd", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			shared, start := newShared(), time.Now()
			var wg sync.WaitGroup
			for _, d := range developers {
				tool := granting(d.says)
				tool.takes = 3 * time.Second
				cred := d.credentialIn(t, shared, tool.env(), "")
				wg.Go(func() { mustToken(t, cred) })
			}
			wg.Wait()
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("took %v, want 3s: one waits for the other", took)
			}
		})
	})
}

func TestHangingTool(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		tool.takes = time.Hour
		cred := d.credential(t, tool)
		e, took := mustFail(t, cred)
		if took != time.Minute || errors.Is(e, ErrUnavailable) ||
			errors.Is(e, context.DeadlineExceeded) || !e.transient {
			t.Errorf("got %v after %v, want a passing error after a minute that is none of the caller's "+
				"context",
				e, took)
		}
		wantErrorText(t, e, d.program+" did not answer within 1m0s", "in a terminal",
			"set ProcessTimeout", "https://vault.azure.net", "1 attempt, 1m0s")
	})
}

// TestHangingToolsCommand: the command in the hint can be copied, a subscription's name with blanks
// in it, too.
func TestHangingToolsCommand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azGrants)
		tool.takes = time.Hour
		_, err := getToken(t.Context(),
			azureCLIOf(t, tool, AzureCLICredentialOptions{Subscription: "My Sub"}))
		wantErrorText(t, err,
			`does az account get-access-token -o json --resource https://vault.azure.net --subscription `+
				`"My Sub" work in a terminal?`)
	})
}

// TestQueueOfHangingRuns: whoever waits for others gets an error within a minute, or within the
// time of the options.
func TestQueueOfHangingRuns(t *testing.T) {
	for _, tt := range []struct {
		name        string
		timeout     time.Duration
		run, gaveUp time.Duration // when those end that run, and when those do that wait
		ran         int
	}{
		{name: "by default", run: time.Minute, gaveUp: 45 * time.Second, ran: 1},
		{name: "a short time", timeout: 10 * time.Second, run: 10 * time.Second, gaveUp: 45 * time.Second,
			ran: 5},
		{name: "a long time", timeout: 2 * time.Minute, run: 2 * time.Minute, gaveUp: 2 * time.Minute,
			ran: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDevelopers(t, func(t *testing.T, d developer) {
				tool := granting(d.says)
				tool.takes = time.Hour
				cred := d.impatient(t, newShared(), tool.env(), tt.timeout)
				start := time.Now()
				var wg sync.WaitGroup
				var mu sync.Mutex
				waited := 0
				for _, scope := range scopesOf(12) {
					wg.Go(func() {
						_, err := cred.GetToken(t.Context(),
							policy.TokenRequestOptions{Scopes: []string{scope}})
						took := time.Since(start)
						mu.Lock()
						defer mu.Unlock()
						e, _ := errors.AsType[*AuthenticationError](err)
						switch {
						case e == nil || !e.transient || errors.Is(e, ErrUnavailable):
							t.Errorf("got %v, want a passing error", err)
						case strings.Contains(e.Error(), "waited for other runs of "+d.program):
							waited++
							if took != tt.gaveUp || e.Attempts != 0 {
								t.Errorf("it gave up waiting after %v, %d attempts, want after %v without one",
									took, e.Attempts, tt.gaveUp)
							}
						case took%tt.run != 0 || took > tt.gaveUp+tt.run || e.Attempts != 1:
							t.Errorf("got %v after %v, want the end of a run of %v", e, took,
								tt.run)
						}
					})
				}
				wg.Wait()
				// One more may get its place at the moment at which the others give up.
				if ran := tool.count(); ran < tt.ran || ran > tt.ran+1 || ran+waited != 12 {
					t.Errorf("%d of 12 ran and %d waited in vain, want %d that ran", ran, waited,
						tt.ran)
				}
			})
		})
	}
}

// TestSlowToolAndItsCallers: a run goes on for as long as its caller may wait, and for a minute at
// the least, whoever leaves.
func TestSlowToolAndItsCallers(t *testing.T) {
	const none = 100 * time.Hour
	for _, tt := range []struct {
		name     string
		takes    time.Duration
		timeout  time.Duration // ProcessTimeout
		deadline time.Duration // of the context
		after    time.Duration // the caller leaves
		want     string        // "" is a token
		next     bool          // the run's token is there for the next caller, once it has ended
	}{
		{name: "12 s, and the context has a minute", takes: 12 * time.Second, deadline: time.Minute,
			after: 12 * time.Second, next: true},
		{name: "12 s, and the context has no end", takes: 12 * time.Second, deadline: none,
			after: 12 * time.Second, next: true},
		{name: "59 s, and the context has no end", takes: 59 * time.Second, deadline: none,
			after: 59 * time.Second, next: true},
		{name: "61 s, and the context has no end", takes: 61 * time.Second, deadline: none,
			after: time.Minute, want: "did not answer within 1m0s"},
		{name: "12 s, and the context has 5", takes: 12 * time.Second, deadline: 5 * time.Second,
			after: 5 * time.Second, want: "gave up waiting after 5s: context deadline exceeded", next: true},
		{name: "90 s, and the context has two minutes", takes: 90 * time.Second,
			deadline: 2 * time.Minute, after: 90 * time.Second, next: true},
		{name: "an hour, and the context has two", takes: time.Hour, deadline: 2 * time.Hour,
			after: 10 * time.Minute, want: "did not answer within 10m0s"},
		{name: "12 s, and the option has 10", takes: 12 * time.Second, timeout: 10 * time.Second,
			deadline: time.Minute, after: 10 * time.Second, want: "did not answer within 10s"},
		{name: "90 s, and the option has two minutes", takes: 90 * time.Second, timeout: 2 * time.Minute,
			deadline: none, after: 90 * time.Second, next: true},
		{name: "90 s, the option has two minutes, the context 5 s", takes: 90 * time.Second,
			timeout: 2 * time.Minute, deadline: 5 * time.Second, after: 5 * time.Second,
			want: "gave up waiting", next: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDevelopers(t, func(t *testing.T, d developer) {
				tool := granting(d.says)
				tool.takes = tt.takes
				cred := d.impatient(t, newShared(), tool.env(), tt.timeout)
				ctx := t.Context()
				if tt.deadline != none {
					short, cancel := context.WithTimeout(ctx, tt.deadline)
					defer cancel()
					ctx = short
				}
				start := time.Now()
				_, err := getToken(ctx, cred)
				if took := time.Since(start); took != tt.after || (err == nil) != (tt.want == "") {
					t.Fatalf("error %v after %v, want %q after %v", err, took, tt.want, tt.after)
				}
				if err != nil {
					wantErrorText(t, err, tt.want)
				}
				time.Sleep(tt.takes - tt.after)
				synctest.Wait()
				if tt.next {
					if tk, took := mustToken(t, cred); tk.Token != "token-1" || took != 0 ||
						tool.count() != 1 {
						t.Errorf("the next caller got %s after %v, %d runs, want token-1 of the first run at once",
							tk.Token, took, tool.count())
					}
				}
			})
		})
	}
}

// TestSlowToolInAChain: a chain asks with a context of its own, and the caller's deadline counts.
func TestSlowToolInAChain(t *testing.T) {
	for _, tt := range []struct {
		name            string
		takes, deadline time.Duration // 0 is none
		timeout         time.Duration
		after           time.Duration
		granted         bool
	}{
		{name: "12 s", takes: 12 * time.Second, after: 12 * time.Second, granted: true},
		{name: "61 s, and the context has no end", takes: 61 * time.Second, after: time.Minute},
		{name: "90 s, and the context has two minutes", takes: 90 * time.Second,
			deadline: 2 * time.Minute, after: 90 * time.Second, granted: true},
		{name: "90 s, and the option has two minutes", takes: 90 * time.Second, timeout: 2 * time.Minute,
			after: 90 * time.Second, granted: true},
		{name: "12 s, and the option has 5", takes: 12 * time.Second, timeout: 5 * time.Second,
			after: 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{took: tt.takes,
					variables: map[string]string{envTokenCredentials: "dev"}}
				cred, err := newDefaultCredential(newShared(),
					&DefaultCredentialOptions{ProcessTimeout: tt.timeout}, l.environment())
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if tt.deadline > 0 {
					short, cancel := context.WithTimeout(ctx, tt.deadline)
					defer cancel()
					ctx = short
				}
				start := time.Now()
				_, err = getToken(ctx, cred)
				if took := time.Since(start); took != tt.after || (err == nil) != tt.granted {
					t.Errorf("error %v after %v, want a token: %t, after %v", err, took, tt.granted,
						tt.after)
				}
			})
		})
	}
}

// TestToolsRunnerPanics: whatever happens in a run, the next one is not shut out.
func TestToolsRunnerPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := &fakeTool{answer: func(n int) ([]byte, error) {
			if n == 1 {
				panic("at the disco")
			}
			return azSays("t", time.Hour), nil
		}}
		cred := developers[0].credential(t, tool)
		if _, err := getToken(t.Context(), cred); err == nil {
			t.Error("got a token")
		}
		time.Sleep(time.Minute)
		mustToken(t, cred)
	})
}

// TestToolsTally: a run counts as a request.
func TestToolsTally(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		cred := d.credential(t, tool)
		mustToken(t, cred)
		synctest.Wait()
		got := statusOf(cred)
		if len(got) != 1 || got[0].Resource != "https://vault.azure.net" || got[0].Requests != 1 ||
			got[0].Failures != 0 {
			t.Errorf("got %+v, want one request", got)
		}
		time.Sleep(2 * time.Hour)
		tool.answer = func(int) ([]byte, error) { return nil, command.ErrNotOnPath }
		mustFail(t, cred)
		synctest.Wait()
		if got = statusOf(cred); len(got) != 1 ||
			got[0].Requests == 0 || got[0].Failures != 1 ||
			!strings.Contains(got[0].LastError, "not installed") ||
			!got[0].LastErrorOn.Equal(time.Now()) {
			t.Errorf("got %+v, want a failure now", got)
		}
	})
}

// TestRaceForTheToolsCache: what another process or the system's broker may have caused is asked
// once more, after a moment, and is a failure if it stays.
func TestRaceForTheToolsCache(t *testing.T) {
	for _, tt := range []struct {
		name               string
		stderr             []string // of the runs before the one that brings a token
		runs               int
		transient, granted bool
	}{
		{name: "an account that isn't in the cache, once",
			stderr: []string{"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run " +
				"`az login`.\n"}, runs: 2, transient: true, granted: true},
		{name: "no token in the cache, once",
			stderr: []string{"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please " +
				"run:\naz login\n"}, runs: 2, transient: true, granted: true},
		{name: "the broker is busy, once",
			stderr: []string{"ERROR: An error occurred. Status: Response_Status.Status_Unexpected, Error " +
				"code: 1, Tag: 2\nPlease explicitly log in with:\naz login\n"}, runs: 2, transient: true, granted: true},
		{name: "half of the cache, once", stderr: []string{sampled(t, "az-torn-cache")}, runs: 2,
			transient: true, granted: true},
		{name: "half of the accounts, once", stderr: []string{sampled(t, "az-torn-profile")}, runs: 2,
			transient: true, granted: true},
		{name: "a lock, once",
			stderr: []string{"ERROR: [Errno 13] Permission denied: " +
				"'C:\\Users\\dev\\.azure\\msal_token_cache.bin.lockfile'\n"}, runs: 2, transient: true, granted: true},
		{name: "no account in the cache, twice",
			stderr: slices.Repeat([]string{"ERROR: User 'dev@contoso.example' does not exist in MSAL " +
				"token cache. Run `az login`.\n"}, 2), runs: 2, transient: true},
		{name: "half of the accounts, and then none",
			stderr: []string{sampled(t, "az-torn-profile"),
				"ERROR: Please run 'az login' to setup account."}, runs: 2, transient: true},
		{name: "another failure", stderr: []string{"ERROR: Subscription 'x' not found."}, runs: 1},
		{name: "Entra, through the broker",
			stderr: []string{"ERROR: AADSTS50076: more. Status: " +
				"Response_Status.Status_InteractionRequired, Error code: 1\nPlease explicitly log in " +
				"with:\naz login\n"}, runs: 1},
		{name: "nobody is logged in", stderr: []string{"ERROR: Please run 'az login' to setup account."},
			runs: 1, transient: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := &fakeTool{takes: 2 * time.Second, answer: func(n int) ([]byte, error) {
					if n <= len(tt.stderr) {
						return nil, exits(1, tt.stderr[n-1])
					}
					return azSays("t", time.Hour), nil
				}}
				cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
				start := time.Now()
				tk, err := getToken(t.Context(), cred)
				if granted := err == nil; granted != tt.granted || tool.count() != tt.runs {
					t.Fatalf("got the token %q, error %v, %d runs, want a token: %t, %d", tk.Token, err,
						tool.count(), tt.granted, tt.runs)
				}
				if took, want := time.Since(start), time.Duration(3*tt.runs-1)*time.Second; took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				if tt.granted {
					return
				}
				e := err.(*AuthenticationError)
				unavailable := tt.name == "nobody is logged in"
				if errors.Is(e, ErrUnavailable) != unavailable || e.transient != tt.transient ||
					e.Attempts != tt.runs {
					t.Errorf("got %v, %d attempts, passing: %t; want unavailable: %t, %d, %t", e, e.Attempts,
						e.transient, unavailable, tt.runs, tt.transient)
				}
			})
		})
	}
	for name, said := range map[string][2]string{
		"no time for that": {"ERROR: Can't find token from MSAL cache.",
			"Can't find token from MSAL cache."},
		"no time for that, with half of the accounts": {sampled(t, "az-torn-profile"), "az login"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := &fakeTool{takes: 2 * time.Second, answer: func(n int) ([]byte, error) {
					return nil, exits(1, said[0])
				}}
				e, took := mustFail(t,
					azureCLIOf(t, tool, AzureCLICredentialOptions{ProcessTimeout: 2500 * time.Millisecond}))
				if took != 2500*time.Millisecond || e.Attempts != 1 || errors.Is(e, ErrUnavailable) {
					t.Errorf("got %v after %v, want one attempt, 2.5s and a failure", e, took)
				}
				wantErrorText(t, e, said[1])
			})
		})
	}
}
