package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones by name, wherever the tests run

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/command"
)

func azureCLIOf(tb testing.TB, tool *fakeTool, options AzureCLICredentialOptions) *AzureCLICredential {
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
		{"plain", AzureCLICredentialOptions{}, vaultScope, "", nil},
		{"no suffix", AzureCLICredentialOptions{}, "https://vault.azure.net", "", nil},
		{"tenant", AzureCLICredentialOptions{TenantID: "Contoso.example"}, vaultScope, "", []string{"--tenant", "contoso.example"}},
		{"tenant of the request", AzureCLICredentialOptions{}, vaultScope, otherTenant, []string{"--tenant", otherTenant}},
		{"allowed tenant of the request", AzureCLICredentialOptions{TenantID: homeTenant, AdditionallyAllowedTenants: []string{"*"}}, vaultScope, otherTenant, []string{"--tenant", otherTenant}},
		{"subscription", AzureCLICredentialOptions{Subscription: "My Sub"}, vaultScope, "", []string{"--subscription", "My Sub"}},
		{"subscription and tenant of the request", AzureCLICredentialOptions{Subscription: "s"}, vaultScope, homeTenant, []string{"--subscription", "s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := granting(azGrants)
			cred := azureCLIOf(t, tool, tt.options)
			if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope}, TenantID: tt.tenant, EnableCAE: true}); err != nil {
				t.Fatal(err)
			}
			want := [][]string{append([]string{"account", "get-access-token", "-o", "json", "--resource", "https://vault.azure.net"}, tt.want...)}
			if diff := cmp.Diff(want, tool.runs); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("double slash", func(t *testing.T) {
		t.Parallel()
		tool := granting(azGrants)
		if _, err := azureCLIOf(t, tool, AzureCLICredentialOptions{}).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://x.example//.default"}}); err != nil {
			t.Fatal(err)
		}
		if got := tool.runs[0][5]; got != "https://x.example/" {
			t.Errorf("resource is %q, want its slash kept", got)
		}
	})
}

