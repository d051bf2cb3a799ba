package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones by name, wherever the tests run

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/command"
)

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

func TestAzureCLIArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options AzureCLICredentialOptions
		scope   string
		tenant  string // of the request
		want    []string
	}{
		{name: "plain", options: AzureCLICredentialOptions{}, scope: vaultScope},
		{name: "no suffix", options: AzureCLICredentialOptions{}, scope: "https://vault.azure.net"},
		{name: "tenant", options: AzureCLICredentialOptions{TenantID: "Contoso.example"},
			scope: vaultScope, want: []string{"--tenant", "contoso.example"}},
		{name: "tenant of the request", options: AzureCLICredentialOptions{}, scope: vaultScope,
			tenant: otherTenant, want: []string{"--tenant", otherTenant}},
		{name: "allowed tenant of the request",
			options: AzureCLICredentialOptions{TenantID: homeTenant,
				AdditionallyAllowedTenants: []string{"*"}}, scope: vaultScope, tenant: otherTenant, want: []string{"--tenant", otherTenant}},
		{name: "subscription", options: AzureCLICredentialOptions{Subscription: "My Sub"},
			scope: vaultScope, want: []string{"--subscription", "My Sub"}},
		{name: "subscription and tenant of the request",
			options: AzureCLICredentialOptions{Subscription: "s"}, scope: vaultScope, tenant: homeTenant,
			want: []string{"--subscription", "s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := granting(azGrants)
			cred := azureCLIOf(t, tool, tt.options)
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{tt.scope}, TenantID: tt.tenant,
					EnableCAE: true}); err != nil {
				t.Fatal(err)
			}
			want := [][]string{append([]string{"account", "get-access-token", "-o", "json", "--resource",
				"https://vault.azure.net"}, tt.want...)}
			if diff := cmp.Diff(want, tool.runs); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("double slash", func(t *testing.T) {
		t.Parallel()
		tool := granting(azGrants)
		if _, err := azureCLIOf(t, tool, AzureCLICredentialOptions{}).GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://x.example//.default"}}); err != nil {
			t.Fatal(err)
		}
		if got := tool.runs[0][5]; got != "https://x.example/" {
			t.Errorf("resource is %q, want its slash kept", got)
		}
	})
}

// sampled is what a real tool wrote to its standard error; the files say where.
func sampled(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile("internal/devtool/testdata/" + name + ".txt")
	if err != nil {
		tb.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "\n\n") // behind a head
	return text
}

// What az says of some failures.
const azWarning = "/opt/az/lib/python3.12/site-packages/azure/multiapi/storagev2/fileshare/__init__.py:1: UserWarning: pkg_resources is deprecated as an API. See https://setuptools.pypa.io/en/latest/pkg_resources.html. The pkg_resources package is slated for removal as early as 2025-11-30. Refrain from using this package or pin to Setuptools<81.\n  __import__('pkg_resources').declare_namespace(__name__)\n"
const entraIDs = " Trace ID: 00000000-0000-0000-0000-00000000000a Correlation ID: " +
	"00000000-0000-0000-0000-00000000000b Timestamp: 2026-01-02 03:04:05Z"
const azExpired = `ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-01 and was inactive for 90.00:00:00.
Trace ID: 00000000-0000-0000-0000-00000000000a
Correlation ID: 00000000-0000-0000-0000-00000000000b
Timestamp: 2026-01-02 03:04:05Z
Interactive authentication is needed. Please run:
az logout
az login --tenant "x" --scope "https://vault.azure.net/.default"`
const azWantsMore = "ERROR: AADSTS50076: Due to a configuration change made by your " +
	"administrator, or " +
	"because you moved to a new location, you must use multi-factor authentication to access " +
	"'797f4846-ba00-4fd7-ba43-dac1f8f63013'." + entraIDs +
	"\nInteractive authentication is needed. Please run:\n"

