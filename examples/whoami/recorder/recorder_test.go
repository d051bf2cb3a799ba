package recorder

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/record"
	"github.com/keyless-go/identity/internal/transport"
)

// canaries are values that must not stay, of each shape.
var canaries = map[string]string{
	"GUID":        "7f3c9a21-5b6d-4e8f-9a0b-1c2d3e4f5a6b",
	"upper GUID":  "7F3C9A21-5B6D-4E8F-9A0B-1C2D3E4F5A6C",
	"bare GUID":   "7f3c9a215b6d4e8f9a0b1c2d3e4f5a6d",
	"key":         "q9Zx7LrT2vWk8NbYp3QsHd6FgJm1RtUc",
	"base64":      "u7Hk2p/QxZ+4vLw9TgB1yRc8NmE5sDf0aJ3iOqXtKzY=",
	"hex":         "A1B2C3D4E5F60718293A4B5C6D7E8F9001122334",
	"mail":        "jdoe77@fabrikam-corp.example",
	"host":        "db7-prod.fabrikam.internal",
	"vault":       "fabrikam-kv77.vault.azure.net",
	"address":     "203.0.113.77",
	"address 6":   "2001:db8:77::1234",
	"long number": "4539148803436467",
	"name":        "rg-fabrikam77-prod",
	"user name":   "svc_fabrikam77",
	"path":        "/home/jdoe77/keys",
	"resource ID": "/subscriptions/8a4d0b32-5b6d-4e8f-9a0b-1c2d3e4f5a6b/resourceGroups/rg77" +
		"/providers/Microsoft.Web/sites/fabrikam77",
	"not in ASCII": "Müller77-Straße",
	"token": "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(
		[]byte(`{"oid":"9b5e1c43-5b6d-4e8f-9a0b-1c2d3e4f5a6b","name":"Jane Doe77",`+
			`"upn":"jane77@fabrikam.example"}`)) +
		".c2lnbmF0dXJlLW9mLWZhYnJpa2Ft",
}

// pieces of a canary that are no words of anybody else's.
func piecesOf(canary string) (list []string) {
	list = append(list, canary)
	for piece := range strings.FieldsFuncSeq(canary, func(r rune) bool {
		return strings.ContainsRune("/.@:-=+_", r)
	}) {
		if len(piece) >= 8 && regexp.MustCompile(`\d`).MatchString(piece) {
			list = append(list, piece)
		}
	}
	return list
}

var encoded = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// wantNone looks for the canary, and in what is encoded, too.
func wantNone(t *testing.T, text, canary string) {
	t.Helper()
	texts := text
	for _, piece := range encoded.FindAllString(text, -1) {
		if decoded, err := base64.RawURLEncoding.DecodeString(piece); err == nil {
			texts += "\n" + string(decoded)
		}
	}
	if plain, err := url.QueryUnescape(texts); err == nil {
		texts += "\n" + plain
	}
	for _, piece := range append(piecesOf(canary), "fabrikam77", "Doe77", "jdoe77", "Müller77") {
		if strings.Contains(strings.ToLower(texts), strings.ToLower(piece)) {
			for line := range strings.Lines(text) {
				if strings.Contains(strings.ToLower(line), strings.ToLower(piece)) {
					t.Errorf("a piece of a canary stays, %q: %s", piece, line)
				}
			}
			t.Errorf("a piece of a canary stays, %q", piece)
			return
		}
	}
}

// everywhere is an exchange with the canary in each place.
func everywhere(canary string) []*exchange {
	q := url.QueryEscape(canary)
	quoted := fmt.Sprintf("%q", canary)
	header := http.Header{}
	for _, name := range []string{"Metadata", "X-Identity-Header", "Secret", "Content-Type", "Server",
		"Retry-After", "Date", "Connection", "Www-Authenticate", "X-Ms-Request-Id", "Location",
		"X-Of-Mine", "User-Agent", "Accept"} {
		header[name] = []string{canary, "x " + canary, "Basic realm=" + canary,
			"https://" + q + "/" + q}
	}
	header["Authorization"] = []string{"Basic " + canary, "Bearer " + canary, canary}
	var fields []string
	prose := "for '" + canary + "' at https://" + canary + "/" + canary + "?a=" + q + " (" + canary +
		"), " + canary + "."
	for _, name := range []string{"access_token", "client_id", "resource", "iss", "aud", "scope",
		"error", "error_description", "message", "expires_on", "token_type", "unknown", "error_uri",
		"sub", "xms_mirid", "claims", "timestamp", "password", "code", "type", "idtyp"} {
		fields = append(fields, fmt.Sprintf("%q:%s,%q:[%[2]s,{%[1]q:%[2]s}],%[1]q:%q", name, quoted,
			name+"_", prose))
	}
	body := "{" + strings.Join(fields, ",") + "," + quoted + ":1}"
	form := url.Values{canary: {canary}}
	for _, name := range []string{"client_id", "client_assertion", "scope", "grant_type", "claims",
		"other", "client_assertion_type"} {
		form[name] = []string{canary, "urn " + canary}
	}
	now := time.Now()
	of := func(e *exchange) *exchange {
		e.began, e.ended, e.method = now, now, "GET"
		return e
	}
	urls := "https://" + q + ":" + q + "@" + strings.ReplaceAll(q, "%", "") + "/" + canary + "/x/" +
		q + "?" + q + "=" + q + "&resource=" + q + "&client_id=" + q + "&api-version=" + q + "#" + q
	wrapped := &url.Error{Op: "Get", URL: urls, Err: &net.OpError{Op: "dial", Net: "tcp",
		Err: errors.New("lookup " + canary + ": no such host; for '" + canary + "', \"" + canary + "\"")}}
	return []*exchange{
		of(&exchange{url: urls, header: header, status: 200, got: header, answer: []byte(body)}),
		of(&exchange{url: urls, body: []byte(form.Encode()),
			header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, status: 400, got: header, answer: []byte(body)}),
		of(&exchange{url: urls, body: []byte(canary), status: 502,
			answer: []byte("<html><title>" + canary + "</title><a href=\"https://" + canary + "/\">" +
				prose + "</a>\n" + quoted + " user=" + canary + "; " + canary + ",")}),
		of(&exchange{url: urls, status: 200, answer: []byte(body[:len(body)/2])}),
		of(&exchange{url: urls, err: wrapped}),
		of(&exchange{url: urls, err: &transport.BodyError{StatusCode: 200, Header: header,
			Err: fmt.Errorf("the answer was cut short after 12 bytes: %w", wrapped)}}),
	}
}

