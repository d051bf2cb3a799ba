package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
)

// cliOf is the part of a developer's credential that runs the tool.
func toolSourceOf(tb testing.TB, cred azcore.TokenCredential) *toolSource {
	tb.Helper()
	switch c := cred.(type) {
	case *AzureCLICredential:
		return c.source.(*toolSource)
	case *AzureDeveloperCLICredential:
		return c.source.(*toolSource)
	}
	tb.Fatalf("%T runs no tool", cred)
	return nil
}

var toolRefusals = regexp.MustCompile(`^(azd? printed no JSON object with a token|the token ` +
	`response has no (accessToken|token)|the (accessToken|token) contains characters that no token has|` +
	`token_type is ("[^\n]*"), want Bearer|azd? doesn't say when the token expires: [a-zA-Z_, ` +
	`']+|the token expired at [0-9TZ:-]+, [0-9a-z.µ]+ ago)$`)

// toolOutputs are what az and azd may print, and what they don't.
func toolOutputs() []string {
	const month = `"expiresOn":"2017-02-01 00:00:00.000000"`
	return []string{
		`{"accessToken":"t",` + month + `,"expires_on":1485907200,"subscription":"` + guid +
			`","tenant":"` + homeTenant + `","tokenType":"Bearer"}`,
		`{"accessToken":"t",` + month + `,"subscription":"s","tenant":"t","tokenType":"Bearer"}`,
		`{"accessToken":"t","expiresOn":"2017-02-01 00:00:00","tokenType":"Bearer"}`,
		"\x1b[0m{\n  \"accessToken\": \"t\",\r\n  \"expires_on\": \"1485907200\"\r\n}\r\n",
		`{"accessToken":"` + jwtOf(`{"exp":1485907200}`) + `","expiresOn":"N/A"}`,
		`{"accessToken":"t","expiresOn":null}`,
		`{"accessToken":"0123456789","tokenType":"x0123456789x","expires_on":1485907200}`,
		`{"accessToken":"a","ACCESSTOKEN":null,"expires_on":1485907200}`, `{"accessToken":7}`,
		`{"accessToken":"t\r\nX-Evil: 1"}`,
		`{"token":"t","expiresOn":"2017-02-01T00:00:00Z"}`,
		`{"token":"t","expiresOn":"2017-02-01T02:00:00.5+02:00"}`,
		`{"token":"` + jwtOf(`{"exp":1483412644}`) + `","expiresOn":"2017-02-01T00:00:00Z"}`,
		`{"token":"t","expiresOn":"2016-02-01T00:00:00Z"}`, `{"token":"t","expiresOn":1485907200}`,
		`{"token":null}`, "WARNING: You have 2 updates available.\n{}",
		"\ufeff" + `{"accessToken":"t","expires_on":1485907200}` + "\x1b[0m",
		`{"token":"t","expiresOn":"2017-02-01T00:00:00Z"}` + "\nnotice {",
		`{"x":{"accessToken":"inner"},"accessToken":"t","expires_on":1485907200}`,
		"WARNING: {\"a\n" + `{"accessToken":"t","expires_on":1485907200}`,
		`{"accessToken":7,"token":7}{"accessToken":"t","expires_on":1485907200,"token":"t",` +
			`"expiresOn":"2017-02-01T00:00:00Z"}`, strings.Repeat("{", 300), strings.Repeat(`{"a":`, 300),
		"", "null", "1E1000", "[]", "<html>",
	}
}

