package devtool

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// What az says of some failures.
const (
	azWarning = "/opt/az/lib/python3.12/site-packages/azure/multiapi/storagev2/fileshare/" +
		"__init__.py:1: UserWarning: pkg_resources is deprecated as an API.\n" +
		"  __import__('pkg_resources').declare_namespace(__name__)\n"
	entraIDs = " Trace ID: 00000000-0000-0000-0000-00000000000a Correlation ID: " +
		"00000000-0000-0000-0000-00000000000b Timestamp: 2026-01-02 03:04:05Z"
	azExpired = "ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was " +
		"issued on 2026-01-01 and was inactive for 90.00:00:00.\nTrace ID: 0a\nCorrelation ID: 0b\n" +
		"Timestamp: 2026-01-02 03:04:05Z\nInteractive authentication is needed. Please run:\naz logout\n" +
		`az login --tenant "x" --scope "https://vault.azure.net/.default"`
	azWantsMore = "ERROR: AADSTS50076: Due to a configuration change made by your administrator, you " +
		"must use multi-factor authentication to access '797f4846-ba00-4fd7-ba43-dac1f8f63013'." +
		entraIDs + "\nInteractive authentication is needed. Please run:\n"
)

// failed is a run that fails, and what is said of it.
type failed struct {
	name    string
	err     error
	verdict failure.Verdict
	away    bool // nobody is logged in, or no tool is there; no other failure may be that
	code    string
	want    []string
}

var azFailures = []failed{
	{name: "not installed", err: command.ErrNotOnPath, away: true,
		want: []string{"az is not installed, or not on PATH",
			"https://learn.microsoft.com/cli/azure/install-azure-cli", "az login"}},
	{name: "exit status 127", err: exits(127, "az: python3: not found"), away: true,
		want: []string{"az is not installed"}},
	{name: "what Windows hasn't is a program that az wanted",
		err: exits(1, "'wmic' is not recognized as an internal or external command,\r\noperable "+
			"program or batch file.\r\nERROR: Subscription 'x' not found.\r\n"),
		want: []string{"Subscription 'x' not found"}},
	{name: "not logged in, as sampled", err: exits(1, sampled("az-logged-out")), away: true,
		want: []string{"nobody is logged in", "run az login"}},
	{name: "not logged in, behind a warning",
		err: exits(1, azWarning+"ERROR: Please run 'az login' to setup account.\r\n"), away: true,
		want: []string{`"ERROR: Please run 'az login' to setup account.": nobody is logged in`}},
	{name: "a login that is not enough",
		err:  exits(1, "ERROR: Interactive authentication is needed. Please run:\naz login --scope x\n"),
		want: []string{"run az login --scope x"}},
	{name: "a service principal without its secret", err: exits(1, sampled("az-service-principal")),
		verdict: failure.Later, want: []string{"was another az at work?"}},
	{name: "accounts that can't be read", err: exits(1, sampled("az-torn-profile")),
		verdict: failure.Later, want: []string{"az login"}},
	{name: "the broker is busy",
		err: exits(1, "ERROR: Winrt exception was thrown during GetTokenSilently '(pii)'.. Status: "+
			"Response_Status.Status_Unexpected, Error code: -2147023584, Tag: 590996738\nPlease "+
			"explicitly log in with:\naz login\n"), verdict: failure.Later,
		want: []string{"was another az at work?"}},
	{name: "no subscription", err: exits(1, sampled("az-no-subscription")),
		want: []string{"No subscription found", "run az account set --subscription"}},
	{name: "unknown subscription, behind a warning",
		err:  exits(1, azWarning+"ERROR: The subscription of 'x' doesn't exist in 'AzureCloud'.\n"),
		want: []string{`Azure CLI: "ERROR: The subscription of 'x' doesn't exist in 'AzureCloud'."`}},
	{name: "expired session", err: exits(1, azExpired), code: "AADSTS700082",
		want: []string{"inactive for 90.00:00:00. Interactive authentication is needed. Please run:",
			"error?code=700082",
			`az asks for az logout, then az login --tenant "x" --scope "https://vault.azure.net/.default"`}},
	{name: "another factor wanted, behind a warning",
		err:  exits(1, azWarning+azWantsMore+"az login --scope https://vault.azure.net/.default\n"),
		code: "AADSTS50076", want: []string{"error?code=50076",
			"az asks for az login --scope https://vault.azure.net/.default"}},
	{name: "an assertion out of time",
		err: exits(1, "ERROR: AADSTS700024: Client assertion is not within its valid time "+
			"range.\nTrace ID: 1\nInteractive authentication is needed. Please run:\naz login\n"),
		code: "AADSTS700024", want: []string{"valid time range. Interactive", "error?code=700024"}},
	{name: "Entra's own trouble", verdict: failure.Later, code: "AADSTS90033",
		err:  exits(1, "ERROR: AADSTS90033: A transient error has occurred. Please try again.\nTrace ID: 1\n"),
		want: []string{"error?code=90033 says what that means. It may pass by itself"}},
	{name: "a federation that is new", verdict: failure.Later, code: "AADSTS70021",
		err: exits(1, "ERROR: AADSTS70021: No matching federated identity record found for presented "+
			"assertion.\n"), want: []string{"It may pass by itself"}},
	{name: "advice that would run something else", code: "AADSTS50076",
		err:  exits(1, "ERROR: AADSTS50076: more\nPlease run:\naz login --scope x;reboot $(y)\n"),
		want: []string{"az asks for az login --scope x"}},
	{name: "no place to write, as sampled", err: exits(1, sampled("az-no-home")),
		want: []string{`"PermissionError: [Errno 13] Permission denied: ` +
			`'/home/dev/.azure/azureProfile.json'"`}},
	{name: "a broken configuration, as sampled", err: exits(1, sampled("az-config")),
		want: []string{`"configparser.MissingSectionHeaderError: File contains no section headers. ` +
			`file: '/home/dev/.azure/config', line: 1`}},
	{name: "without a word", err: exits(2, " \n"),
		want: []string{"az ended with exit status 2 and without a word"}},
	{name: "another system's error", err: errors.New("fork/exec /usr/bin/az: exec format error"),
		want: []string{"can't run az: fork/exec /usr/bin/az: exec format error"}},
	{name: "many lines and escapes", err: exits(1, nasty)},
	{name: "a book of digits", err: exits(1, "ERROR: AADSTS"+strings.Repeat("7", 5000)),
		code: "AADSTS7777777777", want: []string{"error?code=7777777777 says"}},
	{name: "a book", err: exits(1, strings.Repeat("complaint ", 6000)+"and its end"),
		want: []string{"complaint complaint", " … ", "and its end"}},
	{name: "offline, as sampled", err: exits(1, sampled("az-offline")), verdict: failure.Later,
		want: []string{"can az reach Entra from here?", "HTTPS_PROXY",
			"requests.exceptions.ConnectionError: ", "Temporary failure in name resolution"}},
	{name: "a proxy that isn't there, as sampled", err: exits(1, sampled("az-proxy")),
		verdict: failure.Later, want: []string{"can az reach Entra from here?",
			"requests.exceptions.ProxyError: ", "Network is unreachable"}},
	{name: "TLS intercepted",
		err: exits(1, "ERROR: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max "+
			"retries exceeded with url: /t/oauth2/token (Caused by SSLError(SSLCertVerificationError(1, "+
			"'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed certificate in "+
			"certificate chain (_ssl.c:1007)')))\n"), want: []string{"does a proxy intercept TLS here?"}},
}

