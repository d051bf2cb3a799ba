package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
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

// azSays is what az prints of a token, with other fields behind it.
func azSays(token string, life time.Duration, more ...any) []byte {
	fields := map[string]any{"accessToken": token, "expires_on": time.Now().Add(life).Unix(),
		"tokenType": "Bearer", "subscription": "s", "tenant": homeTenant}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i].(string)] = more[i+1]
	}
	out, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return out
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

func azGrants(token string, life time.Duration) []byte { return azSays(token, life) }

// developer is one of the two credentials, with its tool.
type developer struct {
	name, program string
	says          func(string, time.Duration) []byte
	login, option string // what logs in, and its option for a tenant
	options       string
	loggedOut     string // as the tool says it
	make          func(shared *shared, env environment, tenant string, allowed []string,
		log *slog.Logger) (azcore.TokenCredential, error)
}

var developers = []developer{
	{name: "az", program: "az", says: azGrants, login: "az login", option: "--tenant",
		options: "AzureCLICredentialOptions", loggedOut: "Please run 'az login' to setup account.",
		make: func(shared *shared, env environment, tenant string, allowed []string,
			log *slog.Logger) (azcore.TokenCredential, error) {
			return newAzureCLI(shared, &AzureCLICredentialOptions{TenantID: tenant,
				AdditionallyAllowedTenants: allowed, Logger: log}, env)
		}},
	{name: "azd", program: "azd", says: azdSays, login: "azd auth login", option: "--tenant-id",
		options:   "AzureDeveloperCLICredentialOptions",
		loggedOut: "not logged in, run `azd auth login` to login",
		make: func(shared *shared, env environment, tenant string, allowed []string,
			log *slog.Logger) (azcore.TokenCredential, error) {
			return newAzureDeveloperCLI(shared,
				&AzureDeveloperCLICredentialOptions{TenantID: tenant, AdditionallyAllowedTenants: allowed,
					Logger: log}, env)
		}},
}

func (d developer) credential(tb testing.TB, tool *fakeTool) azcore.TokenCredential {
	tb.Helper()
	return d.credentialIn(tb, newShared(), tool.env(), "")
}

func (d developer) credentialIn(
	tb testing.TB, shared *shared, env environment, tenant string, allowed ...string,
) azcore.TokenCredential {
	tb.Helper()
	cred, err := d.make(shared, env, tenant, allowed, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// impatient is the credential with a ProcessTimeout.
func (d developer) impatient(
	tb testing.TB, shared *shared, env environment, timeout time.Duration,
) azcore.TokenCredential {
	tb.Helper()
	var cred azcore.TokenCredential
	var err error
	if d.program == "az" {
		cred, err = newAzureCLI(shared, &AzureCLICredentialOptions{ProcessTimeout: timeout}, env)
	} else {
		cred, err = newAzureDeveloperCLI(shared,
			&AzureDeveloperCLICredentialOptions{ProcessTimeout: timeout}, env)
	}
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

func TestTokensAreSharedByOneLogin(t *testing.T) {
	for _, tt := range []struct {
		name      string
		pairs     []string // of the second's environment
		first     AzureCLICredentialOptions
		second    AzureCLICredentialOptions
		wantShare bool
	}{
		{name: "the same", wantShare: true},
		{name: "other allowed tenants",
			second: AzureCLICredentialOptions{AdditionallyAllowedTenants: []string{"*"}}, wantShare: true},
		{name: "the same tenant in another case", first: AzureCLICredentialOptions{TenantID: homeTenant},
			second: AzureCLICredentialOptions{TenantID: strings.ToUpper(homeTenant)}, wantShare: true},
		{name: "another tenant", second: AzureCLICredentialOptions{TenantID: homeTenant}},
		{name: "a subscription", second: AzureCLICredentialOptions{Subscription: "s"}},
		{name: "another subscription", first: AzureCLICredentialOptions{Subscription: "s"},
			second: AzureCLICredentialOptions{Subscription: "S2"}},
		{name: "another AZURE_CONFIG_DIR", pairs: []string{"AZURE_CONFIG_DIR", "/home/b"}},
		{name: "another AZD_CONFIG_DIR", pairs: []string{"AZD_CONFIG_DIR", "/home/b"}},
		{name: "another HOME", pairs: []string{"HOME", "/home/b"}},
		{name: "another USERPROFILE", pairs: []string{"USERPROFILE", "/home/b"}},
		{name: "another cloud", pairs: []string{"AZURE_CLOUD_NAME", "AzureUSGovernment"}},
		{name: "another AZURE_SUBSCRIPTION_ID", pairs: []string{"AZURE_SUBSCRIPTION_ID", "s"}},
		{name: "another AZD_AUTH_ENDPOINT", pairs: []string{"AZD_AUTH_ENDPOINT", "http://127.0.0.1:1"}},
		{name: "variables that look like others",
			pairs: []string{"HOME", "/home/b\nAZURE_CONFIG_DIR=/home/b"}},
		{name: "a variable that decides nothing", pairs: []string{"LANG", "C"}, wantShare: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool, shared := granting(azGrants), newShared()
				first, err := newAzureCLI(shared, &tt.first, tool.env())
				if err != nil {
					t.Fatal(err)
				}
				second, err := newAzureCLI(shared, &tt.second, tool.env(tt.pairs...))
				if err != nil {
					t.Fatal(err)
				}
				a, _ := mustToken(t, first)
				b, _ := mustToken(t, second)
				if shared := a.Token == b.Token; shared != tt.wantShare {
					t.Errorf("they share a token: %v, want %v", shared, tt.wantShare)
				}
			})
		})
	}
	t.Run("az and azd", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			shared := newShared()
			for i, d := range developers {
				tool := &fakeTool{answer: func(int) ([]byte, error) {
					return d.says(fmt.Sprint("of-", d.name), time.Hour), nil
				}}
				if tk, _ := mustToken(t, d.credentialIn(t, shared, tool.env(), "")); tk.Token != "of-"+
					developers[i].name {
					t.Errorf("%s: got the token %s", d.name, tk.Token)
				}
			}
		})
	})
}