func toolComplaints(tb testing.TB) []string {
	return []string{
		sampled(tb, "az-offline"), sampled(tb, "az-config"), sampled(tb, "az-torn-profile"),
		sampled(tb, "az-torn-cache"), sampled(tb, "az-service-principal"), sampled(tb, "az-no-home"),
		"ERROR: AADSTS50076: more\nPlease run:\naz logout\naz login --tenant \"t\" --scope " +
			"\"https://vault.azure.net/.default\"; reboot\n",
		"ERROR: User 'x' does not exist in MSAL token cache. Run `az login`.",
		"ERROR: x. Status: Response_Status.Status_Unexpected, Error code: 1, Tag: 2\nPlease explicitly " +
			"log in with:\naz login",
		azdError("failed to authenticate: POST https://x\n--------\nRESPONSE " +
			"400\n--------\n{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS70043: expired\"}\n"),
		"ERROR: Please run 'az login' to setup account.\r\n",
		"ERROR: No subscription found. Run 'az account set' to select a subscription.",
		"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login",
		"\x1b[31mERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in " +
			"frequency checks by conditional access.\x1b[0m\r\nTrace ID: t\r\nCorrelation ID: " +
			"c\r\nTimestamp: 2026-01-02 03:04:05Z\r\nInteractive authentication is needed. Please " +
			"run:\r\naz login --scope https://vault.azure.net/.default\r\n",
		"ERROR: AADSTS65001: The user or administrator has not consented to use the application with ID '" + guid + "'. Send an interactive authorization request for this user and resource.",
		"ERROR: AADSTS50076: Due to a configuration change made by your administrator, you must use " +
			"multi-factor authentication to access '" + guid + "'.",
		"ERROR: AADSTS500011: The resource principal named https://nope.example was not found in the " +
			"tenant named Contoso.",
		"ERROR: AADSTS" + strings.Repeat("7", 300),
		"'az' is not recognized as an internal or external command,\r\noperable program or batch file.",
		"/bin/sh: 1: az: not found", "az: python3: command not found",
		"ERROR: The command failed with an unexpected error. Here is the traceback:\nTraceback (most " +
			"recent call last):\n  File \"x.py\", line 1, in <module>\nPermissionError: [Errno 13] " +
			"Permission denied: '/home/u/.azure/msal_token_cache.json'",
		"DEBUG: urllib3: {\"token_type\":\"Bearer\",\"access_token\":\"t\"}",
		azdMessage("\nERROR: not logged in, run `azd auth login` to login\n"),
		azdMessage("\n") + azdError("not logged in"), azdError("fetching token: AADSTS70043: expired"),
		azdError("reauthentication required, run `azd auth login --scope " +
			"https://vault.azure.net/.default` to sign in"), azdMessage("updating") +
			"{\"error\":", "Error: unknown flag: --claims", "{}\n{}\n", "null\n", nasty, " \n", "",
	}
}