func TestAzureCLIFailures(t *testing.T) {
	t.Parallel()
	checkToolFailures(t, developers[0], []toolFailure{
		{name: "not installed", err: command.ErrNotOnPath, unavailable: true,
			want: []string{"az is not installed, or not on PATH",
				"https://learn.microsoft.com/cli/azure/install-azure-cli", "az login"}},
		{name: "exit status 127", err: exits(127, "az: python3: not found"),
			unavailable: true, want: []string{"az is not installed"}},
		{name: "what Windows hasn't is a program that az wanted",
			err: exits(1, "'wmic' is not recognized as an internal or external command,\r\noperable "+
				"program or batch file.\r\nERROR: Subscription 'x' not found.\r\n"),
			want: []string{"Subscription 'x' not found"}},
		{name: "not logged in", err: exits(1, "ERROR: Please run 'az login' to setup account.\r\n"),
			unavailable: true,
			want: []string{"nobody is logged in", "run az login",
				"Please run 'az login' to setup account."}},
		{name: "not logged in, as sampled", err: exits(1, sampled(t, "az-logged-out")),
			unavailable: true, want: []string{"nobody is logged in", "run az login"}},
		{name: "not logged in, behind a warning",
			err:         exits(1, azWarning+"ERROR: Please run 'az login' to setup account.\r\n"),
			unavailable: true, want: []string{`"ERROR: Please run 'az login' to setup account.": nobody is ` +
				`logged in`}},
		{name: "no subscription", err: exits(1, sampled(t, "az-no-subscription")),
			want: []string{"No subscription found", "run az account set --subscription"}},
		{name: "unknown subscription",
			err:  exits(1, "ERROR: Subscription 'x' not found. Check the spelling and casing and try again."),
			want: []string{"Subscription 'x' not found"}},
		{name: "the same behind a warning",
			err: exits(1, azWarning+
				"ERROR: The subscription of 'x' doesn't exist in cloud 'AzureCloud'.\n"),
			want: []string{`Azure CLI: "ERROR: The subscription of 'x' doesn't exist in cloud 'AzureCloud'."`}},
		{name: "expired session", err: exits(1, azExpired), code: "AADSTS700082",
			want: []string{"AADSTS700082",
				"inactive for 90.00:00:00. Interactive authentication is needed. Please run:", "error?code=700082", `az asks for az logout, then az login --tenant "x" --scope "https://vault.azure.net/.default"`}},
		{name: "another factor wanted",
			err:  exits(1, azWantsMore+"az login --scope https://vault.azure.net/.default"),
			code: "AADSTS50076",
			want: []string{"AADSTS50076", "error?code=50076",
				"az asks for az login --scope https://vault.azure.net/.default"}},
		{name: "another factor wanted, behind a warning",
			err: exits(1, azWarning+azWantsMore+
				"az logout\naz login --tenant \"t\" --scope \"https://vault.azure.net/.default\"\n"),
			code: "AADSTS50076", want: []string{`az asks for az logout, then az login --tenant "t" ` +
				`--scope "https://vault.azure.net/.default"`}},
		{name: "an assertion out of time",
			err: exits(1, "ERROR: AADSTS700024: Client assertion is not within its valid time "+
				"range.\nTrace ID: 1\nInteractive authentication is needed. Please run:\naz login\n"),
			code: "AADSTS700024", want: []string{"valid time range. Interactive", "error?code=700024"}},
		{name: "Entra's own trouble",
			err: exits(1, "ERROR: AADSTS90033: A transient error has occurred. Please try again.\nTrace "+
				"ID: 1\n"), transient: true, code: "AADSTS90033", want: []string{"error?code=90033 says what " +
				"that means. It may pass by itself"}},
		{name: "a federation that is new",
			err: exits(1, "ERROR: AADSTS70021: No matching federated identity record found for presented "+
				"assertion.\n"), transient: true, code: "AADSTS70021", want: []string{"It may pass by itself"}},
		{name: "advice that would run something else",
			err:  exits(1, "ERROR: AADSTS50076: more\nPlease run:\naz login --scope x;reboot $(y)\n"),
			code: "AADSTS50076", want: []string{"az asks for az login --scope x"}},
		{name: "no place to write, as sampled", err: exits(1, sampled(t, "az-no-home")),
			want: []string{`"PermissionError: [Errno 13] Permission denied: ` +
				`'/home/dev/.azure/azureProfile.json'"`}},
		{name: "a broken configuration, as sampled", err: exits(1, sampled(t, "az-config")),
			want: []string{`"configparser.MissingSectionHeaderError: File contains no section headers. ` +
				`file: '/home/dev/.azure/config', line: 1`}},
		{name: "a traceback without its head",
			err: exits(1, "ERROR: The command failed with an unexpected error. Here is the "+
				"traceback:\nERROR: [Errno 28] No space left on device\n"),
			want: []string{"No space left on device"}},
		{name: "a traceback without its end",
			err: exits(1, "ERROR: The command failed with an unexpected error. Here is the "+
				"traceback:\nERROR: [Errno 28] No space left on device\nTraceback (most recent call last):\n "+
				" File \"x.py\", line 1, in <module>\n"), want: []string{"No space left on device"}},
		{name: "a traceback behind the error",
			err: exits(1, "ERROR: Subscription 'x' not found.\nException in thread Thread-1:\nTraceback "+
				"(most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'telemetry'\n"),
			want: []string{"Subscription 'x' not found."}},
		{name: "without a word", err: exits(2, " \n"),
			want: []string{"az ended with exit status 2 and without a word"}},
		{name: "killed by a signal", err: exits(-1, ""), want: []string{"without a word"}},
		{name: "another system's error", err: errors.New("fork/exec /usr/bin/az: exec format error"),
			want: []string{"can't run az: fork/exec /usr/bin/az: exec format error"}},
		{name: "many lines and escapes", err: exits(1, nasty)},
		{name: "colors", err: exits(1, "\x1b[31mERROR: Please run 'az login' to setup account.\x1b[0m\n"),
			unavailable: true,
			want:        []string{`"ERROR: Please run 'az login' to setup account."`}},
		{name: "a book of digits", err: exits(1, "ERROR: AADSTS"+strings.Repeat("7", 5000)),
			code: "AADSTS7777777777", want: []string{"error?code=7777777777 says"}},
		{name: "a book", err: exits(1, strings.Repeat("complaint ", 6000)+"and its end"),
			want: []string{"complaint complaint", " … ", "and its end"}},
	})
}

