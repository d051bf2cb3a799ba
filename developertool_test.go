package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

const (
	homeTenant = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	armScope   = "https://management.azure.com/.default"
)

// fakeTool is a developer's tool as a function, with a note of its runs.
type fakeTool struct {
	answer func(n int) ([]byte, error) // to the n-th run, from 1
	takes  time.Duration

	mu        sync.Mutex
	runs      [][]string // arguments
	at        []time.Time
	now, most int // under way at once
}

func (f *fakeTool) run(ctx context.Context, c command.Command) ([]byte, error) {
	f.mu.Lock()
	f.runs, f.at = append(f.runs, slices.Clone(c.Arguments)), append(f.at, time.Now())
	n := len(f.runs)
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	if f.takes > 0 {
		if err := lasts(ctx, f.takes); err != nil {
			return nil, err
		}
	}
	return f.answer(n)
}

// exits is the end of a tool that failed.
func exits(code int, stderr string) error { return &command.ExitError{Code: code, Stderr: stderr} }

func (f *fakeTool) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.runs)
}

// env is an environment with the tool, and pairs of variables.
func (f *fakeTool) env(pairs ...string) environment {
	variables := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		variables[pairs[i]] = pairs[i+1]
	}
	env := environmentOf(variables)
	env.run = f.run
	return env
}

func azSays(token string, life time.Duration) []byte {
	return fmt.Appendf(nil, `{"accessToken":%q,"expires_on":%d,"tokenType":"Bearer"}`, token,
		time.Now().Add(life).Unix())
}

// azdSays is what azd prints of one.
func azdSays(token string, life time.Duration) []byte {
	return fmt.Appendf(nil, `{"token":%q,"expiresOn":%q}`, token,
		time.Now().Add(life).UTC().Format(time.RFC3339))
}

// granting is a tool that grants tokens named after the run: "token 1" can't be one, so "token-1".
func granting(says func(string, time.Duration) []byte) *fakeTool {
	return &fakeTool{answer: func(n int) ([]byte, error) {
		return says(fmt.Sprint("token-", n), time.Hour), nil
	}}
}

// developer is one of the two credentials, with its tool.
type developer struct {
	name, program string
	options       string // the name of the type
	says          func(string, time.Duration) []byte
	make          func(shared *shared, env environment, o toolOptions) (azcore.TokenCredential, error)
}

// toolOptions are those that both credentials have.
type toolOptions struct {
	tenant  string
	allowed []string
	timeout time.Duration
	log     *slog.Logger
}

var developers = []developer{
	{name: "az", program: "az", options: "AzureCLICredentialOptions", says: azSays,
		make: func(shared *shared, env environment, o toolOptions) (azcore.TokenCredential, error) {
			return newAzureCLI(shared, &AzureCLICredentialOptions{TenantID: o.tenant,
				AdditionallyAllowedTenants: o.allowed, ProcessTimeout: o.timeout, Logger: o.log}, env)
		}},
	{name: "azd", program: "azd", options: "AzureDeveloperCLICredentialOptions", says: azdSays,
		make: func(shared *shared, env environment, o toolOptions) (azcore.TokenCredential, error) {
			return newAzureDeveloperCLI(shared, &AzureDeveloperCLICredentialOptions{TenantID: o.tenant,
				AdditionallyAllowedTenants: o.allowed, ProcessTimeout: o.timeout, Logger: o.log}, env)
		}},
}

func (d developer) credential(tb testing.TB, tool *fakeTool) azcore.TokenCredential {
	tb.Helper()
	return d.credentialIn(tb, newShared(), tool.env(), toolOptions{})
}

func (d developer) credentialIn(
	tb testing.TB, shared *shared, env environment, o toolOptions,
) azcore.TokenCredential {
	tb.Helper()
	cred, err := d.make(shared, env, o)
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

func azureCLIOf(
	tb testing.TB, tool *fakeTool, options AzureCLICredentialOptions,
) *AzureCLICredential {
	tb.Helper()
	cred, err := newAzureCLI(newShared(), &options, tool.env())
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// withDevelopers runs a test with each of the tools, on virtual time.
func withDevelopers(t *testing.T, f func(t *testing.T, d developer)) {
	t.Helper()
	for _, d := range developers {
		t.Run(d.name, func(t *testing.T) { bubble(t, func(t *testing.T) { f(t, d) }) })
	}
}

// ofTenant asks for the vault's token as Key Vault's client does.
func ofTenant(cred azcore.TokenCredential, tenant string) (azcore.AccessToken, error) {
	return cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tenant, EnableCAE: true})
}