// FuzzTool: of what az and azd print, a token is taken only out of its field and ends when they
// say; and what they complain of becomes one printable line without a token, which tells "nobody is
// logged in" only if they do.
func FuzzTool(f *testing.F) {
	firstPart := regexp.MustCompile(`eyJ[\w-]*\.` + redact.Mark) // of a token, which is no secret
	stdouts, complaints := toolOutputs(), toolComplaints(f)
	for i, said := range complaints {
		f.Add(stdouts[i%len(stdouts)], said, uint16(i%3), uint16(len(said)/2), byte(i))
		f.Add(said, said, uint16(127), uint16(i), byte(2*i+1))
	}
	f.Add("0", "AADSTS70043: The refresh token has expired.\r\nTrace ID: t\r\nCorrelation ID: c",
		uint16(1), uint16(55), byte('!'))
	f.Add("0", "Can't load the credential from local cache", uint16(127), uint16(4), byte('Z'))
	for i, stdout := range stdouts {
		f.Add(stdout, stdout, uint16(9009), uint16(i), byte(i))
	}
	f.Fuzz(func(t *testing.T, stdout, stderr string, code, at uint16, which byte) {
		d := developers[which%2]
		const mark = "QJX7canaryVBK2"
		if strings.Contains(stdout+stderr, "QJX7") || len(stderr) > command.MaxStderr {
			t.Skip()
		}
		checkPrinted(t, d, []byte(stdout))

		leak := []string{`"accessToken": "` + mark + `"`, `access_token=` + mark,
			jwtOf(`{"oid":"` + mark + `"}`), ""}[which/2%4]
		if d.program == "azd" && leak != "" { // whose complaint is one line of many
			leak = strings.ReplaceAll(leak, `"`, `\"`)
		}
		cut := min(int(at), len(stderr))
		said := stderr[:cut] + leak + stderr[cut:]
		tool := &fakeTool{answer: func(int) ([]byte, error) {
			return []byte(mark + stdout), exits(int(code), said)
		}}
		s := toolSourceOf(t, d.credential(t, tool))
		a := tokencache.Request{Resource: "https://vault.azure.net", Once: true,
			Claims: []string{"", rejectedClaims}[which/8%2]}
		if !s.tool.claims {
			a.Claims = ""
		}
		got, failed := s.acquire(t.Context(), a, &tokencache.Progress{})
		if failed == nil || got != (tokencache.Grant{}) {
			t.Fatalf("a failed run brought %v and %v", got, failed)
		}
		e := publicError(failed, s, a.Resource)
		payload := strings.Split(jwtOf(`{"oid":"`+mark+`"}`), ".")[1]
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v %+v", e, *e)} {
			if strings.Contains(text, "QJX7") || strings.Contains(text, "VBK2") ||
				strings.Contains(text, payload[:20]) ||
				showsToken(firstPart.ReplaceAllString(text, "")) {
				t.Errorf("%s shows a token: %q", d.program, text)
			}
		}
		if text := e.Error(); text != redact.Printable(text) || len(text) > 1200 ||
			len(e.Message) > 300 || e.Message != redact.Printable(e.Message) {
			t.Errorf("%s: not one printable line of some length: %d bytes, %q", d.program, len(text), text)
		}
		plain := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(said, "")
		if e.Code != "" && (!strings.Contains(regexp.MustCompile(`<[\w.]+ object at `+
			`0x[0-9a-fA-F]+>(?:: |, )?`).ReplaceAllString(plain, ""), e.Code) &&
			!strings.Contains(said, `\u`) || !regexp.MustCompile(`^AADSTS\d{1,10}$`).MatchString(e.Code)) {
			t.Errorf("%s: the code is %q, of %q", d.program, e.Code, said)
		}
		if _, command, ok := strings.Cut(e.hint, " asks for "); ok &&
			!regexp.MustCompile(`^(az logout, then )?(az|azd auth) login( [a-zA-Z0-9._:/+="-]+)*$`).MatchString(command) {
			t.Errorf("%s: asks to run %q", d.program, command)
		}
		lacks := strings.Contains(said, "shared librar") || strings.Contains(said, "Error relocating")
		// whoever tells of the cache is there
		missing := (code == 127 && !lacks || code == 9009) &&
			!s.raced(complaint.Read(said, s.complaint, s.asks))
		// What Windows' shell says has to be all that is said. And a library is lacking only in these
		// words.
		words := strings.Join(strings.Fields(said), "")
		perhaps := strings.HasPrefix(words, "'") &&
			strings.HasSuffix(words,
				"'isnotrecognizedasaninternalorexternalcommand,operableprogramorbatchfile.") ||
			code == 127 && !containsAny(said, "error while loading shared libraries",
				"Error loading shared library", "Error relocating ")
		// Necessary, not enough: warnings may tell of another failure.
		loggedOut := strings.Contains(plain, "Please run 'az login' to setup account")
		if d.program == "azd" {
			loggedOut = loggedOut || strings.Contains(said, "not logged in, run `azd ") ||
				strings.Contains(said, "Azure CLI not found on path") || strings.Contains(said, `\u`)
		}
		certain := plain == "ERROR: Please run 'az login' to setup account.\r\n" || d.program == "azd" &&
			plain == azdMessage("\nERROR: not logged in, run `azd auth login` to login\n")
		switch unavailable := errors.Is(e, ErrUnavailable); {
		case missing && !unavailable:
			t.Errorf("%s: %d %q is not unavailable: %v", d.program, code, said, e)
		case !missing && !perhaps && unavailable && (!loggedOut || e.Code != "" || a.Claims != ""):
			t.Errorf("%s: %d %q is unavailable: %v", d.program, code, said, e)
		case !unavailable && certain && a.Claims == "":
			t.Errorf("%s: %d %q is not unavailable: %v", d.program, code, said, e)
		}
	})
}