func TestProcessTimeoutIsChecked(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{-1, -time.Hour, time.Hour + 1, math.MaxInt64,
		math.MinInt64} {
		_, err := NewAzureCLICredential(&AzureCLICredentialOptions{ProcessTimeout: timeout})
		wantErrorText(t, err, "AzureCLICredentialOptions.ProcessTimeout: ")
		_, err = NewAzureDeveloperCLICredential(&AzureDeveloperCLICredentialOptions{ProcessTimeout: timeout})
		wantErrorText(t, err, "AzureDeveloperCLICredentialOptions.ProcessTimeout: ")
		for _, selection := range []string{"", "prod", "dev"} {
			l := &laptop{variables: map[string]string{envTokenCredentials: selection}}
			_, err = newDefaultCredential(newShared(),
				&DefaultCredentialOptions{ProcessTimeout: timeout}, l.environment())
			wantErrorText(t, err, "identity: DefaultCredentialOptions.ProcessTimeout: ")
		}
	}
	if _, err := NewAzureCLICredential(&AzureCLICredentialOptions{ProcessTimeout: time.Hour}); err != nil {
		t.Error(err)
	}
}

func TestToolsTokenIsRenewed(t *testing.T) {
	withDevelopers(t, func(t *testing.T, d developer) {
		tool := granting(d.says)
		tool.takes = 2 * time.Second
		cred := d.credential(t, tool)
		first, _ := mustToken(t, cred)
		if left := time.Until(first.RefreshOn); left < 26*time.Minute || left > 34*time.Minute {
			t.Errorf("renewed in %v, want at half of an hour", left)
		}
		time.Sleep(time.Until(first.RefreshOn) + time.Second)
		if tk, took := mustToken(t, cred); tk.Token != first.Token || took != 0 {
			t.Errorf("during the renewal: got %s after %v, want the held token at once", tk.Token, took)
		}
		time.Sleep(3 * time.Second)
		if tk, took := mustToken(t, cred); tk.Token != "token-2" || took != 0 {
			t.Errorf("after the renewal: got %s after %v, want token-2", tk.Token, took)
		}
		// With a failing tool the token is served to its end.
		tool.answer = func(int) ([]byte, error) { return nil, exits(1, "no") }
		end := time.Now().Add(59 * time.Minute)
		for time.Now().Before(end) {
			if tk, took := mustToken(t, cred); tk.Token != "token-2" || took > expiringWait {
				t.Fatalf("got %s after %v", tk.Token, took)
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		mustFail(t, cred)
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

// nastyWords mean more to a shell, or to the tool, than themselves.
var nastyWords = []string{
	"-x", "--debug", "a;b", "a&b", "a|b", "a`b`", "a$b", "$(b)", "a>b", "a<b", `a"b`, "a'b", `a\b`,
	"a^b", "%PATH%", "a!b", "a*b", "a?b", "a(b", "a)b", "a{b", "a[b",
	"a#b", "a~b", "a,b", "a=b", "a+b", "a@b", "a\nb", "a\rb", "a\tb", "a\x00b", "a\u00a0b", "ä",
	"a\u2028b", "a\xffb",
}

func TestToolsScopes(t *testing.T) {
	t.Parallel()
	for _, d := range developers {
		tool := granting(d.says)
		cred := d.credential(t, tool)
		for _, word := range append([]string{"", "/.default", " ", "a b", " a",
			strings.Repeat("a", 3000)}, nastyWords...) {
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{word}})
			wantErrorText(t, err, "GetToken", "scope")
		}
		for _, scopes := range [][]string{nil, {vaultScope, armScope}} {
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes})
			wantErrorText(t, err, "exactly one")
		}
		var none context.Context
		_, err := cred.GetToken(none, policy.TokenRequestOptions{Scopes: []string{vaultScope}})
		wantErrorText(t, err, "nil Context")
		if tool.count() != 0 {
			t.Errorf("%s ran for what was refused: %q", d.name, tool.runs)
		}
		for _, scope := range []string{"api://0-1_2.x/.default", "https://a.b:443//.default", "00000000-0000-0000-0000-000000000000"} {
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
				t.Errorf("%s: %v", scope, err)
			}
		}
	}
	for name, cred := range map[string]azcore.TokenCredential{"az": &AzureCLICredential{}, "azd": &AzureDeveloperCLICredential{}} {
		for _, claims := range []string{"", rejectedClaims} {
			_, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
			if wantErrorText(t, err, "was not made by"); err == nil {
				t.Errorf("%s: the zero value gave a token", name)
			}
		}
	}
}

