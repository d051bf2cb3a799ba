package devtool

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
)

// nastyWords mean more to a shell, or to the tool, than themselves.
var nastyWords = []string{
	"-x", "--debug", "a;b", "a&b", "a|b", "a`b`", "a$b", "$(b)", "a>b", "a<b", `a"b`, "a'b", `a\b`,
	"a^b", "%PATH%", "a!b", "a*b", "a?b", "a(b", "a)b", "a{b", "a[b",
	"a#b", "a~b", "a,b", "a=b", "a+b", "a@b", "a\nb", "a\rb", "a\tb", "a\x00b", "a\u00a0b", "ä",
	"a\u2028b", "a\xffb",
}

func TestOptions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 2000)
	for _, tt := range []struct {
		name    string
		bad     []string
		good    []string
		options func(word string) Options
	}{
		{"Options.TenantID", []string{" ", "a b", "a/b", "a:b", "a_b", ".", "*", long},
			[]string{"", homeTenant, "Contoso.example"},
			func(word string) Options { return Options{Tenants: check.Tenants{Own: word}} }},
		{"Options.AdditionallyAllowedTenants", []string{"", " ", "a b", "a/b", ".", long},
			[]string{homeTenant, "*"}, func(word string) Options {
				return Options{Tenants: check.Tenants{Own: homeTenant,
					Allowed: []string{otherTenant, word}}}
			}},
		{"Options.Subscription", []string{" ", " a", "a ", "- a", " -a", long},
			[]string{"", homeTenant, "My Subscription", "my-sub_1.0", "a"},
			func(word string) Options { return Options{Subscription: word} }},
	} {
		for _, tool := range tools {
			for i, word := range slices.Concat(tt.good, tt.bad, nastyWords) {
				o := tt.options(word)
				o.Type = "Options"
				_, err := New(tool, o, Machine{Getenv: func(string) string { return "" }})
				if i >= len(tt.good) {
					wantText(t, err, tt.name+": ")
				} else if err != nil {
					t.Errorf("%s: %q: %v", tt.name, word, err)
				}
			}
		}
	}
	_, err := New(AzureCLI, Options{Type: "Options", Subscription: "s",
		Tenants: check.Tenants{Own: homeTenant}}, Machine{})
	wantText(t, err, "Options: Subscription and TenantID: az takes one of the two")
	for timeout, good := range map[time.Duration]bool{0: true, time.Hour: true, -1: false,
		time.Hour + 1: false, math.MaxInt64: false, math.MinInt64: false} {
		_, err := New(AzureCLI, Options{Type: "Options", ProcessTimeout: timeout},
			Machine{Getenv: func(string) string { return "" }})
		if good != (err == nil) {
			t.Errorf("a ProcessTimeout of %v: %v", timeout, err)
		}
		if !good {
			wantText(t, err, "Options.ProcessTimeout: ")
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	c := (&fake{}).client(t, AzureCLI, Options{})
	for _, scope := range append([]string{" ", "a b", " a"}, nastyWords...) {
		_, err := c.Tenant(scope, "")
		wantText(t, err, "GetToken: scope ", "not passed to az")
	}
	for _, scope := range []string{"api://0-1_2.x/.default", "https://a.b:443//.default", guid} {
		if _, err := c.Tenant(scope, ""); err != nil {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	const refused = "Options.AdditionallyAllowedTenants"
	for _, tt := range []struct {
		name    string
		own     string
		allowed []string
		asked   string
		want    string
		err     string
	}{
		{name: "none anywhere"},
		{name: "the options'", own: homeTenant},
		{name: "the options', asked for, too", own: homeTenant, asked: strings.ToUpper(homeTenant)},
		{name: "the resource's, where none is named", asked: otherTenant, want: otherTenant},
		{name: "a domain", asked: "Contoso.OnMicrosoft.com", want: "contoso.onmicrosoft.com"},
		{name: "another", own: homeTenant, asked: otherTenant, err: refused},
		{name: "another, allowed", own: homeTenant,
			allowed: []string{"x.example", strings.ToUpper(otherTenant)}, asked: otherTenant,
			want: otherTenant},
		{name: "another, all allowed", own: homeTenant, allowed: []string{"*"}, asked: otherTenant,
			want: otherTenant},
		{name: "another than those allowed", own: homeTenant, allowed: []string{"x.example"},
			asked: otherTenant, err: refused},
		{name: "no own one, another than those allowed", allowed: []string{homeTenant},
			asked: otherTenant, err: refused},
		{name: "no own one, one of those allowed", allowed: []string{otherTenant}, asked: otherTenant,
			want: otherTenant},
		{name: "an option", asked: "--debug", err: "TenantID"},
		{name: "a command", asked: "a;reboot", err: "TenantID"},
		{name: "a line break", asked: "a\nb", err: "TenantID"},
		{name: "a star", asked: "*", err: "TenantID"},
	} {
		allowed := slices.Clone(tt.allowed)
		c := (&fake{}).client(t, AzureDeveloperCLI,
			Options{Tenants: check.Tenants{Own: tt.own, Allowed: allowed}})
		for i := range allowed { // which has no effect any more
			allowed[i] = "elsewhere.example"
		}
		got, err := c.Tenant(vaultScope, tt.asked)
		if tt.err != "" {
			wantText(t, err, "GetToken: ", tt.err)
		} else if err != nil || got != tt.want {
			t.Errorf("%s: got %q, error %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestWords: what each tool is run with.
func TestWords(t *testing.T) {
	t.Parallel()
	az := []string{"account", "get-access-token", "-o", "json", "--resource"}
	azd := []string{"auth", "token", "-o", "json", "--no-prompt", "--scope"}
	tenants := check.Tenants{Own: "Contoso.example", Allowed: []string{"*"}}
	for _, tt := range []struct {
		name    string
		options Options
		request acquire.Request
		az, azd []string // behind what is always the same
	}{
		{name: "plain", request: acquire.Request{Resource: vault}, az: []string{vault},
			azd: []string{vaultScope}},
		{name: "a slash at the end", request: acquire.Request{Resource: "https://x.example/"},
			az: []string{"https://x.example/"}, azd: []string{"https://x.example//.default"}},
		{name: "own tenant", options: Options{Tenants: tenants},
			request: acquire.Request{Resource: vault},
			az:      []string{vault, "--tenant", "contoso.example"},
			azd:     []string{vaultScope, "--tenant-id", "contoso.example"}},
		{name: "the request's tenant", options: Options{Tenants: tenants}, request: acquire.Request{
			Resource: vault, Variant: acquire.Variant{Tenant: otherTenant}},
			az:  []string{vault, "--tenant", otherTenant},
			azd: []string{vaultScope, "--tenant-id", otherTenant}},
		{name: "a subscription, and the request's tenant", options: Options{Subscription: "My Sub"},
			request: acquire.Request{Resource: vault, Variant: acquire.Variant{Tenant: homeTenant}},
			az:      []string{vault, "--subscription", "My Sub"}},
		{name: "claims", request: acquire.Request{Resource: vault, Claims: "{}",
			Variant: acquire.Variant{Tenant: otherTenant}},
			azd: []string{vaultScope, "--tenant-id", otherTenant, "--claims", "e30="}},
	} {
		for tool, want := range map[*Tool][]string{AzureCLI: tt.az, AzureDeveloperCLI: tt.azd} {
			if want == nil {
				continue
			}
			want = append(map[*Tool][]string{AzureCLI: az, AzureDeveloperCLI: azd}[tool], want...)
			f := &fake{}
			if _, failed := f.client(t, tool, tt.options).Acquire(t.Context(), tt.request, time.Minute,
				func() {}); failed != nil {
				t.Errorf("%s, %s: %v", tool.Program, tt.name, failed)
			}
			if diff := cmp.Diff([][]string{want}, f.runs); diff != "" {
				t.Errorf("%s, %s: arguments (-want +got):\n%s", tool.Program, tt.name, diff)
			}
		}
	}
}

// TestKey: two Clients have one key where they get the same tokens.
func TestKey(t *testing.T) {
	t.Parallel()
	own := func(tenant string) Options { return Options{Tenants: check.Tenants{Own: tenant}} }
	for _, tt := range []struct {
		name          string
		first, second Options
		variables     []string // of the second's environment
		same          bool
	}{
		{name: "the same", same: true},
		{name: "other allowed tenants",
			second: Options{Tenants: check.Tenants{Allowed: []string{"*"}}}, same: true},
		{name: "another ProcessTimeout", second: Options{ProcessTimeout: time.Second}, same: true},
		{name: "the same tenant in another case", first: own(homeTenant),
			second: own(strings.ToUpper(homeTenant)), same: true},
		{name: "another tenant", second: own(homeTenant)},
		{name: "a subscription", second: Options{Subscription: "s"}},
		{name: "another subscription", first: Options{Subscription: "s"},
			second: Options{Subscription: "S2"}},
		{name: "another AZURE_CONFIG_DIR", variables: []string{"AZURE_CONFIG_DIR", "/home/b"}},
		{name: "another AZD_CONFIG_DIR", variables: []string{"AZD_CONFIG_DIR", "/home/b"}},
		{name: "another HOME", variables: []string{"HOME", "/home/b"}},
		{name: "another USERPROFILE", variables: []string{"USERPROFILE", "/home/b"}},
		{name: "another cloud", variables: []string{"AZURE_CLOUD_NAME", "AzureUSGovernment"}},
		{name: "another AZURE_SUBSCRIPTION_ID", variables: []string{"AZURE_SUBSCRIPTION_ID", "s"}},
		{name: "another AZD_AUTH_ENDPOINT", variables: []string{"AZD_AUTH_ENDPOINT", "http://127.0.0.1"}},
		{name: "variables that look like others",
			variables: []string{"HOME", "/home/b\nAZURE_CONFIG_DIR=/home/b"}},
		{name: "a variable that decides nothing", variables: []string{"LANG", "C"}, same: true},
	} {
		f := &fake{}
		first := f.client(t, AzureCLI, tt.first).Key()
		if same := first == f.client(t, AzureCLI, tt.second, tt.variables...).Key(); same != tt.same {
			t.Errorf("%s: one key: %v, want %v", tt.name, same, tt.same)
		}
		if first == f.client(t, AzureDeveloperCLI, tt.first).Key() {
			t.Errorf("%s: az and azd have one key", tt.name)
		}
	}
}
