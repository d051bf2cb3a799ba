package identity

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// slowlyReads are all that a text reads as under at most two layers of escapes, each of one kind.
func slowlyReads(text string) []string {
	all := []string{text}
	for range 2 {
		for _, before := range slices.Clone(all) {
			for _, decode := range []func(string) string{html.UnescapeString, decodeJSON, decodeURL, func(s string) string { return decodeURL(strings.ReplaceAll(s, "+", " ")) }} {
				all = append(all, decode(before))
			}
		}
	}
	return all
}

// slowlyShows reports whether a text has a secret in it, or 12 bytes of it, in any reading: by
// looking for each piece.
func slowlyShows(text, secret string) bool {
	for _, reading := range slowlyReads(text) {
		if strings.Contains(reading, secret) {
			return true
		}
		for i := 0; i+12 <= len(secret); i++ {
			if strings.Contains(reading, secret[i:i+12]) {
				return true
			}
		}
	}
	return false
}

// TestSecretIndex compares with what takes longer, for several secrets at once: the same are found.
func TestSecretIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int, parts ...string) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return b.String()
	}
	shared, pairs := 0, 0
	for range 2000 {
		secrets := []string{text(60, "a", "b"), text(60, "a", "b", "+", "<", `\`, "世"), text(10, "a", "b", " ")}
		said := text(80, "a", "b", "a", "b", "%61", `\u0062`, "&lt;", "%2561", `\\`, "+", "世", `\u4e16`)
		index := newSecretIndex(secrets)
		var want []string
		for _, secret := range secrets {
			if secret = strings.TrimSpace(secret); secret != "" && !slices.Contains(want, secret) && slowlyShows(said, secret) {
				want = append(want, secret)
			}
		}
		var got []string
		for _, i := range index.search(said, 100) {
			got = append(got, index.secrets[i])
		}
		// A piece that two secrets have in common is found as one's.
		for _, secret := range got {
			if !slices.Contains(want, secret) {
				t.Fatalf("%q in %q: found %q, want %q", secrets, said, got, want)
			}
		}
		if (len(want) > 0) != (len(got) > 0) {
			t.Fatalf("%q in %q: found %q, want %q", secrets, said, got, want)
		}
		pairs++
		if len(want) > 0 {
			shared++
		}
	}
	if shared < pairs/10 || shared > pairs*9/10 {
		t.Errorf("%d of %d texts have a secret: this test would see little", shared, pairs)
	}
}

// innocent are texts of az, azd, Entra and the hosts that say what is wrong and hold nothing to
// hide, some with the names of fields that often do. The IDs in them are made up.
var innocent = []string{
	"Traceback (most recent call last):\n  File \"/opt/az/lib/python3.12/site-packages/azure/cli/command_modules/profile/custom.py\", line 76, in get_access_token\n    creds, subscription, tenant = profile.get_raw_token(subscription=subscription, resource=resource, scopes=scopes, tenant=tenant)\n  File \"/opt/az/lib/python3.12/site-packages/azure/cli/core/_profile.py\", line 383, in get_raw_token\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /organizations/v2.0/.well-known/openid-configuration (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused'))",
	"  File \"/usr/lib/python3/dist-packages/msal/application.py\", line 1422, in acquire_token_silent_with_error\n    result = self._acquire_token_silent_from_cache_and_possibly_refresh_it(\n  File \"/usr/lib/python3/dist-packages/msal/token_cache.py\", line 120, in find\nPermissionError: [Errno 13] Permission denied: '/root/.azure/msal_token_cache.json'",
	"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.",
	"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login",
	"ERROR: Please run 'az login' to setup account.",
	"Interactive authentication is needed. Please run: az login --scope https://vault.azure.net/.default",
	"Run the command below to authenticate interactively; additional arguments may be added as needed:\naz logout\naz login --tenant \"77777777-2222-4333-8444-555555555555\" --scope \"https://graph.microsoft.com/.default\"",
	"az account get-access-token --resource https://vault.azure.net --output json",
	"ERROR: Winrt exception was thrown during GetTokenSilently '(pii)'.. Status: Response_Status.Status_Unexpected, Error code: -2147023584, Tag: 590996738",
	"Get Token request returned http error: 400, reason: Bad Request",
	"ERROR: fetching token: AADSTS50020: User account from identity provider does not exist in tenant",
	"ERROR: fetching token: failed to authenticate: not logged in, run `azd auth login` to login",
	`ERROR: fetching token: Get "https://login.microsoftonline.com/common/oauth2/v2.0/token": dial tcp: lookup login.microsoftonline.com: no such host`,
	"AADSTS900144: The request body must contain the following parameter: 'refresh_token'.",
	"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
	"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '77777777-2222-4333-8444-555555555555'.",
	"AADSTS7000222: The provided client secret keys for app '77777777-2222-4333-8444-555555555555' are expired.",
	"AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-01T00:00:00.0Z, assertion valid from 2026-01-01T00:00:00.0Z, expiry time of assertion 2026-01-01T00:00:00.0Z.",
	"AADSTS700027: Client assertion contains an invalid signature. [Reason - The key was not found., Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '77777777-2222-4333-8444-555555555555'.]",
	"AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:default:workload'. Please note that the match is case-sensitive.",
	"AADSTS700212: No matching federated identity record found for presented assertion audience 'api://AzureADTokenExchange'.",
	"AADSTS700016: Application with identifier '77777777-2222-4333-8444-555555555555' was not found in the directory 'Contoso'.",
	"AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '2026-01-01T00:00:00.0Z'.",
	"AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on 2026-01-01T00:00:00.0Z and the maximum allowed lifetime for this request is 3600.",
	"AADSTS500011: The resource principal named https://vault.azure.net/x was not found in the tenant named Contoso. Trace ID: 77777777-2222-4333-8444-555555555555",
	`{"error":"invalid_request","error_description":"Identity not found"}`,
	`{"error":"unsupported_grant_type","error_description":"grant_type=refresh_token is not supported"}`,
	`{"error":{"code":"InvalidAuthenticationToken","message":"The access token is invalid."}}`,
	"InvalidAuthenticationToken: The access token is invalid.",
	`{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.","correlationId":"77777777-2222-4333-8444-555555555555"}`,
	`{"statusCode":500,"message":"An unexpected error occured while fetching the AAD Token.","correlationId":"c"}`,
	`{"error":{"code":"SecretHeaderNotFound","message":"Secret is not found in the request headers."}}`,
	"Required metadata header not specified or not correct",
	"connecting to 169.254.169.254:80: connecting to 169.254.169.254:80: dial tcp 169.254.169.254:80: connectex: A socket operation was attempted to an unreachable network.",
	`Bearer authorization="https://login.microsoftonline.com/77777777-2222-4333-8444-555555555555", resource="https://vault.azure.net"`,
	`Bearer error="invalid_token", error_description="The token expired"`,
	"Basic realm=/var/opt/azcmagent/tokens/77777777-2222-4333-8444-555555555555.key",
	"open /var/run/secrets/azure/tokens/azure-identity-token: permission denied",
	"open C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\a.key: Access is denied.",
	"the token in /var/run/secrets/azure/tokens/azure-identity-token has expired",
	"token_type is \"pop\", want Bearer", "Bearer token was not found", "can't parse the token: it has 2 parts",
	`{"access_token":"","expires_in":0,"refresh_token":null}`,
	"GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net", "POST https://login.microsoftonline.com/common/oauth2/v2.0/token",
	"/subscriptions/77777777-2222-4333-8444-555555555555/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n",
	"fetching token: AzureCLICredential: ERROR: Please run 'az login' to setup account.",
	"can't get a token: DefaultAzureCredential failed to retrieve one", "fetching token: requests.exceptions.ConnectionError: offline",
	"invalid_token: the token has expired", `{"error":"invalid_token","Message":"it has expired"}`, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
	"100% wrong & 5 < 6, isn't it? \\o/ C:\\temp\\new", "signature: ok", "tokens: 3", "a secret: nobody knows", "",
}

func TestInnocentTextsStay(t *testing.T) {
	t.Parallel()
	for _, body := range recorded(t) {
		if got := redact(body, "the-secret-of-a-host"); got != body {
			t.Errorf("%s\nbecomes\n%s", body, got)
		}
	}
	for _, text := range innocent {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{text, string(quoted), html.EscapeString(text)} {
			if got := redact(text, "the-secret-of-a-host"); got != text {
				t.Errorf("%s\nbecomes\n%s", text, got)
			}
		}
	}
}

// fieldNames are those that hold secrets, as hosts, Entra, tools and SDKs spell them.
var fieldNames = []string{
	"access_token", "accessToken", "AccessToken", "ACCESS_TOKEN", "access-token", "refresh_token", "refreshToken", "id_token", "idToken", "token", "Token", "sas_token", "sasToken", "msiAccessToken",
	"client_secret", "clientSecret", "client-secret", "secret", "Secret", "MSI_SECRET", "AZURE_CLIENT_SECRET", "client_assertion", "clientAssertion", "assertion",
	"password", "AZURE_PASSWORD", "passwd", "pwd", "X-IDENTITY-HEADER", "IDENTITY_HEADER", "identityHeader", "AccountKey", "account_key", "SharedAccessKey", "api-key", "apiKey", "connectionString",
	"Authorization", "authorization", "Proxy-Authorization", "x-ms-token-aad-access-token", "access_token2", "sig",
}

// fieldForm is a way in which a field and its value stand in a text.
type fieldForm struct {
	name  string
	words bool // only for values of the characters of tokens
	write func(name, value string) string
}

func jsonOf(v any) string {
	quoted, _ := json.Marshal(v) // strings always can be
	return string(quoted)
}

// pythonOf is a string as Python's repr writes it.
func pythonOf(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

func fieldJSON(name, value string) string { return jsonOf(map[string]string{name: value, "zone": "1"}) }

var fieldForms = []fieldForm{
	{"JSON", false, fieldJSON},
	{"JSON with blanks", false, func(name, value string) string { return "{\n  " + jsonOf(name) + " : \n" + jsonOf(value) + "\n}" }},
	{"JSON with slashes escaped", false, func(name, value string) string { return strings.ReplaceAll(fieldJSON(name, value), "/", `\/`) }},
	{"JSON in JSON", false, func(name, value string) string { return jsonOf(map[string]string{"message": fieldJSON(name, value)}) }},
	{"JSON in JSON in JSON", false, func(name, value string) string {
		return jsonOf(map[string]string{"message": jsonOf(map[string]string{"inner": fieldJSON(name, value)})})
	}},
	{"a list in JSON", false, func(name, value string) string { return jsonOf(map[string][]string{name: {value, "x"}}) }},
	{"an object in JSON", false, func(name, value string) string { return jsonOf(map[string]map[string]string{name: {"value": value}}) }},
	{"JSON in HTML", false, func(name, value string) string { return html.EscapeString(fieldJSON(name, value)) }},
	{"JSON in a query", false, func(name, value string) string { return "?x=" + url.QueryEscape(fieldJSON(name, value)) }},
	{"JSON in a query twice", false, func(name, value string) string { return url.QueryEscape(url.QueryEscape(fieldJSON(name, value))) }},
	{"JSON in Go's quotes", false, func(name, value string) string { return fmt.Sprintf("%q", fieldJSON(name, value)) }},
	{"a form", false, func(name, value string) string {
		return "grant_type=x&" + url.Values{name: {value}}.Encode() + "&zone=1"
	}},
	{"a form in a query", false, func(name, value string) string {
		return "body=" + url.QueryEscape(url.Values{name: {value}, "zone": {"1"}}.Encode())
	}},
	{"a form in JSON", false, func(name, value string) string { return jsonOf("POST x?" + url.Values{name: {value}}.Encode()) }},
	{"a URL", false, func(name, value string) string {
		return `Get "https://x.example/a?` + url.Values{name: {value}}.Encode() + `": EOF`
	}},
	{"a URL in HTML", false, func(name, value string) string {
		return html.EscapeString("<a href='/a?b=c&" + name + "=" + url.QueryEscape(value) + "&d=e'>")
	}},
	{"Python", false, func(name, value string) string { return "{" + pythonOf(name) + ": " + pythonOf(value) + ", 'zone': 1}" }},
	{"Python's bytes", false, func(name, value string) string { return "{" + pythonOf(name) + ": b" + pythonOf(value) + "}" }},
	{"Python in JSON", false, func(name, value string) string { return jsonOf("{" + pythonOf(name) + ": " + pythonOf(value) + "}") }},
	{"a Python call", false, func(name, value string) string {
		return "f(" + strings.ReplaceAll(name, "-", "_") + "=" + pythonOf(value) + ", x=1)"
	}},
	{"Python's pairs", false, func(name, value string) string {
		return "[(" + pythonOf(name) + ", " + pythonOf(value) + "), ('x', 'y')]"
	}},
	{"a Python variable", false, func(name, value string) string { return "result['" + name + "'] = " + pythonOf(value) }},
	{"Go's %#v", false, func(name, value string) string { return fmt.Sprintf("%#v", map[string]string{name: value}) }},
	{"Go's %#v of values", false, func(name, value string) string { return fmt.Sprintf("%#v", url.Values{name: {value, "x"}}) }},
	{"Go's %v", true, func(name, value string) string { return fmt.Sprint(map[string]string{name: value, "zone": "1"}) }},
	{"Go's %v of a header", true, func(name, value string) string { return fmt.Sprint(http.Header{name: {value}, "Zone": {"1"}}) }},
	{"Go's %+v of a struct", true, func(name, value string) string { return "{Zone:1 " + name + ":" + value + " Other:2}" }},
	{"a header", true, func(name, value string) string { return "> Zone: 1\r\n> " + name + ": " + value + "\r\n> Other: 2" }},
	{"a variable", true, func(name, value string) string { return name + "=" + value + "\nzone=1" }},
	{"an assignment", true, func(name, value string) string { return "let " + name + " := " + value + "; zone" }},
	{"Ruby", false, func(name, value string) string { return "{" + jsonOf(name) + "=>" + jsonOf(value) + "}" }},
	{"YAML", true, func(name, value string) string { return "a: b\n" + name + ": " + value + "\nzone: 1" }},
	{"YAML on two lines", true, func(name, value string) string { return name + ":\n  " + value + "\nzone: 1" }},
	{"YAML in a block", true, func(name, value string) string { return name + ": |\n  " + value + "\nzone: 1" }},
	{"YAML in a folded block", true, func(name, value string) string { return name + ": >-\r\n  " + value + "\r\nzone: 1" }},
	{"a name and a value in JSON", false, func(name, value string) string {
		return `[{"name": ` + jsonOf(name) + `, "value": ` + jsonOf(value) + `, "zone": 1}]`
	}},
	{"a name and a value in JSON in JSON", false, func(name, value string) string {
		return jsonOf(map[string]string{"message": `[{"Name":` + jsonOf(name) + `,"Value":` + jsonOf(value) + `}]`})
	}},
	{"JSON in JavaScript", false, func(name, value string) string {
		return strings.NewReplacer(`"`, `\x22`, `'`, `\x27`, `\`, `\x5c`, "=", `\x3D`).Replace(fieldJSON(name, value))
	}},
	{"several in JSON", false, func(name, value string) string { return jsonOf(map[string][]string{name + "s": {value, value}}) }},
	{"XML", true, func(name, value string) string { return "<a><" + name + ">" + value + "</" + name + "></a>" }},
	{"an input in HTML", false, func(name, value string) string {
		return `<input type="hidden" name="` + name + `" value="` + html.EscapeString(value) + `" />`
	}},
	{"an option", true, func(name, value string) string { return "az login --" + name + " " + value + " --tenant t" }},
	{"an option with an equals sign", true, func(name, value string) string { return "az login --" + name + "=" + value + " --tenant t" }},
	{"an option in quotes", false, func(name, value string) string { return "az login --" + name + " " + jsonOf(value) + " --tenant t" }},
	{"a connection string", true, func(name, value string) string {
		return "Endpoint=sb://x.example/;" + name + "=" + value + ";EntityPath=e"
	}},
}

// suits reports whether the name can stand so without another meaning.
func (e fieldForm) suits(name string) bool {
	switch lower := strings.ToLower(name); {
	case lower == "sig": // a signature in a query; elsewhere it may be anything
		return strings.Contains(e.name, "JSON") || strings.Contains(e.name, "form") || strings.Contains(e.name, "URL")
	}
	return true
}

func secretText(random *rand.Rand, alphabet string) string {
	var b strings.Builder
	for range 1 + random.IntN(20) {
		b.WriteByte(alphabet[random.IntN(len(alphabet))])
	}
	return "QJX7" + b.String() + "VBK2"
}

const (
	tokenAlphabet = "ABCabc0123456789-._~+/"
	anyAlphabet   = tokenAlphabet + "=!\"#$%&'()*,:;<>?@[\\]^`{|} u00022525"
)

// checkHidden checks that neither end of a marked value can be read in a text.
func checkHidden(t *testing.T, what, text string) {
	t.Helper()
	got := redact(text)
	for _, read := range slowlyReads(got) {
		if strings.Contains(read, "QJX7") || strings.Contains(read, "VBK2") {
			t.Errorf("%s: %s\nbecomes\n%s", what, text, got)
			return
		}
	}
	if again := redact(got); again != got {
		t.Errorf("%s: %q becomes %q when looked at again", what, got, again)
	}
}

// TestFieldsAreHidden: a value is not seen, whatever the field's name, the text around it, and the
// characters in it.
func TestFieldsAreHidden(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, e := range fieldForms {
		for _, name := range fieldNames {
			if !e.suits(name) {
				continue
			}
			for range 10 {
				alphabet := tokenAlphabet
				if !e.words && random.IntN(2) == 0 {
					alphabet = anyAlphabet
				}
				value := secretText(random, alphabet)
				if strings.HasSuffix(strings.ToLower(name), "authorization") && random.IntN(2) == 0 {
					value = []string{"Bearer ", "Basic ", "SharedKey ", "Negotiate "}[random.IntN(4)] + value
				}
				checkHidden(t, e.name, e.write(name, value))
			}
		}
	}
	for _, text := range []string{
		"Bearer QJX7abcVBK2", "bearer: QJX7abcVBK2", "sent Bearer+QJX7abcVBK2", "https://QJX7:VBK2@x.example/", "proxy http://QJX7VBK2@10.0.0.1:3128 failed",
		`{"access_token":"QJX7 cut in the middle VBK2`, "access_token='QJX7 cut VBK2", `{"access_token":["QJX7","VBK2`, `access_token=QJX7\nVBK2`,
		"access_token = QJX7VBK2", "access_token : QJX7VBK2", "the token: QJX7VBK2.", "token=QJX7VBK2", `"token" : "lowercase QJX7VBK2"`, `access_token=SecretStr("QJX7 VBK2")`,
		"-----BEGIN PRIVATE KEY-----\nQJX7a+/=\nVBK2\n-----END PRIVATE KEY-----\n", `{"pem":"-----BEGIN RSA PRIVATE KEY-----\nQJX7\nVBK2\n`,
	} {
		checkHidden(t, "by itself", text)
	}
}

// FuzzFields: the same with texts around it that others wrote.
func FuzzFields(f *testing.F) {
	for i := range 6 {
		for j, around := range []string{"", `\`, `"`, "'", "%", "%2", "&", `{"message":"`, "access_token=", `token="`, "token='", "token=(", "token=[\"", `\u002`, "Bearer ", "://", "REDACTED", "token=REDACTED", "token: ", "世\xff"} {
			f.Add(around, "a'b", "\"}", byte(7*i+j), byte(i+j))
			f.Add("x ", around, around, byte(5*i+j), byte(11*i+j))
		}
	}
	f.Fuzz(func(t *testing.T, before, middle, behind string, which, named byte) {
		e, name := fieldForms[int(which)%len(fieldForms)], fieldNames[int(named)%len(fieldNames)]
		if len(before)+len(middle)+len(behind) > maxRedacted/8 || strings.Contains(before+middle+behind, "QJX7") || strings.Contains(before+middle+behind, "VBK2") || !e.suits(name) {
			t.Skip()
		}
		middle = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f || e.words && !strings.ContainsRune(tokenAlphabet, r) {
				return 'x'
			}
			return r
		}, middle)
		text := e.write(name, "QJX7"+middle+"VBK2")
		if isNameByte(text[0]) && strings.ContainsAny(before[max(len(before)-6, 0):], `%\&`) {
			before += " " // or the name's first letters may be a piece of an escape
		}
		checkHidden(t, e.name, before+text+behind)
	})
}

// hardTexts are those that take the longest to look into, per byte.
var hardTexts = map[string]string{
	"escapes of JSON": `\u0041`, "backslashes": `\`, "escapes of URLs": "%41", "escapes in escapes": "%2541", "escapes of HTML": "&lt;", "ampersands": "&", "plus signs": "+",
	"all escapes": `\u0041 %41 &lt; \" + plain `, "a word": "a", "fields": "token=", "fields with brackets": "token=(", "fields with quotes": "token='", "fields that were hidden": "token=REDACTED(",
	"names in a row": "token-", "names in quotes": "'token','", "words for tokens": "bearer+", "heads of JWTs": "eyJhbGciOiJ", "heads of URLs": "://a", "a secret's head": "0123456789a",
}

// TestRedactIsLinear: 64 times the text takes about 64 times as long, and a text beyond what is
// looked into not much longer, whoever writes the text, the secrets and both. A square would be
// 4096 times as long.
func TestRedactIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	const most = 1000
	fastest := func(do func()) time.Duration {
		best := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			do()
			best = min(best, time.Since(start))
		}
		return best
	}
	for name, piece := range hardTexts {
		of := func(n int) string { return strings.Repeat(piece, n/len(piece)+1)[:n] }
		small, large, huge := of(maxRedacted/64), of(maxRedacted), of(1<<20)
		tokenOf := func(n int) string { return strings.Repeat("0123456789b", n/11+1)[:n] }
		base := fastest(func() { redact(small, tokenOf(maxRedacted/64)) })
		if got := fastest(func() { redact(large, tokenOf(maxRedacted)) }); got > most*base {
			t.Errorf("%s: 64 times as much takes %d times as long", name, got/base)
		}
		if got := fastest(func() { redact(huge, tokenOf(maxRedacted)) }); got > most*base {
			t.Errorf("%s: a megabyte takes %d times as long as 1 KiB", name, got/base)
		}
		// The token itself, repeated.
		base = fastest(func() { _ = checkToken(small, small, "access_token") })
		if got := fastest(func() { _ = checkToken(large, large, "access_token") }); got > most*base {
			t.Errorf("%s as the token and its type: 64 times as much takes %d times as long", name, got/base)
		}
	}
	var few, many []string // secrets, as an endpoint's query may have
	for i := range 8000 {
		if many = append(many, fmt.Sprintf("secret%05d", i)); i < 125 {
			few = append(few, many[i])
		}
	}
	text := strings.Repeat("%41 no secret ", maxRedacted/14)
	base := fastest(func() { redact(text, few...) })
	if got := fastest(func() { redact(text, many...) }); got > most*base {
		t.Errorf("64 times as many secrets take %d times as long", got/base)
	}
	values := func(n int) http.Header {
		h := http.Header{}
		for range n {
			h.Add("X", "no secret")
		}
		return h
	}
	long := []string{strings.Repeat("0123456789", 10_000)}
	base = fastest(func() { headerWithout(values(25), long) })
	if got := fastest(func() { headerWithout(values(1600), long) }); got > most*base {
		t.Errorf("64 times as many values of headers take %d times as long", got/base)
	}
}

// BenchmarkRedact is of a megabyte, of which 64 KiB are looked into, with a secret of a kilobyte.
func BenchmarkRedact(b *testing.B) {
	secret := randomText("benchmark", 1000)
	for name, piece := range hardTexts {
		text := strings.Repeat(piece, 1<<20/len(piece))
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				redact(text, secret)
			}
		})
	}
}

// TestHeadersOfSecretsAreHidden: a header is a field, too, whose name is known.
func TestHeadersOfSecretsAreHidden(t *testing.T) {
	t.Parallel()
	got := headerWithout(http.Header{"Authorization": {"x", "Bearer y"}, "X-Ms-Token-Aad-Access-Token": {"x"}, "X-Identity-Header": {"x"}, "Secret": {"x"}, "Server": {"Kestrel"}, "Set-Cookie": {"access_token=x; Path=/"}}, nil)
	want := http.Header{"Authorization": {redacted, redacted}, "X-Ms-Token-Aad-Access-Token": {redacted}, "X-Identity-Header": {redacted}, "Secret": {redacted}, "Server": {"Kestrel"}, "Set-Cookie": {"access_token=REDACTED; Path=/"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLongTextsAreCut: beyond what is looked into nothing is shown, nor the head of a secret that
// the cut leaves.
func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	const secret = "0123456789"
	for shift := range 12 {
		for _, write := range []func(string) string{func(s string) string { return s }, everyByte(`\u%04x`), everyByte("%%25%02X")} {
			written := write(secret)
			text := strings.Repeat("x", maxRedacted-len(written)*shift/12) + written
			got := redact(text+strings.Repeat("y", maxRedacted), secret)
			for _, read := range slowlyReads(got) {
				if strings.Contains(read, "0") || strings.Contains(read, "y") {
					t.Fatalf("%d bytes end in %q", len(got), got[len(got)-100:])
				}
			}
			if len(got) < maxRedacted/2 || !strings.HasSuffix(got, "x…") {
				t.Errorf("%d bytes of %d are left", len(got), len(text))
			}
		}
	}
}
