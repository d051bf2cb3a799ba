package check

import (
	"net/url"
	"strings"
	"testing"
)

// TestErrors: each function says what is wrong and where. The root's tests have the ways in which
// hosts' variables and options go wrong.
func TestErrors(t *testing.T) {
	t.Parallel()
	asError := func(read func(name, value, example string) (*url.URL, error)) func(name,
		value string) error {
		return func(name, value string) error {
			_, err := read(name, value, "https://example.com")
			return err
		}
	}
	secret := "s3cret" + strings.Repeat("x", 20)
	for _, tt := range []struct {
		name  string
		check func(name, value string) error
		value string
		want  string // "" for no error
	}{
		{"a URL", asError(URL), "http://localhost:80/a?b=c", ""},
		{"no URL", asError(URL), "http://[", "is not a URL: want a URL such as https://example.com"},
		{"an empty URL", asError(URL), "", "is empty"},
		{"another scheme", asError(URL), "ftp://localhost", "is neither http nor https"},
		{"a password", asError(URL), "http://me:" + secret + "@localhost", "contains user info"},
		{"a password behind a slash", asError(URL), "http://me/" + secret + "@localhost",
			"has an @ in its path"},
		{"no host", asError(URL), "http://:80", "has no host"},
		{"a fragment", asError(URL), "http://localhost/#" + secret, "contains a fragment"},
		{"a port", asError(URL), "http://localhost:65536", "has an impossible port"},
		{"a line's end", asError(URL), "http://localhost\n", `ends with "\n", a blank`},
		{"a blank", asError(URL), "http://local host", "contains a blank"},
		{"plain http", asError(HTTPS), "http://localhost", "is not https"},
		{"a host alone", asError(URL), "localhost:443", "is neither http nor https"},
		{"a scheme alone", asError(URL), "https://", "has no host"},
		{"no slashes", asError(URL), "https:localhost", "has no host"},
		{"a blank before", asError(URL), "\t https://localhost", `begins with "\t "`},
		{"no values", asError(HTTPS), "https://localhost/?", "contains a query"},
		{"a query", asError(HTTPS), "https://localhost?a=" + secret, "contains a query"},
		{"a secret", Secret, secret, ""},
		{"no secret", Secret, "", "is empty"},
		{"a blank secret", Secret, " ", "is blank"},
		{"two lines", Secret, secret + "\n", "contains a control character"},
		{"a path", Path, "/var/run/token", ""},
		{"a path and a blank", Path, "/var/run/token ", "begins or ends with white space"},
		{"a path of two lines", Path, "/var\n/token", "contains a control character"},
		{"a blank of Unicode", Path, "/var/run/token\u00a0", "begins or ends with white space"},
		{"a blank within", Path, "/größe of/token", ""},
		{"a word", Word, "2019-07-01", ""},
		{"no word", Word, "", "is empty"},
		{"two words", Word, "a b", "contains a blank"},
		{"no UTF-8", Word, "a\xff", "is not UTF-8"},
		{"a long word", Word, strings.Repeat("x", MaxLength+1), "is of 1025 characters"},
		{"a tenant", Tenant, "contoso.example", ""},
		{"no tenant", Tenant, "", "is empty: want a tenant's ID"},
		{"a tenant and a blank", Tenant, "contoso.example ", "begins or ends with white space"},
		{"an option", Tenant, "-x", "is no tenant"},
		{"a path in a tenant", Tenant, "a/b", "is no tenant"},
		{"a host", Tenant, "//a.example", "is no tenant"},
		{"braces", Tenant, "{aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee}", "is no tenant"},
		{"an escape", Tenant, "a%2Fb", "is no tenant"},
		{"a query of a tenant", Tenant, "a?b", "is no tenant"},
		{"a fragment of a tenant", Tenant, "a#b", "is no tenant"},
		{"beyond ASCII", Tenant, "ténant", "is no tenant"},
		{"Arabic digits", Tenant, "٣٤", "is no tenant"},
		{"a long tenant", Tenant, strings.Repeat("a", MaxLength+1), "is no tenant"},
		{"a token", Tenant, "eyJhbGciOiJub25lIn0.canary", "is no tenant"},
		{"a blank tenant", Tenant, " ", "is no tenant"},
		{"a dot", Tenant, ".", "is no tenant"},
		{"dots", Tenant, "..", "is no tenant"},
	} {
		err := tt.check("NAME", tt.value)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "NAME: ") ||
			!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

// TestMalformedURLs: none passes, and none is repeated where it may have a password.
func TestMalformedURLs(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"file": "file:///etc/passwd", "path": "/msi/token", "word": "pa55word", "blank": " ",
		"no scheme, IP address": "127.0.0.1:4141/msi/token",
		"no scheme, slashes":    "//localhost/msi/token",
		"user name":             "http://pa55word@localhost/",
		"empty user info":       "http://@localhost/",
		"user info, no URL":     "http://user:pa55word\x7f@localhost/",
		"user info, bad escape": "http://user:pa55word%zz@localhost/",
		"slash in a password":   "http://user:1/pa55word@localhost/",
		"@ in the path":         "http://localhost/pa55word@x",
		"no host":               "http:///msi/token",
		"blank around":          " http://localhost/ ",
		"blank in the path":     "http://localhost/msi token",
		"no-break space":        "http://localhost/\u00a0",
		"injection":             "http://localhost/\r\nX-Evil: pa55word",
		"NUL":                   "http://localhost/\x00",
		"port 0":                "http://localhost:0/",
		"port overflow":         "http://localhost:99999999999999999999/",
		"port of letters":       "http://localhost:http/",
		"negative port":         "http://localhost:-1/",
		"bad escape":            "http://localhost/%zz",
		"bad escape, host":      "http://%zz/",
	} {
		u, err := URL("NAME", value, "https://example.com")
		if err == nil || u != nil || !strings.HasPrefix(err.Error(), "NAME: ") ||
			strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: got %v, %v", name, u, err)
		}
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	for resource, want := range map[string]string{
		"https://vault.azure.net":   "",
		"":                          "GetToken: empty scope",
		strings.Repeat("a", 2048):   "",
		strings.Repeat("a", 2049):   "GetToken: scope of 2049 characters, at most 2048",
		"https://vault.azure.net b": "contains a blank",
		"a\nb":                      "contains a blank",
		"a\xff":                     "is not UTF-8",
	} {
		err := Resource("GetToken", resource)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q in it", resource, err, want)
		}
	}
}