const azdRefused = "fetching token: AADSTS90002: Tenant 'x' not found"

var azdFailures = []failed{
	{name: "not installed", err: command.ErrNotOnPath, away: true,
		want: []string{"azd is not installed, or not on PATH", "install-azd", "azd auth login"}},
	{name: "not logged in", away: true,
		err:  exits(1, azdMessage("\nERROR: not logged in, run `azd auth login` to login\n")),
		want: []string{"nobody is logged in", "run azd auth login", "ERROR: not logged in"}},
	{name: "not logged in, since 1.23.7", away: true, err: exits(1, azdMessage("\n")+
		azdError("fetching token: not logged in, run `azd auth login` to login")),
		want: []string{"nobody is logged in", "run azd auth login"}},
	{name: "not logged in, 2022", away: true,
		err:  exits(1, azdMessage("ERROR: not logged in, run `azd login` to login")),
		want: []string{"nobody is logged in"}},
	{name: "not logged in, looking for a tenant", away: true,
		err: exits(1, azdError("resolving the Azure Directory from system environment "+
			"(AZURE_SUBSCRIPTION_ID): not logged in, run `azd auth login` to login")),
		want: []string{"nobody is logged in"}},
	{name: "asks az, where nobody is logged in", away: true,
		err: exits(1, azdError("fetching token: AzureCLICredential: ERROR: Please run 'az login' to "+
			"setup account.\n")), want: []string{"nobody is logged in", "run az login"}},
	{name: "asks az, which isn't there", away: true,
		err:  exits(1, azdError("fetching token: AzureCLICredential: Azure CLI not found on path")),
		want: []string{"run az login"}},
	{name: "the secret of a login can't be read",
		err: exits(1, azdError("loading secret: open /home/dev/.azd/auth/x.bin: permission denied: "+
			"not logged in, run `azd auth login` to login")),
		want: []string{"permission denied", "run azd auth login"}},
	{name: "another login wanted", code: "AADSTS50076",
		err: exits(1, `{"error":"AADSTS50076: you must use multi-factor authentication.`+entraIDs+
			`","message":"Authentication with Azure failed.","suggestion":"reauthentication required, run `+
			"`azd auth login --scope https://vault.azure.net/.default`"+` to acquire a new token."}`+"\n"),
		want: []string{`multi-factor authentication."`,
			"azd asks for azd auth login --scope https://vault.azure.net/.default"}},
	{name: "the same, 2024",
		err: exits(1, azdMessage("fetching token: reauthentication required, run `azd auth login "+
			"--scope https://vault.azure.net/.default` to log in\n")),
		want: []string{"run azd auth login --scope https://vault.azure.net/.default"}},
	{name: "a dump of a response", code: "AADSTS90002",
		err: exits(1, azdError("fetching token: failed to authenticate: POST "+
			"https://login.microsoftonline.com/x/oauth2/v2.0/token\n"+strings.Repeat("-", 80)+
			"\nRESPONSE 400: 400 Bad Request\n"+strings.Repeat("-", 80)+
			"\n{\n  \"error\": \"invalid_request\",\n  \"error_description\": \"AADSTS90002: Tenant 'x' "+
			"not found. Trace ID: 0a\",\n  \"error_codes\": [\n    90002\n  ]\n}\n"+
			strings.Repeat("-", 80)+"\n")),
		want: []string{`"fetching token: failed to authenticate: POST ` +
			`https://login.microsoftonline.com/x/oauth2/v2.0/token, invalid_request: AADSTS90002: ` +
			`Tenant 'x' not found."`}},
	{name: "an unknown authority",
		err: exits(1, azdError("fetching token: tls: failed to verify certificate: x509: certificate "+
			"signed by unknown authority")), want: []string{"does a proxy intercept TLS here?"}},
	{name: "old shape", code: "AADSTS90002", err: exits(1, azdMessage("\nERROR: "+azdRefused+"\n\n")+
		azdMessage("Suggestion: reauthentication required")),
		want: []string{`"ERROR: ` + azdRefused + `"`, "error?code=90002"}},
	{name: "new shape", err: exits(1, azdError(azdRefused)), code: "AADSTS90002",
		want: []string{`"` + azdRefused + `"`, "azd auth login"}},
	{name: "new shape behind other messages", code: "AADSTS90002",
		err:  exits(1, azdMessage("\n")+azdMessage("updating")+azdError(azdRefused)),
		want: []string{`"` + azdRefused + `"`}},
	{name: "text", err: exits(1, "panic: oh\nno"), want: []string{`"panic: oh no"`}},
	{name: "without a word", err: exits(1, ""),
		want: []string{"azd ended with exit status 1 and without a word"}},
}