func TestToolsOptionsAreNamed(t *testing.T) {
	t.Parallel()
	for _, d := range developers {
		for field, o := range map[string]toolOptions{
			"TenantID":                   {tenant: "a;b"},
			"AdditionallyAllowedTenants": {allowed: []string{otherTenant, "a;b"}},
			"ProcessTimeout":             {timeout: -1},
		} {
			_, err := d.make(newShared(), nowhere(), o)
			wantErrorText(t, err, "identity: "+d.options+"."+field+": ")
		}
	}
	_, err := NewAzureCLICredential(&AzureCLICredentialOptions{Subscription: "a;b"})
	wantErrorText(t, err, "identity: AzureCLICredentialOptions.Subscription: ")
	for _, selection := range []string{"", "prod", "dev"} { // also where no tool is asked
		l := &laptop{variables: map[string]string{envTokenCredentials: selection}}
		_, err = newDefaultCredential(newShared(), &DefaultCredentialOptions{ProcessTimeout: -1},
			l.environment())
		wantErrorText(t, err, "identity: DefaultCredentialOptions.ProcessTimeout: ")
	}
	if _, err := NewAzureCLICredential(nil); err != nil {
		t.Error(err)
	}
	if _, err := NewAzureDeveloperCLICredential(nil); err != nil {
		t.Error(err)
	}
}

// TestToolsArguments: what is refused is not passed to a tool.
func TestToolsArguments(t *testing.T) {
	t.Parallel()
	for _, d := range developers {
		tool := granting(d.says)
		cred := d.credentialIn(t, newShared(), tool.env(), toolOptions{tenant: homeTenant})
		for _, scope := range []string{"", "/.default", " ", "--debug", "a;b",
			strings.Repeat("a", 3000)} {
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
			wantErrorText(t, err, "GetToken", "scope")
		}
		_, err := ofTenant(cred, otherTenant)
		wantErrorText(t, err, d.options+".AdditionallyAllowedTenants")
		if tool.count() != 0 {
			t.Errorf("%s ran for what was refused: %q", d.name, tool.runs)
		}
	}
	for name, cred := range map[string]azcore.TokenCredential{"az": &AzureCLICredential{},
		"azd": &AzureDeveloperCLICredential{}} {
		for _, claims := range []string{"", rejectedClaims} {
			_, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
			if wantErrorText(t, err, "was not made by"); err == nil {
				t.Errorf("%s: the zero value gave a token", name)
			}
		}
	}
}

func TestTokensAreSharedByOneLogin(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool, shared := granting(d.says), newShared()
		for _, tt := range []struct {
			login, tenant, want string
		}{{"", "", "token-1"}, {"", "", "token-1"}, {"/home/b", "", "token-2"}, {"", homeTenant, "token-3"},
			{"/home/b", "", "token-2"}} {
			cred := d.credentialIn(t, shared, tool.env("AZURE_CONFIG_DIR", tt.login),
				toolOptions{tenant: tt.tenant})
			if tk, _ := mustToken(t, cred); tk.Token != tt.want {
				t.Errorf("%+v: got %s", tt, tk.Token)
			}
		}
	})
}

