package devtool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

var toolRefusals = regexp.MustCompile(`^(azd? printed no JSON object with a token|the token ` +
	`response has no (accessToken|token)|the (accessToken|token) contains characters that no token has|` +
	`token_type is ("[^\n]*"), want Bearer|azd? doesn't say when the token expires: [a-zA-Z_, ` +
	`']+|the token expired at [0-9TZ:-]+, [0-9a-z.µ]+ ago)$`)

// fuzzedOutputs and fuzzedComplaints are what az and azd may print, beside what the tests of that
// have.
var fuzzedOutputs = []string{
	`{"accessToken":"0123456789","tokenType":"x0123456789x","expires_on":1485907200}`,
	`{"accessToken":"a","ACCESSTOKEN":null,"expires_on":1485907200}`, `{"token":null}`, "1E1000",
	`{"token":"t","expiresOn":"2017-02-01T02:00:00.5+02:00"}` + "\nnotice {",
	`{"x":{"accessToken":"inner"},"accessToken":"t","expires_on":1485907200}`,
	strings.Repeat("{", 300), strings.Repeat(`{"a":`, 300),
}

var fuzzedComplaints = []string{
	"ERROR: AADSTS50076: more\naz logout\naz login --tenant \"t\" --scope \"https://x\"; reboot\n",
	"ERROR: Please run 'az login' to setup account.\r\n", "Error: unknown flag: --claims",
	"'az' is not recognized as an internal or external command,\r\noperable program or batch file.",
	"DEBUG: urllib3: {\"token_type\":\"Bearer\",\"access_token\":\"t\"}", "null\n",
	azdMessage("updating") + "{\"error\":", notInCache, sampled("az-torn-cache"),
}

// FuzzTool: of what az and azd print, a token is taken only out of its field and ends when they
// say; and what they complain of becomes one printable line without a token, which tells "nobody is
// logged in" only if they do.
func FuzzTool(f *testing.F) {
	firstPart := regexp.MustCompile(`eyJ[\w-]*\.` + redact.Mark) // of a token, which is no secret
	stdouts, complaints := fuzzedOutputs, fuzzedComplaints
	for _, tool := range tools {
		for _, o := range allOutputs(tool) {
			stdouts = append(stdouts, string(o.bytes()))
		}
		for _, tt := range failuresOf(tool) {
			if exit, ok := tt.err.(*command.ExitError); ok {
				complaints = append(complaints, exit.Stderr)
			}
		}
	}
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
		tool := tools[which%2]
		const mark = "QJX7canaryVBK2"
		if strings.Contains(stdout+stderr, "QJX7") || len(stderr) > command.MaxStderr {
			t.Skip()
		}
		checkPrinted(t, tool, []byte(stdout))

		leak := []string{`"accessToken": "` + mark + `"`, `access_token=` + mark,
			jwtOf(`{"oid":"` + mark + `"}`), ""}[which/2%4]
		if tool.Program == "azd" && leak != "" { // whose complaint is one line of many
			leak = strings.ReplaceAll(leak, `"`, `\"`)
		}
		cut := min(int(at), len(stderr))
		said := stderr[:cut] + leak + stderr[cut:]
		run := &fake{answer: func(int) ([]byte, error) {
			return []byte(mark + stdout), exits(int(code), said)
		}}
		c := run.client(t, tool, Options{})
		r := acquire.Request{Resource: "https://vault.azure.net", Once: true,
			Claims: []string{"", rejectedClaims}[which/8%2]}
		if !c.TakesClaims {
			r.Claims = ""
		}
		got, e := c.Acquire(t.Context(), r, time.Minute, func() {})
		if e == nil || got != (token.Token{}) {
			t.Fatalf("a failed run brought %v and %v", got, e)
		}
		payload := strings.Split(jwtOf(`{"oid":"`+mark+`"}`), ".")[1]
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v %+v", e, *e)} {
			if strings.Contains(text, "QJX7") || strings.Contains(text, "VBK2") ||
				strings.Contains(text, payload[:20]) ||
				showsToken(firstPart.ReplaceAllString(text, "")) {
				t.Errorf("%s shows a token: %q", tool.Program, text)
			}
		}
		if text := e.Error(); text != redact.Printable(text) || len(text) > 1200 ||
			len(e.Message) > 300 || e.Message != redact.Printable(e.Message) {
			t.Errorf("%s: not one printable line of some length: %d bytes, %q", tool.Program, len(text),
				text)
		}
		plain := colours.ReplaceAllString(said, "")
		if e.Code != "" && (!strings.Contains(regexp.MustCompile(`<[\w.]+ object at `+
			`0x[0-9a-fA-F]+>(?:: |, )?`).ReplaceAllString(plain, ""), e.Code) &&
			!strings.Contains(said, `\u`) || !regexp.MustCompile(`^AADSTS\d{1,10}$`).MatchString(e.Code)) {
			t.Errorf("%s: the code is %q, of %q", tool.Program, e.Code, said)
		}
		if _, command, ok := strings.Cut(e.Hint, " asks for "); ok &&
			!regexp.MustCompile(`^(az logout, then )?(az|azd auth) login( [a-zA-Z0-9._:/+="-]+)*$`).MatchString(command) {
			t.Errorf("%s: asks to run %q", tool.Program, command)
		}
		checkUnavailable(t, tool, c, e, r.Claims, said, int(code))
	})
}