// azdFailuresTo are azd's on the way to Entra, in Go's words.
var azdFailuresTo = []string{
	"dial tcp: lookup login.microsoftonline.com: no such host",
	"read tcp 10.0.0.4:53124->20.190.151.7:443: read: connection reset by peer", "EOF",
	"context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
	"proxyconnect tcp: no route",
}

// failuresOf are all of a tool's.
func failuresOf(tool *Tool) []failed {
	if tool == AzureCLI {
		return azFailures
	}
	list := append([]failed{}, azdFailures...)
	for _, text := range azdFailuresTo {
		list = append(list, failed{name: text, verdict: failure.Later,
			err: exits(1, azdError("fetching token: failed to authenticate: Post "+
				`"https://login.microsoftonline.com/x/oauth2/v2.0/token": `+text)),
			want: []string{text, "can azd reach Entra from here?"}})
	}
	return list
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-t0k3n"
	for _, tool := range tools {
		for _, tt := range failuresOf(tool) {
			t.Run(tool.Program+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				f := &fake{answer: func(int) ([]byte, error) { return []byte(canary), tt.err }}
				got := f.client(t, tool, Options{}).get(t.Context(), acquire.Request{Once: true})
				if got.Failure == nil {
					t.Fatal("got a token")
				}
				reason, verdict := failure.NoReason, tt.verdict
				if tt.away {
					reason, verdict = failure.Unavailable, failure.Later
				}
				if got.Reason != reason || got.Verdict != verdict || got.Code != tt.code ||
					got.Resource != vault || got.Attempts != 1 || got.StatusCode != 0 {
					t.Errorf("got %+v, want reason %v, verdict %v, code %q", got.Failure, reason, verdict,
						tt.code)
				}
				text := got.Error()
				wantText(t, got, append([]string{vault, "1 attempt", tool.Name}, tt.want...)...)
				if text != redact.Printable(text) || len(text) > 1200 {
					t.Errorf("not one printable line: %q", text)
				}
				if strings.Contains(fmt.Sprintf("%v %+v", text, got.Failure), canary) {
					t.Errorf("it shows standard output: %+v", got.Failure)
				}
			})
		}
	}
}