// printedFields are the fields that are read of what a tool prints.
func printedFields(object []byte) map[string]json.RawMessage {
	var out struct {
		AccessToken, Token, ExpiresOn, Tenant json.RawMessage
		ExpiresUnix                           json.RawMessage `json:"expires_on"`
	}
	_ = json.Unmarshal(object, &out)
	return map[string]json.RawMessage{"accessToken": out.AccessToken, "token": out.Token,
		"expires_on": out.ExpiresUnix, "expiresOn": out.ExpiresOn, "tenant": out.Tenant}
}

// checkPrinted judges what is taken out of a tool's standard output.
func checkPrinted(t *testing.T, d developer, stdout []byte) {
	t.Helper()
	field, parse := "accessToken", parseAzureCLI
	if d.program == "azd" {
		field, parse = "token", parseAzureDeveloperCLI
	}
	got, err := parse(stdout, parsedAt)
	// Any object that has a token may be the first one: what is before it may be half of one.
	var fields map[string]json.RawMessage
	value, found := "", false
	for i := range stdout {
		var object json.RawMessage
		if found || stdout[i] != '{' ||
			json.NewDecoder(bytes.NewReader(stdout[i:])).Decode(&object) != nil {
			continue
		}
		fields = printedFields(object)
		value = ""
		_ = json.Unmarshal(fields[field], &value)
		found = value != "" && (err != nil || value == got.Value)
	}
	// the simple case
	if err == nil && json.Valid(stdout) && bytes.HasPrefix(bytes.TrimSpace(stdout), []byte("{")) {
		fields = printedFields(stdout)
	}
	if err != nil {
		said := toolRefusals.FindStringSubmatch(err.Error())
		if said == nil || len(err.Error()) > 600 {
			t.Fatalf("%s: the error is none of the texts: %q", d.program, err)
		}
		if kind, _ := strconv.Unquote(said[4]); len(value) >= 8 && strings.Contains(kind, value) ||
			showsToken(kind) {
			t.Errorf("%s: the error shows the token: %q", d.program, err)
		}
		return
	}
	if got.Value == "" || got.Value != value && string(fields[field]) != "null" ||
		strings.ContainsFunc(got.Value, func(r rune) bool {
			return r < '!' || r > '~'
		}) {
		t.Errorf("%s: took the token %q, the field has %q", d.program, got.Value, fields[field])
	}
	if got.RefreshIn != 0 || got.Echo != (token.Echo{}) || d.program == "azd" && got.tenant != "" ||
		got.tenant != token.TextOf(fields["tenant"]) && d.program == "az" {
		t.Errorf("%s: %+v has more than was printed", d.program, got)
	}
	end := got.ExpiresOn
	if !end.After(parsedAt) || end.Year() > 9999 || end.Location() != time.UTC {
		t.Errorf("%s: it ends at %v", d.program, end)
	}
	if strings.Count(got.Value, ".") == 2 {
		return
	}
	if want, ok := token.UnixDate(token.TextOf(fields["expires_on"])); ok && d.program == "az" &&
		!want.Equal(end) {
		t.Errorf("az: expires_on %s became %v", fields["expires_on"], end)
	}
	if d.program == "azd" {
		var want time.Time
		if json.Unmarshal(fields["expiresOn"], &want) == nil && !want.Equal(end) {
			t.Errorf("azd: expiresOn %s became %v", fields["expiresOn"], end)
		}
	}
}
