package devtool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/failure"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name              string
			timeout, deadline time.Duration // 0 is none
			budget, patience  time.Duration
		}{
			{"no deadline", 0, 0, time.Minute, time.Minute},
			{"a short one", 0, 5 * time.Second, time.Minute, time.Minute},
			{"a long one", 0, 2 * time.Minute, 2 * time.Minute, time.Minute},
			{"a program's", 0, 2 * time.Hour, 10 * time.Minute, time.Minute},
			{"a short option", 10 * time.Second, 2 * time.Hour, 55 * time.Second, 10 * time.Second},
			{"a long option", 2 * time.Minute, 5 * time.Second, 4 * time.Minute, 2 * time.Minute},
		} {
			c := (&fake{}).client(t, AzureCLI, Options{ProcessTimeout: tt.timeout})
			var deadline time.Time
			if tt.deadline > 0 {
				deadline = time.Now().Add(tt.deadline)
			}
			if got := c.Budget(deadline) - command.LongestEnd; got != tt.budget ||
				c.Patience() != tt.patience {
				t.Errorf("%s: got %v and %v, want %v and %v", tt.name, got, c.Patience(), tt.budget,
					tt.patience)
			}
		}
	})
}

// acquired is what became of an acquisition.
type acquired struct {
	*failure.Failure // nil for a token
	took             time.Duration
}

// get is an acquisition with the budget of a caller without a deadline.
func (c *Client) get(ctx context.Context, r acquire.Request) acquired {
	r.Resource = vault
	start := time.Now()
	_, f := c.Acquire(ctx, r, c.Budget(time.Time{}), func() {})
	return acquired{f, time.Since(start)}
}

// TestHangingRun: it is ended in time, and the command in the hint can be copied.
func TestHangingRun(t *testing.T) {
	for name, tt := range map[string]struct {
		tool    *Tool
		options Options
		want    time.Duration
		hint    string
	}{
		"az": {AzureCLI, Options{Subscription: "My Sub"}, time.Minute,
			`does az account get-access-token -o json --resource https://vault.azure.net --subscription ` +
				`"My Sub" work in a terminal? If it only takes longer, set ProcessTimeout`},
		"azd": {AzureDeveloperCLI, Options{ProcessTimeout: 10 * time.Second}, 10 * time.Second,
			"does azd auth token -o json --no-prompt --scope https://vault.azure.net/.default work"},
	} {
		synctest.Test(t, func(t *testing.T) {
			got := (&fake{takes: time.Hour}).client(t, tt.tool, tt.options).get(t.Context(),
				acquire.Request{Claims: "{}"})
			if got.Failure == nil || got.took != tt.want || got.Waited != tt.want ||
				got.Verdict != failure.Later || got.Reason != failure.NoReason || got.Attempts != 1 {
				t.Fatalf("%s: got %+v, want a passing failure after %v", name, got, tt.want)
			}
			wantText(t, got, fmt.Sprintf("%s did not answer within %v", name, tt.want), tt.hint)
		})
	}
}