// colours are what a terminal makes of colours.
var colours = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// checkUnavailable compares what is said of a failed run's reason with a slow reading of what the
// tool has said.
func checkUnavailable(
	t *testing.T, tool *Tool, c *Client, e *failure.Failure, claims, said string, code int,
) {
	t.Helper()
	plain := colours.ReplaceAllString(said, "")
	lacks := strings.Contains(said, "shared librar") || strings.Contains(said, "Error relocating")
	// whoever tells of the cache is there
	missing := (code == 127 && !lacks || code == 9009) &&
		!c.raced(c.complaintIn(said))
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
	if tool.Program == "azd" {
		loggedOut = loggedOut || strings.Contains(said, "not logged in, run `azd ") ||
			strings.Contains(said, "Azure CLI not found on path") || strings.Contains(said, `\u`)
	}
	certain := plain == "ERROR: Please run 'az login' to setup account.\r\n" ||
		tool.Program == "azd" &&
			plain == azdMessage("\nERROR: not logged in, run `azd auth login` to login\n")
	switch unavailable := e.Reason == failure.Unavailable; {
	case missing && !unavailable:
		t.Errorf("%s: %d %q is not unavailable: %v", tool.Program, code, said, e)
	case !missing && !perhaps && unavailable && (!loggedOut || e.Code != "" || claims != ""):
		t.Errorf("%s: %d %q is unavailable: %v", tool.Program, code, said, e)
	case !unavailable && certain && claims == "":
		t.Errorf("%s: %d %q is not unavailable: %v", tool.Program, code, said, e)
	}
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
func checkPrinted(t *testing.T, tool *Tool, stdout []byte) {
	t.Helper()
	field := "accessToken"
	if tool.Program == "azd" {
		field = "token"
	}
	got, err := tool.parse(stdout, parsedAt)
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
			t.Fatalf("%s: the error is none of the texts: %q", tool.Program, err)
		}
		if kind, _ := strconv.Unquote(said[4]); len(value) >= 8 && strings.Contains(kind, value) ||
			showsToken(kind) {
			t.Errorf("%s: the error shows the token: %q", tool.Program, err)
		}
		return
	}
	if got.Value == "" || got.Value != value && string(fields[field]) != "null" ||
		strings.ContainsFunc(got.Value, func(r rune) bool {
			return r < '!' || r > '~'
		}) {
		t.Errorf("%s: took the token %q, the field has %q", tool.Program, got.Value, fields[field])
	}
	if got.RefreshIn != 0 || got.Echo != (token.Echo{}) || tool.Program == "azd" && got.tenant != "" ||
		got.tenant != token.TextOf(fields["tenant"]) && tool.Program == "az" {
		t.Errorf("%s: %+v has more than was printed", tool.Program, got)
	}
	end := got.ExpiresOn
	if !end.After(parsedAt) || end.Year() > 9999 || end.Location() != time.UTC {
		t.Errorf("%s: it ends at %v", tool.Program, end)
	}
	if strings.Count(got.Value, ".") == 2 {
		return
	}
	if want, ok := token.UnixDate(token.TextOf(fields["expires_on"])); ok && tool.Program == "az" &&
		!want.Equal(end) {
		t.Errorf("az: expires_on %s became %v", fields["expires_on"], end)
	}
	if tool.Program == "azd" {
		var want time.Time
		if json.Unmarshal(fields["expiresOn"], &want) == nil && !want.Equal(end) {
			t.Errorf("azd: expiresOn %s became %v", fields["expiresOn"], end)
		}
	}
}

// FuzzWords: whatever a subscription, a scope, a tenant and a challenge's claims hold, a tool is
// given words that no shell reads more into. Scopes, tenants and claims come out of servers'
// answers.
func FuzzWords(f *testing.F) {
	for _, word := range []string{"", guid, "a b", " a", "- a", "--debug", "a;b", "a&b", "$(id)", "größe",
		"\xff", "%26", "a+b", "a=b", "e30=", "..", "eyJhbGciOiJub25l", "Contoso.OnMicrosoft.com",
		strings.Repeat("a", 1025)} {
		f.Add(word, word, word, word)
		f.Add(word, "https://vault.azure.net/.default", homeTenant, rejectedClaims)
		f.Add("", "https://"+word+"//.default", word, `{"x":"`+word+`"}`)
	}
	f.Fuzz(func(t *testing.T, subscription, scope, tenant, claims string) {
		for _, tool := range tools {
			checkWords(t, (&fake{}).client(t, tool, Options{}), scope, tenant, claims)
		}
		c, err := New(AzureCLI, Options{Type: "Options", Subscription: subscription},
			Machine{Getenv: func(string) string { return "" }})
		if err == nil {
			checkWords(t, c, scope, tenant, claims)
		}
	})
}

// checkWords judges the words that a tool is run with.
func checkWords(t *testing.T, c *Client, scope, asked, claims string) {
	t.Helper()
	tenant, err := c.Tenant(scope, asked)
	resource := strings.TrimSuffix(scope, "/.default")
	if err != nil || resource == "" { // which is refused before
		return
	}
	words := c.arguments(c.query(acquire.Request{Resource: resource, Claims: claims,
		Variant: acquire.Variant{Tenant: tenant}}))
	options := map[string]int{}
	for i, word := range words {
		known := map[string]bool{"-o": true, "--resource": true, "--scope": true, "--tenant": true,
			"--tenant-id": true, "--subscription": true, "--claims": true, "--no-prompt": true}
		if strings.HasPrefix(word, "-") && !known[word] || word == "" {
			t.Fatalf("%s is run with %q", c.Program, words)
		}
		if known[word] {
			options[word]++
		}
		blank := i > 0 && words[i-1] == "--subscription"
		for _, b := range []byte(word) {
			if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
				strings.IndexByte("._:/-+=", b) >= 0 || b == ' ' && blank) {
				t.Fatalf("%s is run with the word %q", c.Program, word)
			}
		}
	}
	for option, n := range options {
		if n > 1 {
			t.Errorf("%s is run with %s %d times: %q", c.Program, option, n, words)
		}
	}
}