func TestAzureCLIOutput(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	end := now.Add(time.Hour)
	local := end.In(time.Local).Format("2006-01-02 15:04:05.000000")
	jwt := jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Unix()))
	early := jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Add(-time.Minute).Unix()))
	for _, tt := range []struct {
		name, out string
		end       time.Time
		err       string
	}{
		{"2.54 and later", fmt.Sprintf(`{"accessToken":"t","expiresOn":"2001-01-01 00:00:00.000000","expires_on":%d,"subscription":"s","tenant":"T","tokenType":"Bearer"}`, end.Unix()), end, ""},
		{"before 2.54", fmt.Sprintf(`{"accessToken":"t","expiresOn":%q,"subscription":"s","tenant":"T","tokenType":"Bearer"}`, local), end, ""},
		{"without fractions", fmt.Sprintf(`{"accessToken":"t","expiresOn":%q}`, end.In(time.Local).Format(time.DateTime)), end, ""},
		{"a fraction", fmt.Sprintf(`{"accessToken":"t","expiresOn":%q}`, end.In(time.Local).Format(time.DateTime)+".25"), end.Add(250 * time.Millisecond), ""},
		{"tenant-only account", fmt.Sprintf(`{"accessToken":"t","expires_on":%d,"tenant":"T","tokenType":"Bearer"}`, end.Unix()), end, ""},
		{"numbers as strings", fmt.Sprintf(`{"accessToken":"t","expires_on":"%d"}`, end.Unix()), end, ""},
		{"zero, and the local time", fmt.Sprintf(`{"accessToken":"t","expires_on":0,"expiresOn":%q}`, local), end, ""},
		{"N/A, and the token's own", `{"accessToken":"` + jwt + `","expiresOn":"N/A"}`, end, ""},
		{"null, and the token's own", `{"accessToken":"` + jwt + `","expiresOn":null,"expires_on":null}`, end, ""},
		{"none, and the token's own", `{"accessToken":"` + jwt + `"}`, end, ""},
		{"the token's own is earlier", fmt.Sprintf(`{"accessToken":%q,"expires_on":%d}`, early, end.Unix()), end.Add(-time.Minute), ""},
		{"the token's own is later", fmt.Sprintf(`{"accessToken":%q,"expires_on":%d}`, jwt, end.Add(-time.Minute).Unix()), end.Add(-time.Minute), ""},
		{"blanks and unknown fields", fmt.Sprintf("\r\n {\"x\":[1], \"accessToken\" : \"t\", \"expires_on\" : %d}\r\n", end.Unix()), end, ""},
		{"numbers where texts are", fmt.Sprintf(`{"accessToken":"t","expires_on":%d,"tenant":7,"tokenType":null,"subscription":{}}`, end.Unix()), end, ""},

		{"an escape behind it", fmt.Sprintf("{\"accessToken\":\"t\",\"expires_on\":%d}\x1b[0m\n", end.Unix()), end, ""},
		{"escapes around it", fmt.Sprintf("\x1b[0m{\"accessToken\":\"t\",\"expires_on\":%d}\x1b[0m", end.Unix()), end, ""},
		{"a warning before it", fmt.Sprintf("WARNING: Argument '--tenant' is in preview.\n{\"accessToken\":\"t\",\"expires_on\":%d}\n", end.Unix()), end, ""},
		{"a byte order mark", fmt.Sprintf("\ufeff{\"accessToken\":\"t\",\"expires_on\":%d}", end.Unix()), end, ""},
		{"a notice behind it", fmt.Sprintf("{\"accessToken\":\"t\",\"expires_on\":%d}\nYou have 2 update(s) available.\n", end.Unix()), end, ""},
		{"another object before it", fmt.Sprintf("{\"type\":\"consoleMessage\",\"data\":{}}\n{\"accessToken\":\"t\",\"expires_on\":%d}", end.Unix()), end, ""},
		{"half an object before it", fmt.Sprintf("WARNING: {\"x\": [1, {\n{\"accessToken\":\"t\",\"expires_on\":%d}", end.Unix()), end, ""},
		{"a brace before it", fmt.Sprintf("WARNING: use {name\n{\"accessToken\":\"t\",\"expires_on\":%d}", end.Unix()), end, ""},
		{"a quote and a brace before it", fmt.Sprintf("WARNING: {\"name\n{\"accessToken\":\"t\",\"expires_on\":%d}", end.Unix()), end, ""},
		{"the first of two", fmt.Sprintf(`{"accessToken":"t","expires_on":%d}{"accessToken":"x","expires_on":9}`, end.Unix()), end, ""},
		{"in a list", fmt.Sprintf(`[{"accessToken":"t","expires_on":%d}]`, end.Unix()), end, ""},

		{"N/A and an opaque token", `{"accessToken":"t","expiresOn":"N/A"}`, end, "doesn't say when the token expires"},
		{"another date", `{"accessToken":"t","expiresOn":"03/04/2026"}`, end, "doesn't say when the token expires"},
		{"too small a number", `{"accessToken":"t","expires_on":3600}`, end, "doesn't say when the token expires"},
		{"too large a number", `{"accessToken":"t","expires_on":253402300800}`, end, "doesn't say when the token expires"},
		{"expired", fmt.Sprintf(`{"accessToken":"t","expires_on":%d}`, now.Unix()), end, "the token expired"},
		{"long expired", fmt.Sprintf(`{"accessToken":"t","expires_on":%d}`, now.Add(-time.Hour).Unix()), end, "1h0m0s ago"},
		{"nothing", "", end, "no JSON object"},
		{"garbage", "WARNING: hello\n", end, "no JSON object"},
		{"HTML", "<html><body>Sign in</body></html>", end, "no JSON object"},
		{"cut", `{"accessToken":"t","expires_on":1`, end, "no JSON object"},
		{"a list", `["t"]`, end, "no JSON object"},
		{"null", `null`, end, "no JSON object"},
		{"no token", fmt.Sprintf(`{"expires_on":%d}`, end.Unix()), end, "no JSON object with a token"},
		{"empty token", fmt.Sprintf(`{"accessToken":"","expires_on":%d}`, end.Unix()), end, "no accessToken"},
		{"blank token", fmt.Sprintf(`{"accessToken":" ","expires_on":%d}`, end.Unix()), end, "no accessToken"},
		{"a number as token", fmt.Sprintf(`{"accessToken":1,"expires_on":%d}`, end.Unix()), end, "no JSON object"},
		{"a token with a line break", fmt.Sprintf(`{"accessToken":"t\r\nX-Evil: 1","expires_on":%d}`, end.Unix()), end, "characters that no token has"},
		{"a token with a blank", fmt.Sprintf(`{"accessToken":"t t","expires_on":%d}`, end.Unix()), end, "characters that no token has"},
		{"another type", fmt.Sprintf(`{"accessToken":"t","expires_on":%d,"tokenType":"pop"}`, end.Unix()), end, `token_type is "pop"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseAzureCLI([]byte(tt.out), now)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "Evil") {
					t.Errorf("error is %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || !got.ExpiresOn.Equal(tt.end) || got.ExpiresOn.Location() != time.UTC || got.Value == "" {
				t.Errorf("ends at %v, error %v, want %v", got.ExpiresOn, err, tt.end)
			}
		})
	}
	if got, err := parseAzureCLI(azSays("t", time.Hour), time.Now()); err != nil || got.tenant != homeTenant || got.Value != "t" {
		t.Errorf("got %v, error %v, want the token t of tenant %s", got.tenant, err, homeTenant)
	}
}

// TestAzureCLIOutputElsewhere: az's local time is that of this process, which is set by its start.
func TestAzureCLIOutputElsewhere(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Asia/Kolkata", "America/New_York"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAzureCLIOutput$", "-test.v")
		cmd.Env = append(os.Environ(), "TZ="+zone)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestAzureCLIOutput/before_2.54") {
			t.Errorf("in %s: %v\n%s", zone, err, out)
		}
	}
}

// TestAzureCLIClockPutBack: then a local time says two times; the earlier is the safe one.
func TestAzureCLIClockPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, local, want string }{
		{"Europe/Berlin", "2026-10-25 02:30:00.123456", "2026-10-25T00:30:00Z"},
		{"Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Berlin", "2026-10-25 03:00:00", "2026-10-25T02:00:00Z"},
		{"Europe/Berlin", "2026-07-01 12:00:00", "2026-07-01T10:00:00Z"},
		{"America/New_York", "2026-11-01 01:15:00", "2026-11-01T05:15:00Z"},
		{"America/New_York", "2026-11-01 02:15:00", "2026-11-01T07:15:00Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04T14:45:00Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:15:00", "2026-04-04T14:15:00Z"},
		{"Antarctica/Troll", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"},
		{"Antarctica/Troll", "2026-10-25 01:30:00", "2026-10-24T23:30:00Z"},
		{"UTC", "2026-10-25 02:30:00", "2026-10-25T02:30:00Z"},
		{"Asia/Kolkata", "2026-10-25 02:30:00", "2026-10-24T21:00:00Z"},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := azureCLIEnd("", tt.local, "", zone)
		if got := got.UTC().Truncate(time.Second).Format(time.RFC3339); !ok || got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.local, tt.zone, got, tt.want)
		}
	}
}

// sampled is what a real tool wrote to its standard error; the files say where.
func sampled(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile("testdata/tools/" + name + ".txt")
	if err != nil {
		tb.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "\n\n") // behind a head
	return text
}

func TestAzureCLIFailures(t *testing.T) {
	t.Parallel()
	const warning = "/opt/az/lib/python3.12/site-packages/azure/multiapi/storagev2/fileshare/__init__.py:1: UserWarning: pkg_resources is deprecated as an API. See https://setuptools.pypa.io/en/latest/pkg_resources.html. The pkg_resources package is slated for removal as early as 2025-11-30. Refrain from using this package or pin to Setuptools<81.\n  __import__('pkg_resources').declare_namespace(__name__)\n"
	const ids = " Trace ID: 00000000-0000-0000-0000-00000000000a Correlation ID: 00000000-0000-0000-0000-00000000000b Timestamp: 2026-01-02 03:04:05Z"
	const expired = `ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-01 and was inactive for 90.00:00:00.
Trace ID: 00000000-0000-0000-0000-00000000000a
Correlation ID: 00000000-0000-0000-0000-00000000000b
Timestamp: 2026-01-02 03:04:05Z
Interactive authentication is needed. Please run:
az logout
az login --tenant "x" --scope "https://vault.azure.net/.default"`
	const more = "ERROR: AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '797f4846-ba00-4fd7-ba43-dac1f8f63013'." + ids + "\nInteractive authentication is needed. Please run:\n"
	reached := []string{"can az reach Entra from here?", "HTTPS_PROXY"}
	checkToolFailures(t, developers[0], []toolFailure{
		{"not installed", command.ErrNotOnPath, true, true, "", []string{"az is not installed, or not on PATH", "https://learn.microsoft.com/cli/azure/install-azure-cli", "az login"}},
		{"exit status 127", exits(127, "az: python3: not found"), true, true, "", []string{"az is not installed"}},
		{"exit status 127 of a Python without its library", exits(127, "/opt/az/bin/python3: error while loading shared libraries: libpython3.12.so.1.0: cannot open shared object file"), false, false, "", []string{"libpython3.12.so.1.0"}},
		{"the same, in musl's words", exits(127, "Error loading shared library libpython3.12.so.1.0: No such file or directory (needed by /usr/bin/python3)"), false, false, "", []string{"libpython3.12.so.1.0"}},
		{"Windows without Python", exits(9009, "'python' is not recognized as an internal or external command,\r\noperable program or batch file."), true, true, "", []string{"az is not installed"}},
		{"the same, by its text", exits(1, "'python' is not recognized as an internal or external command,\r\noperable program or batch file."), true, true, "", []string{"az is not installed"}},
		{"what Windows hasn't is a program that az wanted", exits(1, "'wmic' is not recognized as an internal or external command,\r\noperable program or batch file.\r\nERROR: Subscription 'x' not found.\r\n"), false, false, "", []string{"Subscription 'x' not found"}},
		{"what is not recognized is something else", exits(1, "ERROR: 'vault' is not recognized as a resource"), false, false, "", []string{"'vault' is not recognized"}},
		{"not logged in", exits(1, "ERROR: Please run 'az login' to setup account.\r\n"), true, true, "", []string{"nobody is logged in", "run az login", "Please run 'az login' to setup account."}},
		{"not logged in, as sampled", exits(1, sampled(t, "az-logged-out")), true, true, "", []string{"nobody is logged in", "run az login"}},
		{"not logged in, behind a warning", exits(1, warning+"ERROR: Please run 'az login' to setup account.\r\n"), true, true, "", []string{`"ERROR: Please run 'az login' to setup account.": nobody is logged in`}},
		{"no subscription", exits(1, sampled(t, "az-no-subscription")), false, false, "", []string{"No subscription found", "run az account set --subscription"}},
		{"unknown subscription", exits(1, "ERROR: Subscription 'x' not found. Check the spelling and casing and try again."), false, false, "", []string{"Subscription 'x' not found"}},
		{"the same behind a warning", exits(1, warning+"ERROR: The subscription of 'x' doesn't exist in cloud 'AzureCloud'.\n"), false, false, "", []string{`Azure CLI: "ERROR: The subscription of 'x' doesn't exist in cloud 'AzureCloud'."`}},
		{"expired session", exits(1, expired), false, false, "AADSTS700082", []string{"AADSTS700082", "inactive for 90.00:00:00. Interactive authentication is needed. Please run:", "error?code=700082", `az asks for az logout, then az login --tenant "x" --scope "https://vault.azure.net/.default"`}},
		{"another factor wanted", exits(1, more+"az login --scope https://vault.azure.net/.default"), false, false, "AADSTS50076", []string{"AADSTS50076", "error?code=50076", "az asks for az login --scope https://vault.azure.net/.default"}},
		{"another factor wanted, behind a warning", exits(1, warning+more+"az logout\naz login --tenant \"t\" --scope \"https://vault.azure.net/.default\"\n"), false, false, "AADSTS50076", []string{`az asks for az logout, then az login --tenant "t" --scope "https://vault.azure.net/.default"`}},
		{"an assertion out of time", exits(1, "ERROR: AADSTS700024: Client assertion is not within its valid time range.\nTrace ID: 1\nInteractive authentication is needed. Please run:\naz login\n"), false, false, "AADSTS700024", []string{"valid time range. Interactive", "error?code=700024"}},
		{"Entra's own trouble", exits(1, "ERROR: AADSTS90033: A transient error has occurred. Please try again.\nTrace ID: 1\n"), false, true, "AADSTS90033", []string{"error?code=90033 says what that means. It may pass by itself"}},
		{"a federation that is new", exits(1, "ERROR: AADSTS70021: No matching federated identity record found for presented assertion.\n"), false, true, "AADSTS70021", []string{"It may pass by itself"}},
		{"advice that would run something else", exits(1, "ERROR: AADSTS50076: more\nPlease run:\naz login --scope x;reboot $(y)\n"), false, false, "AADSTS50076", []string{"az asks for az login --scope x"}},
		{"offline, as sampled", exits(1, sampled(t, "az-offline")), false, true, "", append(reached, "requests.exceptions.ConnectionError: ", "Temporary failure in name resolution")},
		{"a proxy that isn't there, as sampled", exits(1, sampled(t, "az-proxy")), false, true, "", append(reached, "requests.exceptions.ProxyError: ", "Network is unreachable")},
		{"nobody listens", exits(1, strings.ReplaceAll(sampled(t, "az-offline"), "[Errno -3] Temporary failure in name resolution", "[Errno 111] Connection refused")), false, true, "", append(reached, "Connection refused")},
		{"TLS intercepted", exits(1, "ERROR: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /t/oauth2/token (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed certificate in certificate chain (_ssl.c:1007)')))\nCertificate verification failed. This typically happens when using Azure CLI behind a proxy that intercepts traffic with a self-signed certificate.\n"), false, false, "", []string{"does a proxy intercept TLS here?"}},
		{"no place to write, as sampled", exits(1, sampled(t, "az-no-home")), false, false, "", []string{`"PermissionError: [Errno 13] Permission denied: '/home/dev/.azure/azureProfile.json'"`}},
		{"a broken configuration, as sampled", exits(1, sampled(t, "az-config")), false, false, "", []string{`"configparser.MissingSectionHeaderError: File contains no section headers. file: '/home/dev/.azure/config', line: 1`}},
		{"a traceback without its head", exits(1, "ERROR: The command failed with an unexpected error. Here is the traceback:\nERROR: [Errno 28] No space left on device\n"), false, false, "", []string{"No space left on device"}},
		{"a traceback without its end", exits(1, "ERROR: The command failed with an unexpected error. Here is the traceback:\nERROR: [Errno 28] No space left on device\nTraceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n"), false, false, "", []string{"No space left on device"}},
		{"a traceback behind the error", exits(1, "ERROR: Subscription 'x' not found.\nException in thread Thread-1:\nTraceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'telemetry'\n"), false, false, "", []string{"Subscription 'x' not found."}},
		{"without a word", exits(2, " \n"), false, false, "", []string{"az ended with exit status 2 and without a word"}},
		{"killed by a signal", exits(-1, ""), false, false, "", []string{"without a word"}},
		{"another system's error", errors.New("fork/exec /usr/bin/az: exec format error"), false, false, "", []string{"can't run az: fork/exec /usr/bin/az: exec format error"}},
		{"many lines and escapes", exits(1, nasty), false, false, "", nil},
		{"colors", exits(1, "\x1b[31mERROR: Please run 'az login' to setup account.\x1b[0m\n"), true, true, "", []string{`"ERROR: Please run 'az login' to setup account."`}},
		{"a book of digits", exits(1, "ERROR: AADSTS"+strings.Repeat("7", 5000)), false, false, "AADSTS7777777777", []string{"error?code=7777777777 says"}},
		{"a book", exits(1, strings.Repeat("complaint ", 6000)+"and its end"), false, false, "", []string{"complaint complaint", " … ", "and its end"}},
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
		{"the broker is busy", "ERROR: Winrt exception was thrown during GetTokenSilently '(pii)'.. Status: Response_Status.Status_Unexpected, Error code: -2147023584, Tag: 590996738\nPlease explicitly log in with:\naz login\n", false},
		{"an account without a token", "ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login\n", false},
		{"an account that isn't in the cache", "ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.\n", false},
		{"a service principal without its secret", sampled(t, "az-service-principal"), false},
		{"accounts that can't be read", sampled(t, "az-torn-profile"), false},
		{"no subscription", sampled(t, "az-no-subscription"), false},
		{"an expired session", "ERROR: AADSTS700082: expired\nInteractive authentication is needed. Please run:\naz login\n", false},
		{"offline", sampled(t, "az-offline"), false},
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

// TestRaceForTheToolsCache: what another process or the system's broker may have caused is asked
// once more, after a moment, and is a failure if it stays.
func TestRaceForTheToolsCache(t *testing.T) {
	for _, tt := range []struct {
		name               string
		stderr             []string // of the runs before the one that brings a token
		runs               int
		transient, granted bool
	}{
		{"an account that isn't in the cache, once", []string{"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.\n"}, 2, true, true},
		{"no token in the cache, once", []string{"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login\n"}, 2, true, true},
		{"the broker is busy, once", []string{"ERROR: An error occurred. Status: Response_Status.Status_Unexpected, Error code: 1, Tag: 2\nPlease explicitly log in with:\naz login\n"}, 2, true, true},
		{"half of the cache, once", []string{sampled(t, "az-torn-cache")}, 2, true, true},
		{"half of the accounts, once", []string{sampled(t, "az-torn-profile")}, 2, true, true},
		{"a lock, once", []string{"ERROR: [Errno 13] Permission denied: 'C:\\Users\\dev\\.azure\\msal_token_cache.bin.lockfile'\n"}, 2, true, true},
		{"no account in the cache, twice", slices.Repeat([]string{"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.\n"}, 2), 2, true, false},
		{"half of the accounts, and then none", []string{sampled(t, "az-torn-profile"), "ERROR: Please run 'az login' to setup account."}, 2, true, false},
		{"another failure", []string{"ERROR: Subscription 'x' not found."}, 1, false, false},
		{"Entra, through the broker", []string{"ERROR: AADSTS50076: more. Status: Response_Status.Status_InteractionRequired, Error code: 1\nPlease explicitly log in with:\naz login\n"}, 1, false, false},
		{"nobody is logged in", []string{"ERROR: Please run 'az login' to setup account."}, 1, true, false},
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
					t.Fatalf("got the token %q, error %v, %d runs, want a token: %t, %d", tk.Token, err, tool.count(), tt.granted, tt.runs)
				}
				if took, want := time.Since(start), time.Duration(3*tt.runs-1)*time.Second; took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				if tt.granted {
					return
				}
				e := err.(*AuthenticationError)
				unavailable := tt.name == "nobody is logged in"
				if errors.Is(e, ErrUnavailable) != unavailable || e.transient != tt.transient || e.Attempts != tt.runs {
					t.Errorf("got %v, %d attempts, passing: %t; want unavailable: %t, %d, %t", e, e.Attempts, e.transient, unavailable, tt.runs, tt.transient)
				}
			})
		})
	}
	for name, said := range map[string][2]string{
		"no time for that": {"ERROR: Can't find token from MSAL cache.", "Can't find token from MSAL cache."},
		"no time for that, with half of the accounts": {sampled(t, "az-torn-profile"), "az login"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := &fakeTool{takes: 2 * time.Second, answer: func(n int) ([]byte, error) { return nil, exits(1, said[0]) }}
				e, took := mustFail(t, azureCLIOf(t, tool, AzureCLICredentialOptions{ProcessTimeout: 2500 * time.Millisecond}))
				if took != 2500*time.Millisecond || e.Attempts != 1 || errors.Is(e, ErrUnavailable) {
					t.Errorf("got %v after %v, want one attempt, 2.5s and a failure", e, took)
				}
				wantErrorText(t, e, said[1])
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
		{"the same", homeTenant, homeTenant, "s", false},
		{"the same in another case", homeTenant, strings.ToUpper(homeTenant), "s", false},
		{"another", otherTenant, homeTenant, "s", true},
		{"asked for by name", "contoso.example", homeTenant, "s", false},
		{"not printed", otherTenant, "", "s", false},
		{"none asked for", "", homeTenant, "s", false},
		{"without subscription az knows", otherTenant, homeTenant, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := &fakeTool{answer: func(int) ([]byte, error) { return azSays("t", time.Hour, "tenant", tt.printed), nil }}
			_, err := ofTenant(azureCLIOf(t, tool, AzureCLICredentialOptions{Subscription: tt.subscription}), tt.asked)
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
		{"plain", AzureCLICredentialOptions{}, "", "az login --claims-challenge "},
		{"tenant", AzureCLICredentialOptions{TenantID: homeTenant}, "", "az login --tenant " + homeTenant + " --claims-challenge "},
		{"tenant of the request", AzureCLICredentialOptions{}, otherTenant, "az login --tenant " + otherTenant + " --claims-challenge "},
		{"both", AzureCLICredentialOptions{TenantID: homeTenant, AdditionallyAllowedTenants: []string{"*"}}, otherTenant, "az login --tenant " + otherTenant + " --claims-challenge "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := granting(azGrants)
				cred := azureCLIOf(t, tool, tt.options)
				_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tt.tenant, Claims: rejectedClaims})
				wantErrorText(t, err, "Azure CLI: "+secondFactor, "https://vault.azure.net", "run "+tt.want+base64.StdEncoding.EncodeToString([]byte(rejectedClaims))+" and try again")
				if e, ok := errors.AsType[*AuthenticationError](err); !ok || e.transient || errors.Is(err, ErrUnavailable) || e.Attempts != 0 {
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
		_, err := azureCLIOf(t, granting(azGrants), AzureCLICredentialOptions{}).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
		wantErrorText(t, err, base64.StdEncoding.EncodeToString([]byte(claims))+" and")
	})
}

// rejects is a resource that has refused the held token.
func rejects(tb testing.TB, cred *AzureCLICredential) {
	tb.Helper()
	_, err := cred.GetToken(tb.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: rejectedClaims})
	wantErrorText(tb, err, secondFactor)
}

// TestAzureCLIAfterAChallenge: the developer logs in again, and the next use has the new token, whatever its life.
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
				if tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil || tk.Token != other.Token {
					t.Errorf("another resource's: got %v, error %v, want %v", tk.Token, err, other.Token)
				}
				if tool.count() != 3 {
					t.Errorf("az ran %d times, want 3", tool.count())
				}
			})
		})
	}
}

// TestAzureCLIFailsAfterAChallenge: the refused token may do for other requests, and az is asked again.
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
