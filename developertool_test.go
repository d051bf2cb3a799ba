package identity

import (
	"context"
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
	now, most int        // under way at once
}

func (f *fakeTool) run(ctx context.Context, c command.Command) ([]byte, error) {
	f.mu.Lock()
	f.runs = append(f.runs, slices.Clone(c.Arguments))
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

// azSays and azdSays are what the tools print of a token.
func azSays(token string, life time.Duration) []byte {
	return fmt.Appendf(nil, `{"accessToken":%q,"expires_on":%d,"tokenType":"Bearer"}`, token,
		time.Now().Add(life).Unix())
}

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
	words         string // with which the tool is run for the vault
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
		words: "account get-access-token -o json --resource https://vault.azure.net",
		make: func(shared *shared, env environment, o toolOptions) (azcore.TokenCredential, error) {
			return newAzureCLI(shared, &AzureCLICredentialOptions{TenantID: o.tenant,
				AdditionallyAllowedTenants: o.allowed, ProcessTimeout: o.timeout, Logger: o.log}, env)
		}},
	{name: "azd", program: "azd", options: "AzureDeveloperCLICredentialOptions", says: azdSays,
		words: "auth token -o json --no-prompt --scope https://vault.azure.net/.default",
		make: func(shared *shared, env environment, o toolOptions) (azcore.TokenCredential, error) {
			return newAzureDeveloperCLI(shared, &AzureDeveloperCLICredentialOptions{TenantID: o.tenant,
				AdditionallyAllowedTenants: o.allowed, ProcessTimeout: o.timeout, Logger: o.log}, env)
		}},
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

// TestToolRunsOnceForAll: a run counts as a request, and credentials of one login share it.
func TestToolRunsOnceForAll(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool, shared := granting(d.says), newShared()
		tool.takes = time.Second
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
		for _, tt := range []struct {
			name         string
			login, own   string // of the credential
			asked, scope string
			want         string
		}{
			{name: "again", scope: vaultScope, want: "token-1"}, // and whether CAE is set or not
			{name: "another resource", scope: armScope, want: "token-2"},
			{name: "another tenant", asked: otherTenant, scope: vaultScope, want: "token-3"},
			{name: "another login", login: "/home/b", scope: vaultScope, want: "token-4"},
			{name: "a tenant's own", own: homeTenant, scope: vaultScope, want: "token-5"},
			{name: "another login again", login: "/home/b", scope: vaultScope, want: "token-4"},
		} {
			cred := d.credentialIn(t, shared, tool.env("AZURE_CONFIG_DIR", tt.login),
				toolOptions{tenant: tt.own})
			if tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope},
				TenantID: tt.asked, EnableCAE: true}); err != nil || tk.Token != tt.want {
				t.Errorf("%s: got %q, error %v, want %s", tt.name, tk.Token, err, tt.want)
			}
		}
	})
}

func TestFailingToolIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := &fakeTool{answer: func(int) ([]byte, error) { return nil, command.ErrNotOnPath }}
		cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
		for range 6000 { // ten minutes
			if e, _ := mustFail(t, cred); !errors.Is(e, ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", e)
			}
			time.Sleep(100 * time.Millisecond)
		}
		n := tool.count()
		if n < 60 || n > 130 {
			t.Errorf("it ran %d times in ten minutes, want once in 5 to 10 s", n)
		}
		if got := cred.tokens.Stats(&cred.view); len(got) != 1 ||
			got[0].Requests != int64(n) || got[0].Failures != n {
			t.Errorf("the cache counts %+v, want %d requests and failures", got, n)
		}
	})
}