func TestAzureCLIUnreachable(t *testing.T) {
	t.Parallel()
	reached := []string{"can az reach Entra from here?", "HTTPS_PROXY"}
	checkToolFailures(t, developers[0], []toolFailure{
		{name: "offline, as sampled", err: exits(1, sampled(t, "az-offline")), transient: true,
			want: append(reached, "requests.exceptions.ConnectionError: ",
				"Temporary failure in name resolution")},
		{name: "a proxy that isn't there, as sampled", err: exits(1, sampled(t, "az-proxy")),
			transient: true, want: append(reached, "requests.exceptions.ProxyError: ",
				"Network is unreachable")},
		{name: "nobody listens", err: exits(1, strings.ReplaceAll(sampled(t, "az-offline"),
			"[Errno -3] Temporary failure in name resolution", "[Errno 111] Connection refused")),
			transient: true, want: append(reached, "Connection refused")},
		{name: "TLS intercepted",
			err: exits(1, "ERROR: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max "+
				"retries exceeded with url: /t/oauth2/token (Caused by SSLError(SSLCertVerificationError(1, "+
				"'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed certificate in "+
				"certificate chain (_ssl.c:1007)')))\nCertificate verification failed. This typically "+
				"happens when using Azure CLI behind a proxy that intercepts traffic with a self-signed "+
				"certificate.\n"), want: []string{"does a proxy intercept TLS here?"}},
	})
}

// TestFailureOfAzIsNobodyElse: az names az login after any failure. Only what says that no account
// is there leads to another identity, whatever else is on the machine.
func TestFailureOfAzIsNobodyElse(t *testing.T) {
	for _, tt := range []struct {
		name, stderr string
		goesOn       bool
	}{
		{"no account", "ERROR: Please run 'az login' to setup account.", true},
		{"the broker is busy",
			"ERROR: Winrt exception was thrown during GetTokenSilently '(pii)'.. Status: " +
				"Response_Status.Status_Unexpected, Error code: -2147023584, Tag: 590996738\nPlease " +
				"explicitly log in with:\naz login\n", false},
		{"an account without a token",
			"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login\n", false},
		{"an account that isn't in the cache",
			"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.\n",
			false},
		{"a service principal without its secret", sampled(t, "az-service-principal"), false},
		{"accounts that can't be read", sampled(t, "az-torn-profile"), false},
		{"no subscription", sampled(t, "az-no-subscription"), false},
		{"an expired session",
			"ERROR: AADSTS700082: expired\nInteractive authentication is needed. Please run:\naz login\n",
			false},
		{"offline", sampled(t, "az-offline"), false},
		{"a login that is not enough",
			"ERROR: Interactive authentication is needed. Please run:\naz login --scope x\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{az: exits(1, tt.stderr), variables: map[string]string{envTokenCredentials: "dev"}}
				cred, err := newDefaultCredential(newShared(), nil, l.environment())
				if err != nil {
					t.Fatal(err)
				}
				tk, err := getToken(t.Context(), cred)
				if goesOn := err == nil; goesOn != tt.goesOn {
					t.Errorf("got the token %q, error %v, want azd's: %t", tk.Token, err, tt.goesOn)
				}
			})
		})
	}
}