// TestOneAfterTheOther: each run has the one token cache of the developer's in its hands. Whoever
// waits for runs that hang gets an error within a minute, or within the time of the options.
func TestOneAfterTheOther(t *testing.T) {
	for _, tt := range []struct {
		name         string
		timeout      time.Duration
		takes        time.Duration // of a run
		ran          int           // of 12
		last, gaveUp time.Duration // when the last run ended, and when those gave up that waited
	}{
		{name: "quick", takes: 3 * time.Second, ran: 12, last: 36 * time.Second},
		{name: "hanging", takes: time.Hour, ran: 1, last: time.Minute, gaveUp: 45 * time.Second},
		{name: "hanging, a short time", timeout: 10 * time.Second, takes: time.Hour, ran: 5,
			last: 50 * time.Second, gaveUp: 45 * time.Second},
		{name: "hanging, a long time", timeout: 2 * time.Minute, takes: time.Hour, ran: 1,
			last: 2 * time.Minute, gaveUp: 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{takes: tt.takes}
				results := make([]acquired, 12)
				var wg sync.WaitGroup
				for i := range results {
					login := f.client(t, AzureCLI, Options{ProcessTimeout: tt.timeout},
						"AZURE_CONFIG_DIR", fmt.Sprint(i)) // whatever the login
					wg.Go(func() { results[i] = login.get(t.Context(), acquire.Request{}) })
				}
				wg.Wait()
				waited := 0
				for _, got := range results {
					switch {
					case got.Failure != nil && got.Attempts == 0:
						waited++
						wantText(t, got, "waited for other runs of az, which don't end")
						if got.took != tt.gaveUp || got.Verdict != failure.Later {
							t.Errorf("gave up after %v, %+v, want after %v", got.took, got, tt.gaveUp)
						}
					case got.took > max(tt.last, tt.gaveUp+tt.timeout), got.Failure != nil && tt.gaveUp == 0:
						t.Errorf("ended after %v: %v", got.took, got.Failure)
					}
				}
				// One more may get its place at the moment at which the others give up.
				if n := len(f.runs); f.most != 1 || n < tt.ran || n > tt.ran+1 || n+waited != 12 {
					t.Errorf("%d ran, %d at once, %d waited in vain, want %d that ran", n, f.most, waited,
						tt.ran)
				}
			})
		})
	}
}

// TestPanickingRun: whatever happens in a run, the next one is not shut out.
func TestPanickingRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int) ([]byte, error) {
			if n == 1 {
				panic("at the disco")
			}
			return grant(homeTenant), nil
		}}
		c := f.client(t, AzureCLI, Options{})
		func() {
			defer func() { _ = recover() }()
			c.get(t.Context(), acquire.Request{})
		}()
		if got := c.get(t.Context(), acquire.Request{}); got.Failure != nil {
			t.Error(got)
		}
	})
}

const notInCache = "ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run " +
	"`az login`.\n"

// TestRaceForTheToolsCache: what another process or the system's broker may have caused is asked
// once more, after a moment, and is a failure if it stays. That is never one of nobody's being
// logged in: a moment ago somebody was.
func TestRaceForTheToolsCache(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stderr  []string // of the runs before the one that brings a token
		timeout time.Duration
		once    bool
		runs    int
		want    string // in the error; "" for a token
	}{
		{name: "an account that isn't in the cache", stderr: []string{notInCache}, runs: 2},
		{name: "no token in the cache",
			stderr: []string{"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please " +
				"run:\naz login\n"}, runs: 2},
		{name: "the broker is busy",
			stderr: []string{"ERROR: An error occurred. Status: Response_Status.Status_Unexpected, Error " +
				"code: 1, Tag: 2\nPlease explicitly log in with:\naz login\n"}, runs: 2},
		{name: "half of the cache", stderr: []string{sampled("az-torn-cache")}, runs: 2},
		{name: "half of the accounts", stderr: []string{sampled("az-torn-profile")}, runs: 2},
		{name: "a lock",
			stderr: []string{"ERROR: [Errno 13] Permission denied: " +
				"'C:\\Users\\dev\\.azure\\msal_token_cache.bin.lockfile'\n"}, runs: 2},
		{name: "no account in the cache, twice", stderr: slices.Repeat([]string{notInCache}, 2), runs: 2,
			want: "was another az at work?"},
		{name: "half of the accounts, and then none",
			stderr: []string{sampled("az-torn-profile"),
				"ERROR: Please run 'az login' to setup account."}, runs: 2, want: "az login"},
		{name: "another failure", stderr: []string{"ERROR: Subscription 'x' not found."}, runs: 1,
			want: "Subscription 'x' not found"},
		{name: "Entra, through the broker",
			stderr: []string{"ERROR: AADSTS50076: more. Status: " +
				"Response_Status.Status_InteractionRequired, Error code: 1\nPlease explicitly log in " +
				"with:\naz login\n"}, runs: 1, want: "AADSTS50076"},
		{name: "a renewal", stderr: []string{notInCache}, once: true, runs: 1,
			want: "was another az at work?"},
		{name: "no time for another run", stderr: []string{notInCache},
			timeout: 2500 * time.Millisecond, runs: 1, want: "was another az at work?"},
		{name: "no time for another run, with half of the accounts",
			stderr: []string{sampled("az-torn-profile")}, timeout: 2500 * time.Millisecond, runs: 1,
			want: "az login"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{takes: 2 * time.Second, answer: func(n int) ([]byte, error) {
					if n <= len(tt.stderr) {
						return nil, exits(1, tt.stderr[n-1])
					}
					return grant(homeTenant), nil
				}}
				got := f.client(t, AzureCLI, Options{ProcessTimeout: tt.timeout}).get(t.Context(),
					acquire.Request{Once: tt.once})
				took := time.Duration(3*tt.runs-1) * time.Second
				if tt.timeout > 0 {
					took = tt.timeout
				}
				if len(f.runs) != tt.runs || got.took != took || (got.Failure == nil) != (tt.want == "") {
					t.Fatalf("got %v after %v and %d runs, want %q after %v and %d", got.Failure, got.took,
						len(f.runs), tt.want, took, tt.runs)
				}
				if got.Failure == nil {
					return
				}
				wantText(t, got, tt.want)
				if got.Reason != failure.NoReason || got.Attempts != tt.runs {
					t.Errorf("got %+v, want no reason and %d attempts", got.Failure, tt.runs)
				}
			})
		})
	}
}