// TestToolsInSeveralBubbles: tests of a user's, each in a bubble of its own, share what the process
// knows of a tool, also after runs that failed.
func TestToolsInSeveralBubbles(t *testing.T) {
	shared, tool := newShared(), granting(azSays)
	for i := range 2 {
		fails := i == 0
		synctest.Test(t, func(t *testing.T) {
			tool.takes = time.Hour
			if !fails {
				time.Sleep(30 * time.Second) // bubbles begin at the same time: to the end of the cool-down
				tool.takes = time.Second
			}
			cred := developers[0].credentialIn(t, shared, tool.env(), toolOptions{timeout: 5 * time.Second})
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
// the least, whoever leaves. A chain asks with a context of its own, and the caller's deadline
// counts.
func TestSlowToolAndItsCallers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		takes    time.Duration
		timeout  time.Duration // ProcessTimeout
		deadline time.Duration // of the context, 0 for none
		after    time.Duration // the caller leaves
		want     string        // "" is a token
		left     bool          // the run goes on without its caller
	}{
		{name: "59 s, and the context has no end", takes: 59 * time.Second, after: 59 * time.Second},
		{name: "61 s, and the context has no end", takes: 61 * time.Second, after: time.Minute,
			want: "did not answer within 1m0s"},
		{name: "12 s, and the context has 5", takes: 12 * time.Second, deadline: 5 * time.Second,
			after: 5 * time.Second, want: "context deadline exceeded", left: true},
		{name: "90 s, and the context has two minutes", takes: 90 * time.Second,
			deadline: 2 * time.Minute, after: 90 * time.Second},
		{name: "12 s, and the option has 10", takes: 12 * time.Second, timeout: 10 * time.Second,
			deadline: time.Minute, after: 10 * time.Second, want: "did not answer within 10s"},
		{name: "90 s, and the option has two minutes", takes: 90 * time.Second,
			timeout: 2 * time.Minute, after: 90 * time.Second},
		{name: "90 s, the option has two minutes, the context 5 s", takes: 90 * time.Second,
			timeout: 2 * time.Minute, deadline: 5 * time.Second, after: 5 * time.Second,
			want: "context deadline exceeded", left: true},
	} {
		for name, open := range map[string]func(tool *fakeTool) (azcore.TokenCredential, error){
			"alone": func(tool *fakeTool) (azcore.TokenCredential, error) {
				return developers[0].make(newShared(), tool.env(), toolOptions{timeout: tt.timeout})
			},
			"in a chain": func(tool *fakeTool) (azcore.TokenCredential, error) {
				return newDefaultCredential(newShared(), &DefaultCredentialOptions{ProcessTimeout: tt.timeout},
					tool.env(envTokenCredentials, "dev"))
			},
		} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					tool := granting(azSays)
					tool.takes = tt.takes
					cred, err := open(tool)
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if tt.deadline > 0 {
						ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					}
					defer cancel()
					start := time.Now()
					_, err = getToken(ctx, cred)
					if took := time.Since(start); took != tt.after || (err == nil) != (tt.want == "") {
						t.Fatalf("error %v after %v, want %q after %v", err, took, tt.want, tt.after)
					}
					if err != nil && !strings.Contains(err.Error(), tt.want) {
						t.Errorf("got %v, want %q", err, tt.want)
					}
					time.Sleep(tt.takes - tt.after)
					synctest.Wait()
					if tt.want != "" && !tt.left {
						return
					}
					if tk, took := mustToken(t, cred); tk.Token != "token-1" || took != 0 || tool.count() != 1 {
						t.Errorf("the next caller got %s after %v, %d runs, want token-1 of the first run at once",
							tk.Token, took, tool.count())
					}
				})
			})
		}
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

func TestToolsLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for want, options := range map[string]AzureCLICredentialOptions{
			`source="Azure CLI" resource=`:                           {},
			`source="Azure CLI" tenant=` + homeTenant + " resource=": {TenantID: homeTenant},
			`source="Azure CLI" subscription="My Sub" resource=`:     {Subscription: "My Sub"},
		} {
			var log lines
			options.Logger = slog.New(slog.NewTextHandler(&log, nil))
			mustToken(t, azureCLIOf(t, granting(azSays), options))
			synctest.Wait()
			want = `level=INFO msg="token acquired" ` + want + "https://vault.azure.net "
			if got := log.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
				t.Errorf("logged %q, want one line with %q", got, want)
			}
		}
	})
}