// TestNothingStays of what was in any place, in any shape.
func TestNothingStays(t *testing.T) {
	for name, canary := range canaries {
		t.Run(name, func(t *testing.T) {
			t.Setenv("IDENTITY_ENDPOINT", "http://"+canary+"/"+canary)
			t.Setenv("IDENTITY_HEADER", canary)
			t.Setenv("AZURE_FEDERATED_TOKEN_FILE", canary)
			t.Setenv("WEBSITE_SITE_NAME", canary)
			t.Setenv("AZURE_TENANT_ID", canary)
			r := &Recorder{exchanges: everywhere(canary)}
			asked := Asked{Constructor: "NewCredential", Scope: "https://" + canary + "/.default",
				Selector: "client ID", ID: canary, Variables: []string{"IDENTITY_ENDPOINT",
					"IDENTITY_HEADER", "AZURE_FEDERATED_TOKEN_FILE", "WEBSITE_SITE_NAME",
					"AZURE_TENANT_ID"}}
			for _, token := range []string{"", canary} {
				err := errors.New("no token for " + canary + ": '" + canary + "', \"" + canary +
					"\" at https://" + canary + "/x?y=" + canary)
				if token != "" {
					err = nil
				}
				out, problem := r.Record(asked, token, err)
				var text strings.Builder
				if err := out.Write(&text); err != nil {
					t.Fatal(err)
				}
				wantNone(t, text.String(), canary)
				if problem != nil {
					t.Errorf("no record: %v", problem)
				}
			}
		})
	}
}

// TestConsistent: the same stays the same, whatever its case, and others differ.
func TestConsistent(t *testing.T) {
	m := newMask(nil)
	guid, other := canaries["GUID"], canaries["upper GUID"]
	a, b := m.id(guid), m.text("of "+strings.ToUpper(guid)+".")
	if "of "+a+"." != b || a == m.id(other) {
		t.Errorf("%s, %s, %s", a, b, m.id(other))
	}
	token := m.token(canaries["token"])
	if !record.IsPlaceholder(token) || m.token(token) != token {
		t.Errorf("%s is no placeholder of a token", token)
	}
}

// TestText: prose stays, and what it names goes.
func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"Identity not found":                     "Identity not found",
		"variable 'api-version' is missing":      "variable 'api-version' is missing",
		"Required metadata header not specified": "Required metadata header not specified",
		"AADSTS700016: Application '7f3c9a21-5b6d-4e8f-9a0b-1c2d3e4f5a6b' was not found in the " +
			"directory 'Contoso Ltd'. Trace ID: 7f3c9a21-5b6d-4e8f-9a0b-1c2d3e4f5a6c " +
			"Timestamp: 2026-01-02 03:04:05Z": //
		"AADSTS700016: Application '00000000-0000-4000-8000-000000000001' was not found in the " +
			"directory 'TEXT-1'. Trace ID: 00000000-0000-4000-8000-000000000002 " +
			"Timestamp: 2026-01-02 03:04:05Z",
		"dial tcp 10.1.2.3:443: connect: connection refused":         "dial tcp 192.0.2.1:443: connect: connection refused",
		"dial tcp 169.254.169.254:80: i/o timeout":                   "dial tcp 169.254.169.254:80: i/o timeout",
		"at http://127.0.0.1:41741/msi/token/?api-version=1.0":       "at http://127.0.0.1:41741/msi/token/?api-version=1.0",
		"for https://management.azure.com and https://a.b.example/c": "for https://management.azure.com and https://host-1.example/NAME-1",
		"see https://learn.microsoft.com/cli/azure/install-azure-cli.": "see " +
			"https://learn.microsoft.com/cli/azure/install-azure-cli.",
		"(token for x, 3 attempts, 12ms)": "(token for x, 3 attempts, 12ms)",
	} {
		if got := newMask(nil).text(text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}