func TestTenantOfASubscription(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, asked, printed string
		subscription         string
		refused              bool
	}{
		{name: "the same", asked: homeTenant, printed: homeTenant, subscription: "s"},
		{name: "the same in another case", asked: homeTenant, printed: strings.ToUpper(homeTenant),
			subscription: "s"},
		{name: "another", asked: otherTenant, printed: homeTenant, subscription: "s", refused: true},
		{name: "asked for by name", asked: "contoso.example", printed: homeTenant, subscription: "s"},
		{name: "not printed", asked: otherTenant, subscription: "s"},
		{name: "none asked for", printed: homeTenant, subscription: "s"},
		{name: "without subscription az knows", asked: otherTenant, printed: homeTenant},
	} {
		f := &fake{answer: func(int) ([]byte, error) { return grant(tt.printed), nil }}
		got := f.client(t, AzureCLI, Options{Subscription: tt.subscription}).get(t.Context(),
			acquire.Request{Variant: acquire.Variant{Tenant: tt.asked}})
		switch {
		case !tt.refused && got.Failure != nil:
			t.Errorf("%s: %v", tt.name, got)
		case tt.refused:
			wantText(t, got, homeTenant, otherTenant, `subscription "s"`, "another subscription")
			if got.Failure != nil && got.Reason != failure.NoReason {
				t.Errorf("%s: the reason is %v", tt.name, got.Reason)
			}
		}
	}
}

// TestBadOutput: what a run prints that was ended says only that it was ended.
func TestBadOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			takes time.Duration
			want  string
		}{
			"ended": {time.Second, "did not answer within 1s"},
			"whole": {0, "az printed no JSON object with a token (token for https://vault.azure.net, " +
				"1 attempt, 0s): is az on PATH the real one, and up to date?"},
		} {
			c := (&fake{}).client(t, AzureCLI, Options{ProcessTimeout: time.Second})
			c.run = func(ctx context.Context, _ command.Command) ([]byte, error) {
				if tt.takes > 0 {
					<-ctx.Done()
				}
				return []byte(`{"accessTok`), nil
			}
			got := c.get(t.Context(), acquire.Request{})
			if wantText(t, got, tt.want); got.Failure != nil && got.Reason != failure.NoReason {
				t.Errorf("%s: the reason is %v", name, got.Reason)
			}
		}
	})
}