// TestAzureCLIsOwnTenantInHints: the command in a hint is the one that helps.
func TestAzureCLIsOwnTenantInHints(t *testing.T) {
	t.Parallel()
	for _, d := range developers {
		tool := &fakeTool{answer: func(int) ([]byte, error) {
			return nil, exits(1, "ERROR: "+d.loggedOut)
		}}
		cred := d.credentialIn(t, newShared(), tool.env(), homeTenant, "*")
		_, err := getToken(t.Context(), cred)
		wantErrorText(t, err, "run "+d.login+" "+d.option+" "+homeTenant)
		_, err = ofTenant(cred, otherTenant)
		wantErrorText(t, err, "run "+d.login+" "+d.option+" "+otherTenant)
	}
}

func TestAzureCLISubscriptionsTenant(t *testing.T) {
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
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := &fakeTool{answer: func(int) ([]byte, error) {
				return azSays("t", time.Hour, "tenant", tt.printed), nil
			}}
			_, err := ofTenant(azureCLIOf(t, tool, AzureCLICredentialOptions{Subscription: tt.subscription}),
				tt.asked)
			if !tt.refused {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantErrorText(t, err, homeTenant, otherTenant, `subscription "s"`, "another subscription")
			if errors.Is(err, ErrUnavailable) {
				t.Error("it is ErrUnavailable")
			}
		})
	}
}

const secondFactor = "the resource wants more of the login than there is"

func TestAzureCLIClaims(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options AzureCLICredentialOptions
		tenant  string
		want    string
	}{
		{name: "plain", options: AzureCLICredentialOptions{}, want: "az login --claims-challenge "},
		{name: "tenant", options: AzureCLICredentialOptions{TenantID: homeTenant},
			want: "az login --tenant " + homeTenant + " --claims-challenge "},
		{name: "tenant of the request", options: AzureCLICredentialOptions{}, tenant: otherTenant,
			want: "az login --tenant " + otherTenant + " --claims-challenge "},
		{name: "both", options: AzureCLICredentialOptions{TenantID: homeTenant,
			AdditionallyAllowedTenants: []string{"*"}}, tenant: otherTenant, want: "az login --tenant " +
			otherTenant + " --claims-challenge "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := granting(azGrants)
				cred := azureCLIOf(t, tool, tt.options)
				_, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tt.tenant,
						Claims: rejectedClaims})
				wantErrorText(t, err, "Azure CLI: "+secondFactor, "https://vault.azure.net",
					"run "+tt.want+base64.StdEncoding.EncodeToString([]byte(rejectedClaims))+" and try again")
				if e, ok := errors.AsType[*AuthenticationError](err); !ok || e.transient ||
					errors.Is(err, ErrUnavailable) || e.Attempts != 0 {
					t.Errorf("got %#v, want a definite *AuthenticationError", err)
				}
				if tool.count() != 0 {
					t.Errorf("az ran: %q", tool.runs)
				}
			})
		})
	}
	t.Run("long claims", func(t *testing.T) {
		t.Parallel()
		claims := `{"x":"` + strings.Repeat("~", 4000) + `"}`
		_, err := azureCLIOf(t, granting(azGrants), AzureCLICredentialOptions{}).GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
		wantErrorText(t, err, base64.StdEncoding.EncodeToString([]byte(claims))+" and")
	})
}

// rejects is a resource that has refused the held token.
func rejects(tb testing.TB, cred *AzureCLICredential) {
	tb.Helper()
	_, err := cred.GetToken(tb.Context(),
		policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: rejectedClaims})
	wantErrorText(tb, err, secondFactor)
}