// TestLogins: the command in a hint is the one that helps.
func TestLogins(t *testing.T) {
	t.Parallel()
	for tool, tt := range map[*Tool]struct{ stderr, login string }{
		AzureCLI: {"ERROR: Please run 'az login' to setup account.", "az login --tenant "},
		AzureDeveloperCLI: {azdError("not logged in, run `azd auth login` to login"),
			"azd auth login --tenant-id "},
	} {
		f := &fake{answer: func(int) ([]byte, error) { return nil, exits(1, tt.stderr) }}
		c := f.client(t, tool, Options{Tenants: check.Tenants{Own: homeTenant}})
		wantText(t, c.get(t.Context(), acquire.Request{}), "run "+tt.login+homeTenant)
		wantText(t, c.get(t.Context(), acquire.Request{Variant: acquire.Variant{Tenant: otherTenant}}),
			"run "+tt.login+otherTenant)
		asked := strings.TrimSuffix(tt.login, tool.tenant+" ") + "--scope x"
		said := complaint{login: asked}
		if got, want := c.loginAsked("", said), asked+" "+tool.tenant+" "+homeTenant; got != want {
			t.Errorf("it asks for a login, want %q: got %q", want, got)
		}
		said.login, said.logout = asked+" "+tool.tenant+" x", "az logout, then "
		if got, want := c.loginAsked("", said), said.logout+said.login; got != want {
			t.Errorf("it asks for a login to a tenant, want %q: got %q", want, got)
		}
		for tenant, login := range map[string]string{
			"": tt.login + homeTenant, otherTenant: tt.login + otherTenant,
		} {
			what, hint := c.Challenged(tenant, rejectedClaims)
			if want := "run " + login + " --claims-challenge " + base64.StdEncoding.EncodeToString(
				[]byte(rejectedClaims)) + " and try again"; what != moreOfTheLogin || hint != want {
				t.Errorf("a challenge: got %q, %q, want %q", what, hint, want)
			}
		}
	}
}

// TestFailedClaims: of azd's failures only those of the login are told as that.
func TestFailedClaims(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		away bool
		want []string
	}{
		"a second factor": {
			err: exits(1, azdError("fetching token: AADSTS50076: you must use multi-factor authentication")),
			want: []string{moreOfTheLogin, "AADSTS50076",
				"run azd auth login --tenant-id " + homeTenant + " and try again"}},
		"reauthentication": {err: exits(1, azdError("reauthentication required")),
			want: []string{moreOfTheLogin, "run azd auth login --tenant-id " + homeTenant}},
		"an old azd": {err: exits(1, "Error: unknown flag: --claims"),
			want: []string{moreOfTheLogin, "update azd", "1.18.1"}},
		"offline": {err: exits(1, azdError(`fetching token: Get "https://login.microsoftonline.com/x": `+
			`dial tcp: lookup login.microsoftonline.com: no such host`)),
			want: []string{"can azd reach Entra from here?"}},
		"Entra's own trouble": {
			err:  exits(1, azdError("fetching token: AADSTS90033: A transient error has occurred.")),
			want: []string{"It may pass by itself"}},
		"not installed": {err: command.ErrNotOnPath, away: true, want: []string{"not installed"}},
		"nobody is logged in": {err: exits(1, azdError("not logged in, run `azd auth login`")),
			want: []string{moreOfTheLogin}},
	} {
		f := &fake{answer: func(int) ([]byte, error) { return nil, tt.err }}
		got := f.client(t, AzureDeveloperCLI, Options{Tenants: check.Tenants{Own: homeTenant}}).
			get(t.Context(), acquire.Request{Claims: rejectedClaims})
		wantText(t, got, tt.want...)
		if got.Failure != nil && (got.Reason == failure.Unavailable) != tt.away {
			t.Errorf("%s: the reason is %v", name, got.Reason)
		}
		if encoded := base64.StdEncoding.EncodeToString([]byte(rejectedClaims)); strings.Contains(
			fmt.Sprintf("%+v", got.Failure), encoded) {
			t.Errorf("%s: the claims are in the error, which is logged: %v", name, got)
		}
	}
}

// TestToolsReasonIsRedacted: what is taken out of a reason for people may leave the name of a
// secret beside its value.
func TestToolsReasonIsRedacted(t *testing.T) {
	t.Parallel()
	c := &Client{Tool: AzureCLI}
	f := c.failure(acquire.Request{}, time.Now())
	c.explain(f, acquire.Request{}, &command.ExitError{Code: 1},
		complaint{reason: "access_token = QJX7VBK2"}, 0)
	if want := "access_token = " + redact.Mark; f.Message != want {
		t.Errorf("the message is %q, want %q", f.Message, want)
	}
}
