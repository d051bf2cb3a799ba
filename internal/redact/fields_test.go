package redact

import (
	"encoding/json"
	"html"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// fieldNames are those that hold secrets, as hosts, Entra, tools and SDKs spell them.
var fieldNames = []string{
	"access_token", "accessToken", "AccessToken", "ACCESS_TOKEN", "access-token", "refresh_token",
	"refreshToken", "id_token", "idToken", "token", "Token", "sas_token", "sasToken",
	"msiAccessToken",
	"client_secret", "clientSecret", "client-secret", "secret", "Secret", "MSI_SECRET",
	"AZURE_CLIENT_SECRET", "client_assertion", "clientAssertion", "assertion",
	"password", "AZURE_PASSWORD", "passwd", "pwd", "X-IDENTITY-HEADER", "IDENTITY_HEADER",
	"identityHeader", "AccountKey", "account_key", "SharedAccessKey", "api-key", "apiKey",
	"connectionString",
	"Authorization", "authorization", "Proxy-Authorization", "x-ms-token-aad-access-token",
	"access_token2", "sig",
}

// fieldForm is a way in which a field and its value stand in a text, see write.
type fieldForm struct {
	name, text string
	words      bool                // only for values of the characters of tokens
	escape     func(string) string // of the whole, nil for none
}

// write puts a field into the form's text: "NAME" as JSON writes it, 'NAME' as Python, %NAME as Go,
// ?NAME as a query, &NAME as HTML, _NAME as a parameter, and any other as it is.
func (e fieldForm) write(name, value string) string {
	var pairs []string
	for mark, s := range map[string]string{"NAME": name, "VALUE": value} {
		pairs = append(pairs, `"`+mark+`"`, jsonOf(s), "'"+mark+"'", pythonOf(s), "%"+mark,
			strconv.Quote(s), "?"+mark, url.QueryEscape(s), "&"+mark, html.EscapeString(s),
			"_"+mark, strings.ReplaceAll(s, "-", "_"), mark, s)
	}
	text := strings.NewReplacer(pairs...).Replace(e.text)
	if e.escape != nil {
		text = e.escape(text)
	}
	return text
}

func jsonOf(s string) string {
	quoted, _ := json.Marshal(s) // strings always can be
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

func inMessage(s string) string { return `{"message":` + jsonOf(s) + `}` }
func inQuery(s string) string   { return "?x=" + url.QueryEscape(s) }

// twice applies an escape to what it has made.
func twice(f func(string) string) func(string) string {
	return func(s string) string { return f(f(s)) }
}

const object = `{"NAME":"VALUE","zone":"1"}`

var fieldForms = []fieldForm{
	{name: "JSON", text: object},
	{name: "JSON with blanks", text: "{\n  \"NAME\" : \n\"VALUE\"\n}"},
	{name: "JSON with slashes escaped", text: object, escape: strings.NewReplacer("/", `\/`).Replace},
	{name: "JSON in JSON", text: object, escape: inMessage},
	{name: "JSON in JSON in JSON", text: object, escape: twice(inMessage)},
	{name: "a list in JSON", text: `{"NAME":["VALUE","x"]}`},
	{name: "an object in JSON", text: `{"NAME":{"value":"VALUE"}}`},
	{name: "several in JSON", text: `{"NAMEs":["VALUE","VALUE"]}`},
	{name: "JSON in HTML", text: object, escape: html.EscapeString},
	{name: "JSON in a query", text: object, escape: inQuery},
	{name: "JSON in a query twice", text: object, escape: twice(url.QueryEscape)},
	{name: "JSON in Go's quotes", text: object, escape: strconv.Quote},
	{name: "JSON in JavaScript", text: object,
		escape: strings.NewReplacer(`"`, `\x22`, `'`, `\x27`, `\`, `\x5c`, "=", `\x3D`).Replace},
	{name: "a name and a value in JSON", text: `[{"name": "NAME", "value": "VALUE", "zone": 1}]`},
	{name: "a name and a value in JSON in JSON", text: `[{"Name":"NAME","Value":"VALUE"}]`,
		escape: inMessage},
	{name: "a form", text: "grant_type=x&?NAME=?VALUE&zone=1"},
	{name: "a form in a query", text: "?NAME=?VALUE&zone=1", escape: inQuery},
	{name: "a form in JSON", text: "POST x??NAME=?VALUE", escape: jsonOf},
	{name: "a URL", text: `Get "https://x.example/a??NAME=?VALUE": EOF`},
	{name: "a URL in HTML", text: "<a href='/a?b=c&?NAME=?VALUE&d=e'>", escape: html.EscapeString},
	{name: "Python", text: "{'NAME': 'VALUE', 'zone': 1}"},
	{name: "Python's bytes", text: "{'NAME': b'VALUE'}"},
	{name: "Python in JSON", text: "{'NAME': 'VALUE'}", escape: jsonOf},
	{name: "a Python call", text: "f(_NAME='VALUE', x=1)"},
	{name: "Python's pairs", text: "[('NAME', 'VALUE'), ('x', 'y')]"},
	{name: "a Python variable", text: "result['NAME'] = 'VALUE'"},
	{name: "Go's %#v", text: `map[string]string{%NAME:%VALUE}`},
	{name: "Go's %#v of values", text: `url.Values{%NAME:[]string{%VALUE, "x"}}`},
	{name: "Go's %v", words: true, text: "map[NAME:VALUE zone:1]"},
	{name: "Go's %v of a header", words: true, text: "map[NAME:[VALUE] Zone:[1]]"},
	{name: "Go's %+v of a struct", words: true, text: "{Zone:1 NAME:VALUE Other:2}"},
	{name: "a header", words: true, text: "> Zone: 1\r\n> NAME: VALUE\r\n> Other: 2"},
	{name: "a variable", words: true, text: "NAME=VALUE\nzone=1"},
	{name: "an assignment", words: true, text: "let NAME := VALUE; zone"},
	{name: "Ruby", text: `{"NAME"=>"VALUE"}`},
	{name: "YAML", words: true, text: "a: b\nNAME: VALUE\nzone: 1"},
	{name: "YAML on two lines", words: true, text: "NAME:\n  VALUE\nzone: 1"},
	{name: "YAML in a block", words: true, text: "NAME: |\n  VALUE\nzone: 1"},
	{name: "YAML in a folded block", words: true, text: "NAME: >-\r\n  VALUE\r\nzone: 1"},
	{name: "XML", words: true, text: "<a><NAME>VALUE</NAME></a>"},
	{name: "an input in HTML", text: `<input type="hidden" name="NAME" value="&VALUE" />`},
	{name: "an option", words: true, text: "az login --NAME VALUE --tenant t"},
	{name: "an option with an equals sign", words: true, text: "az login --NAME=VALUE --tenant t"},
	{name: "an option in quotes", text: `az login --NAME "VALUE" --tenant t`},
	{name: "a connection string", words: true,
		text: "Endpoint=sb://x.example/;NAME=VALUE;EntityPath=e"},
}

// suits reports whether the name can stand so without another meaning.
func (e fieldForm) suits(name string) bool {
	// A signature in a query; elsewhere it may be anything.
	return name != "sig" || strings.Contains(e.name, "JSON") || strings.Contains(e.name, "form") ||
		strings.Contains(e.name, "URL")
}

func secretText(random *rand.Rand, alphabet string, n int) string {
	var b strings.Builder
	for range 1 + random.IntN(n) {
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
	got := Text(text)
	for _, read := range slowlyReads(got) {
		if strings.Contains(read, "QJX7") || strings.Contains(read, "VBK2") {
			t.Errorf("%s: %s\nbecomes\n%s", what, text, got)
			return
		}
	}
	if again := Text(got); again != got {
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
				value := secretText(random, alphabet, 20)
				if strings.HasSuffix(strings.ToLower(name), "authorization") && random.IntN(2) == 0 {
					value = []string{"Bearer ", "Basic ", "SharedKey ", "Negotiate "}[random.IntN(4)] + value
				}
				checkHidden(t, e.name, e.write(name, value))
			}
		}
	}
	for _, text := range []string{
		"Bearer QJX7abcVBK2", "bearer: QJX7abcVBK2", "sent Bearer+QJX7abcVBK2",
		"https://QJX7:VBK2@x.example/", "proxy http://QJX7VBK2@10.0.0.1:3128 failed",
		`{"access_token":"QJX7 cut in the middle VBK2`, "access_token='QJX7 cut VBK2",
		`{"access_token":["QJX7","VBK2`, `access_token=QJX7\nVBK2`,
		"access_token = QJX7VBK2", "access_token : QJX7VBK2", "the token: QJX7VBK2.",
		"token=QJX7VBK2", `"token" : "lowercase QJX7VBK2"`, `access_token=SecretStr("QJX7 VBK2")`,
		"-----BEGIN PRIVATE KEY-----\nQJX7a+/=\nVBK2\n-----END PRIVATE KEY-----\n",
		`{"pem":"-----BEGIN RSA PRIVATE KEY-----\nQJX7\nVBK2\n`,
	} {
		checkHidden(t, "by itself", text)
	}
}

// FuzzFields: the same with texts around it that others wrote.
func FuzzFields(f *testing.F) {
	for i := range 6 {
		for j, around := range []string{
			"", `\`, `"`, "'", "%", "%2", "&", `{"message":"`, "access_token=", `token="`, "token='",
			"token=(", "token=[\"", `\u002`, "Bearer ", "://", "REDACTED", "token=REDACTED",
			"token: ", "世\xff",
		} {
			f.Add(around, "a'b", "\"}", byte(7*i+j), byte(i+j))
			f.Add("x ", around, around, byte(5*i+j), byte(11*i+j))
		}
	}
	f.Fuzz(func(t *testing.T, before, middle, behind string, which, named byte) {
		e, name := fieldForms[int(which)%len(fieldForms)], fieldNames[int(named)%len(fieldNames)]
		if len(before)+len(middle)+len(behind) > MaxText/8 ||
			strings.Contains(before+middle+behind, "QJX7") ||
			strings.Contains(before+middle+behind, "VBK2") || !e.suits(name) {
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