// TestAzureCLIAfterAChallenge: the developer logs in again, and the next use has the new token,
// whatever its life.
func TestAzureCLIAfterAChallenge(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Hour, 20 * time.Minute} {
		t.Run(life.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := &fakeTool{takes: time.Second, answer: func(n int) ([]byte, error) {
					if n == 1 {
						return azSays("token-1", time.Hour), nil
					}
					return azSays(fmt.Sprint("token-", n), life), nil
				}}
				cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
				other, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}})
				if err != nil {
					t.Fatal(err)
				}
				tool.answer = func(n int) ([]byte, error) { // the first for the vault
					if n == 2 {
						return azSays("token-2", time.Hour), nil
					}
					return azSays(fmt.Sprint("token-", n), life), nil
				}
				mustToken(t, cred)
				rejects(t, cred)
				if tk, took := mustToken(t, cred); tk.Token != "token-3" || took != time.Second {
					t.Errorf("got %s after %v, want token-3 after 1s", tk.Token, took)
				}
				if tk, took := mustToken(t, cred); tk.Token != "token-3" || took != 0 {
					t.Errorf("then got %s after %v, want token-3 at once", tk.Token, took)
				}
				if tk, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil ||
					tk.Token != other.Token {
					t.Errorf("another resource's: got %v, error %v, want %v", tk.Token, err, other.Token)
				}
				if tool.count() != 3 {
					t.Errorf("az ran %d times, want 3", tool.count())
				}
			})
		})
	}
}

// TestAzureCLIFailsAfterAChallenge: the refused token may do for other requests, and az is asked
// again.
func TestAzureCLIFailsAfterAChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azGrants)
		cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
		mustToken(t, cred)
		rejects(t, cred)
		works := tool.answer
		tool.answer = func(int) ([]byte, error) { return nil, exits(1, "ERROR: AADSTS50076: more") }
		for range 600 { // a minute
			if tk, _ := mustToken(t, cred); tk.Token != "token-1" {
				t.Fatalf("got %s, want the held token", tk.Token)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := tool.count() - 1; n < 4 || n > 20 {
			t.Errorf("az ran %d times in a minute, want again and again, with cool-downs", n)
		}
		tool.answer = works // the developer has logged in
		time.Sleep(30 * time.Second)
		if tk, _ := mustToken(t, cred); tk.Token == "token-1" {
			t.Error("half a minute after the login the refused token is still handed out")
		}
		n := tool.count()
		mustToken(t, cred)
		synctest.Wait()
		if tool.count() != n {
			t.Error("az runs for a token that nobody has refused")
		}
	})
	t.Run("slow", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			tool := granting(azGrants)
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			mustToken(t, cred)
			rejects(t, cred)
			tool.takes = 5 * time.Second
			if tk, took := mustToken(t, cred); tk.Token != "token-1" || took != expiringWait {
				t.Errorf("got %s after %v, want the held token after %v", tk.Token, took, expiringWait)
			}
			time.Sleep(4 * time.Second)
			if tk, took := mustToken(t, cred); tk.Token != "token-2" || took != 0 {
				t.Errorf("got %s after %v, want token-2 at once", tk.Token, took)
			}
		})
	})
	t.Run("nothing held", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			tool := granting(azGrants)
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			rejects(t, cred)
			if n := len(cred.tokens.Stats(&cred.view)); n != 0 {
				t.Errorf("%d keys are held for a challenge", n)
			}
			mustToken(t, cred)
		})
	})
	t.Run("the same token again", func(t *testing.T) { // az has a cache of its own
		bubble(t, func(t *testing.T) {
			end := time.Now().Add(time.Hour)
			tool := &fakeTool{answer: func(int) ([]byte, error) { return azSays("t", time.Until(end)), nil }}
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			first, _ := mustToken(t, cred)
			for range 5 {
				rejects(t, cred)
				mustToken(t, cred)
				time.Sleep(time.Minute)
			}
			tk, _ := mustToken(t, cred)
			if !tk.ExpiresOn.Equal(first.ExpiresOn) || tool.count() != 6 {
				t.Errorf("ends at %v, %d runs, want %v and 6", tk.ExpiresOn, tool.count(), first.ExpiresOn)
			}
		})
	})
}