func TestToolsOptions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 2000)
	for _, d := range developers {
		for _, word := range append([]string{" ", "a b", "a/b", "a:b", "a_b", ".", long, "*"},
			nastyWords...) {
			_, err := d.make(newShared(), nowhere(), word, nil, nil)
			wantErrorText(t, err, d.options+".TenantID")
			if word == "*" {
				continue
			}
			_, err = d.make(newShared(), nowhere(), homeTenant, []string{otherTenant, word}, nil)
			wantErrorText(t, err, d.options+".AdditionallyAllowedTenants")
		}
		_, err := d.make(newShared(), nowhere(), homeTenant, []string{""}, nil)
		wantErrorText(t, err, d.options+".AdditionallyAllowedTenants")
	}
	for _, word := range append([]string{" ", " a", "a ", "- a", " -a", long}, nastyWords...) {
		_, err := newAzureCLI(newShared(), &AzureCLICredentialOptions{Subscription: word}, nowhere())
		wantErrorText(t, err, "AzureCLICredentialOptions.Subscription")
	}
	_, err := newAzureCLI(newShared(), &AzureCLICredentialOptions{Subscription: "s",
		TenantID: homeTenant}, nowhere())
	wantErrorText(t, err, "AzureCLICredentialOptions", "Subscription and TenantID")
	for _, word := range []string{homeTenant, "My Subscription", "my-sub_1.0", "a"} {
		if _, err := newAzureCLI(newShared(), &AzureCLICredentialOptions{Subscription: word},
			nowhere()); err != nil {
			t.Errorf("subscription %q: %v", word, err)
		}
	}
	if _, err := NewAzureCLICredential(nil); err != nil {
		t.Error(err)
	}
	if _, err := NewAzureDeveloperCLICredential(nil); err != nil {
		t.Error(err)
	}
}

// TestToolsOptionsAreCopied: changing them afterwards has no effect.
func TestToolsOptionsAreCopied(t *testing.T) {
	t.Parallel()
	for _, d := range developers {
		allowed := []string{otherTenant}
		cred, err := d.make(newShared(), granting(d.says).env(), homeTenant, allowed, nil)
		if err != nil {
			t.Fatal(err)
		}
		allowed[0] = "x.example"
		if _, err := ofTenant(cred, otherTenant); err != nil {
			t.Error(err)
		}
	}
}

// failures are what the tools' failures mean, and what is said of them.
type toolFailure struct {
	name        string
	err         error
	unavailable bool
	transient   bool // also if unavailable
	code        string
	want        []string
}

func checkToolFailure(t *testing.T, e *AuthenticationError, tt toolFailure) {
	t.Helper()
	wantErrorText(t, e, append([]string{"https://vault.azure.net", "1 attempt"}, tt.want...)...)
	if got := errors.Is(e, ErrUnavailable); got != tt.unavailable {
		t.Errorf("ErrUnavailable: %v, want %v: %v", got, tt.unavailable, e)
	}
	if e.transient != (tt.transient || tt.unavailable) {
		t.Errorf("passing: %v, want %v: %v", e.transient, tt.transient, e)
	}
	if e.Code != tt.code || e.Host != "" || e.Resource != "https://vault.azure.net" ||
		e.Attempts != 1 || e.StatusCode != 0 {
		t.Errorf("fields are %+v, want code %q", *e, tt.code)
	}
	checkOneLine(t, e.Error())
}

func checkToolFailures(t *testing.T, d developer, table []toolFailure) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := &fakeTool{answer: func(int) ([]byte, error) { return []byte(canary), tt.err }}
			e, _ := mustFail(t, d.credential(t, tool))
			checkToolFailure(t, e, tt)
			if strings.Contains(fmt.Sprintf("%v %+v %#v %+v", e, e, e, *e), canary) {
				t.Errorf("the error shows standard output: %+v", *e)
			}
		})
	}
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
			cred, err := newAzureCLI(newShared(), &tt.options, granting(azGrants).env())
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