func TestToolRunsOnceForAll(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		tool.takes = time.Second
		shared := newShared()
		creds := []azcore.TokenCredential{d.credentialIn(t, shared, tool.env(), toolOptions{}),
			d.credentialIn(t, shared, tool.env(), toolOptions{})}
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

func TestFailingToolIsLeftAlone(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := &fakeTool{answer: func(int) ([]byte, error) { return nil, command.ErrNotOnPath }}
		cred := d.credential(t, tool)
		for range 6000 { // ten minutes
			if e, _ := mustFail(t, cred); !errors.Is(e, ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", e)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := tool.count(); n < 60 || n > 130 {
			t.Errorf("it ran %d times in ten minutes, want once in 5 to 10 s", n)
		}
		for i := 1; i < len(tool.at); i++ {
			if gap := tool.at[i].Sub(tool.at[i-1]); gap < 500*time.Millisecond || i > 5 &&
				gap < 5*time.Second {
				t.Errorf("run %d is only %v after the one before", i+1, gap)
			}
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
					cred := d.credentialIn(t, shared, tool.env(), toolOptions{timeout: 5 * time.Second})
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

// TestOneRunAtATime: runs of one tool follow each other, whatever the login; az and azd don't wait
// for each other.
func TestOneRunAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared, start := newShared(), time.Now()
		var wg sync.WaitGroup
		fakes := []*fakeTool{granting(azSays), granting(azdSays)}
		for i, d := range developers {
			fakes[i].takes = 3 * time.Second
			for login := range 4 {
				cred := d.credentialIn(t, shared, fakes[i].env("AZURE_CONFIG_DIR", fmt.Sprint("/", login)),
					toolOptions{})
				wg.Go(func() { mustToken(t, cred) })
			}
		}
		wg.Wait()
		if took := time.Since(start); fakes[0].most != 1 || fakes[1].most != 1 || took != 12*time.Second {
			t.Errorf("%d and %d at once, 4 runs of 3 s took %v, want one at a time, 12s", fakes[0].most,
				fakes[1].most, took)
		}
	})
}

// TestSlowToolAndItsCallers: a run goes on for as long as its caller may wait, and for a minute at
// the least, whoever leaves.
func TestSlowToolAndItsCallers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		takes    time.Duration
		timeout  time.Duration // ProcessTimeout
		deadline time.Duration // of the context, 0 for none
		after    time.Duration // the caller leaves
		want     string        // "" is a token
		next     bool          // the run's token is there for the next caller, once it has ended
	}{
		{name: "59 s, and the context has no end", takes: 59 * time.Second, after: 59 * time.Second,
			next: true},
		{name: "61 s, and the context has no end", takes: 61 * time.Second, after: time.Minute,
			want: "did not answer within 1m0s"},
		{name: "12 s, and the context has 5", takes: 12 * time.Second, deadline: 5 * time.Second,
			after: 5 * time.Second, want: "gave up waiting after 5s: context deadline exceeded", next: true},
		{name: "90 s, and the context has two minutes", takes: 90 * time.Second,
			deadline: 2 * time.Minute, after: 90 * time.Second, next: true},
		{name: "an hour, and the context has two", takes: time.Hour, deadline: 2 * time.Hour,
			after: 10 * time.Minute, want: "did not answer within 10m0s"},
		{name: "12 s, and the option has 10", takes: 12 * time.Second, timeout: 10 * time.Second,
			deadline: time.Minute, after: 10 * time.Second, want: "did not answer within 10s"},
		{name: "90 s, the option has two minutes, the context 5 s", takes: 90 * time.Second,
			timeout: 2 * time.Minute, deadline: 5 * time.Second, after: 5 * time.Second,
			want: "gave up waiting", next: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDevelopers(t, func(t *testing.T, d developer) {
				tool := granting(d.says)
				tool.takes = tt.takes
				cred := d.credentialIn(t, newShared(), tool.env(), toolOptions{timeout: tt.timeout})
				ctx := t.Context()
				if tt.deadline > 0 {
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

// TestFailureOfAzIsNobodyElse: only what says that no account is there leads to another identity.
func TestFailureOfAzIsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for stderr, want := range map[string]bool{
			"ERROR: Please run 'az login' to setup account.":                                       true,
			"ERROR: Interactive authentication is needed. Please run:\naz login --scope x\n":       false,
			"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`": false,
		} {
			l := &laptop{az: exits(1, stderr), variables: map[string]string{envTokenCredentials: "dev"}}
			cred, err := newDefaultCredential(newShared(), nil, l.environment())
			if err != nil {
				t.Fatal(err)
			}
			tk, err := getToken(t.Context(), cred)
			if goesOn := err == nil; goesOn != want {
				t.Errorf("%s: got the token %q, error %v, want azd's: %t", stderr, tk.Token, err, want)
			}
		}
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

func TestToolsLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		for _, tt := range []struct {
			options AzureCLICredentialOptions
			want    map[string]any
		}{
			{AzureCLICredentialOptions{Logger: logger}, map[string]any{"source": "Azure CLI"}},
			{AzureCLICredentialOptions{Logger: logger, TenantID: homeTenant},
				map[string]any{"source": "Azure CLI", "tenant": homeTenant}},
			{AzureCLICredentialOptions{Logger: logger, Subscription: "My Sub"},
				map[string]any{"source": "Azure CLI", "subscription": "My Sub"}},
		} {
			cred, err := newAzureCLI(newShared(), &tt.options, granting(azSays).env())
			if err != nil {
				t.Fatal(err)
			}
			mustToken(t, cred)
			synctest.Wait()
			got := map[string]any{}
			if err := json.Unmarshal(log.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, log.String())
			}
			log.Reset()
			if got["msg"] != "token acquired" || got["level"] != "INFO" ||
				got["resource"] != "https://vault.azure.net" {
				t.Errorf("logged %v", got)
			}
			for _, key := range []string{"source", "tenant", "subscription"} {
				if got[key] != tt.want[key] {
					t.Errorf("%s is %v, want %v", key, got[key], tt.want[key])
				}
			}
		}
	})
}

// not parallel: AllocsPerRun counts the whole process
func TestToolHitAllocatesNothing(t *testing.T) {
	for _, d := range developers {
		cred := d.credential(t, granting(d.says))
		options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: otherTenant,
			EnableCAE: true}
		askFor(t, cred, options)
		ctx := context.Background()
		if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(ctx, options) }); n != 0 {
			t.Errorf("%s: a hit allocates %v times", d.name, n)
		}
	}
}

// statusOf is what the cache knows of a developer's tokens.
func statusOf(cred azcore.TokenCredential) (list []ResourceStatus) {
	var c *cached
	switch cred := cred.(type) {
	case *AzureCLICredential:
		c = &cred.cached
	case *AzureDeveloperCLICredential:
		c = &cred.cached
	}
	for _, s := range c.tokens.Stats(&c.view) {
		list = append(list, c.resourceStatus(s))
	}
	return list
}
