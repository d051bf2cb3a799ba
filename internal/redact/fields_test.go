package redact

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/url"
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
	{name: "JSON", write: fieldJSON},
	{
		name: "JSON with blanks",
		write: func(name, value string) string {
			return "{\n  " + jsonOf(name) + " : \n" + jsonOf(value) + "\n}"
		},
	}, {
		name: "JSON with slashes escaped",
		write: func(name, value string) string {
			return strings.ReplaceAll(fieldJSON(name, value), "/", `\/`)
		},
	}, {
		name: "JSON in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string]string{"message": fieldJSON(name, value)})
		},
	}, {
		name: "JSON in JSON in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string]string{"message": jsonOf(map[string]string{"inner": fieldJSON(name,
				value)})})
		},
	}, {
		name: "a list in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string][]string{name: {value, "x"}})
		},
	}, {
		name: "an object in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string]map[string]string{name: {"value": value}})
		},
	}, {
		name: "JSON in HTML",
		write: func(name, value string) string {
			return html.EscapeString(fieldJSON(name, value))
		},
	}, {
		name: "JSON in a query",
		write: func(name, value string) string {
			return "?x=" + url.QueryEscape(fieldJSON(name, value))
		},
	}, {
		name: "JSON in a query twice",
		write: func(name, value string) string {
			return url.QueryEscape(url.QueryEscape(fieldJSON(name, value)))
		},
	}, {
		name: "JSON in Go's quotes",
		write: func(name, value string) string {
			return fmt.Sprintf("%q", fieldJSON(name, value))
		},
	}, {
		name: "a form",
		write: func(name, value string) string {
			return "grant_type=x&" + url.Values{name: {value}}.Encode() + "&zone=1"
		},
	}, {
		name: "a form in a query",
		write: func(name, value string) string {
			return "body=" + url.QueryEscape(url.Values{name: {value}, "zone": {"1"}}.Encode())
		},
	}, {
		name: "a form in JSON",
		write: func(name, value string) string {
			return jsonOf("POST x?" + url.Values{name: {value}}.Encode())
		},
	}, {
		name: "a URL",
		write: func(name, value string) string {
			return `Get "https://x.example/a?` + url.Values{name: {value}}.Encode() + `": EOF`
		},
	}, {
		name: "a URL in HTML",
		write: func(name, value string) string {
			return html.EscapeString("<a href='/a?b=c&" + name + "=" + url.QueryEscape(value) + "&d=e'>")
		},
	}, {
		name: "Python",
		write: func(name, value string) string {
			return "{" + pythonOf(name) + ": " + pythonOf(value) + ", 'zone': 1}"
		},
	}, {
		name: "Python's bytes",
		write: func(name, value string) string {
			return "{" + pythonOf(name) + ": b" + pythonOf(value) + "}"
		},
	}, {
		name: "Python in JSON",
		write: func(name, value string) string {
			return jsonOf("{" + pythonOf(name) + ": " + pythonOf(value) + "}")
		},
	}, {
		name: "a Python call",
		write: func(name, value string) string {
			return "f(" + strings.ReplaceAll(name, "-", "_") + "=" + pythonOf(value) + ", x=1)"
		},
	}, {
		name: "Python's pairs",
		write: func(name, value string) string {
			return "[(" + pythonOf(name) + ", " + pythonOf(value) + "), ('x', 'y')]"
		},
	}, {
		name: "a Python variable",
		write: func(name, value string) string {
			return "result['" + name + "'] = " + pythonOf(value)
		},
	}, {
		name: "Go's %#v",
		write: func(name, value string) string {
			return fmt.Sprintf("%#v", map[string]string{name: value})
		},
	}, {
		name: "Go's %#v of values",
		write: func(name, value string) string {
			return fmt.Sprintf("%#v", url.Values{name: {value, "x"}})
		},
	}, {
		name: "Go's %v", words: true,
		write: func(name, value string) string {
			return fmt.Sprint(map[string]string{name: value, "zone": "1"})
		},
	}, {
		name: "Go's %v of a header", words: true,
		write: func(name, value string) string {
			return fmt.Sprint(http.Header{name: {value}, "Zone": {"1"}})
		},
	}, {
		name: "Go's %+v of a struct", words: true,
		write: func(name, value string) string {
			return "{Zone:1 " + name + ":" + value + " Other:2}"
		},
	}, {
		name: "a header", words: true,
		write: func(name, value string) string {
			return "> Zone: 1\r\n> " + name + ": " + value + "\r\n> Other: 2"
		},
	}, {
		name: "a variable", words: true,
		write: func(name, value string) string { return name + "=" + value + "\nzone=1" },
	}, {
		name: "an assignment", words: true,
		write: func(name, value string) string {
			return "let " + name + " := " + value + "; zone"
		},
	}, {
		name: "Ruby",
		write: func(name, value string) string {
			return "{" + jsonOf(name) + "=>" + jsonOf(value) + "}"
		},
	}, {
		name: "YAML", words: true,
		write: func(name, value string) string {
			return "a: b\n" + name + ": " + value + "\nzone: 1"
		},
	}, {
		name: "YAML on two lines", words: true,
		write: func(name, value string) string {
			return name + ":\n  " + value + "\nzone: 1"
		},
	}, {
		name: "YAML in a block", words: true,
		write: func(name, value string) string {
			return name + ": |\n  " + value + "\nzone: 1"
		},
	}, {
		name: "YAML in a folded block", words: true,
		write: func(name, value string) string {
			return name + ": >-\r\n  " + value + "\r\nzone: 1"
		},
	}, {
		name: "a name and a value in JSON",
		write: func(name, value string) string {
			return `[{"name": ` + jsonOf(name) + `, "value": ` + jsonOf(value) + `, "zone": 1}]`
		},
	}, {
		name: "a name and a value in JSON in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string]string{"message": `[{"Name":` + jsonOf(name) + `,"Value":` +
				jsonOf(value) + `}]`})
		},
	}, {
		name: "JSON in JavaScript",
		write: func(name, value string) string {
			return strings.NewReplacer(`"`, `\x22`, `'`, `\x27`, `\`, `\x5c`, "=",
				`\x3D`).Replace(fieldJSON(name, value))
		},
	}, {
		name: "several in JSON",
		write: func(name, value string) string {
			return jsonOf(map[string][]string{name + "s": {value, value}})
		},
	}, {
		name: "XML", words: true,
		write: func(name, value string) string {
			return "<a><" + name + ">" + value + "</" + name + "></a>"
		},
	}, {
		name: "an input in HTML",
		write: func(name, value string) string {
			return `<input type="hidden" name="` + name + `" value="` + html.EscapeString(value) + `" />`
		},
	}, {
		name: "an option", words: true,
		write: func(name, value string) string {
			return "az login --" + name + " " + value + " --tenant t"
		},
	}, {
		name: "an option with an equals sign", words: true,
		write: func(name, value string) string {
			return "az login --" + name + "=" + value + " --tenant t"
		},
	}, {
		name: "an option in quotes",
		write: func(name, value string) string {
			return "az login --" + name + " " + jsonOf(value) + " --tenant t"
		},
	}, {
		name: "a connection string", words: true,
		write: func(name, value string) string {
			return "Endpoint=sb://x.example/;" + name + "=" + value + ";EntityPath=e"
		},
	},
}

// suits reports whether the name can stand so without another meaning.
func (e fieldForm) suits(name string) bool {
	switch lower := strings.ToLower(name); {
	case lower == "sig": // a signature in a query; elsewhere it may be anything
		return strings.Contains(e.name, "JSON") || strings.Contains(e.name, "form") ||
			strings.Contains(e.name, "URL")
	}
	return true
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
