package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

// set returns a change of a request's query; "" takes a parameter away.
func set(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		query := r.URL.Query()
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
		r.URL.RawQuery = query.Encode()
	}
}

func more(raw string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += "&" + raw }
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func path(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }

func method(method string) func(*http.Request) {
	return func(r *http.Request) { r.Method = method }
}

func host(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }

type refusalTest struct {
	name   string
	change func(*http.Request)
	status int
	want   string
}

// ofBoth are refused in both protocols.
var ofBoth = []refusalTest{
	{"POST", method("POST"), 405, "want GET, not POST"},
	{"HEAD", method("HEAD"), 405, "want GET"},
	{"PUT", method("PUT"), 405, "want GET"},
	{"a browser asks first", method("OPTIONS"), 405, "want GET"},
	{"a custom method", method("GIVE"), 405, "want GET"},

	{"forwarded", header("X-Forwarded-For", "203.0.113.7"), 403,
		"X-Forwarded-For says that somebody forwards this request"},
	{"forwarded, an empty header", header("X-Forwarded-For", ""), 403, "X-Forwarded-For"},
	{"forwarded, for another host", header("X-Forwarded-Host", "a.example"), 403, "X-Forwarded-Host"},
	{"forwarded, standard header", header("Forwarded", "for=203.0.113.7"), 403, "Forwarded"},
	{"forwarded, by nginx", header("X-Real-IP", "203.0.113.7"), 403, "X-Real-Ip"},
	{"through a proxy", header("Via", "1.1 proxy"), 403, "NO_PROXY=host.docker.internal"},
	{"as a proxy", func(r *http.Request) {
		r.URL.Scheme, r.URL.Host = "http", "127.0.0.1"
	}, 403, "devserver is none"},

	{"a web page", header("Origin", "https://a.example"), 403, "Origin says that a web page asks"},
	{"a web page of nowhere", header("Origin", "null"), 403, "web page"},
	{"a web page of this machine", header("Origin", "http://localhost:3000"), 403, "web page"},
	{"a browser's image", header("Sec-Fetch-Dest", "image"), 403, "web page"},
	{"a browser's request", header("Sec-Fetch-Site", "cross-site"), 403, "web page"},
	{"a browser's address bar", header("Sec-Fetch-User", "?1"), 403, "web page"},

	{"a name that was made to lead here", host("rebound.example:16925"), 403, "-host-name"},
	{"a name that ends in a known one", host("evil-localhost:16925"), 403, "-host-name"},
	{"a name that begins with a known one", host("localhost.a.example"), 403, "-host-name"},
	{"a name that begins with an address", host("127.0.0.1.a.example"), 403, "-host-name"},
	{"a name of a service that leads to any address", host("127.0.0.1.nip.io:16925"), 403,
		"-host-name"},
	{"an address as one number", host("2130706433:16925"), 403, "-host-name"},
	{"an address in hexadecimal", host("0x7f.0.0.1:16925"), 403, "-host-name"},
	{"a short address", host("127.1:16925"), 403, "-host-name"},
	{"an address with octal zeros", host("0177.0.0.1"), 403, "-host-name"},
	{"a name in brackets", host("[rebound.example]:16925"), 403, "-host-name"},
	{"a name and a user", host("localhost@rebound.example"), 403, "-host-name"},
	{"a name with a dot behind", host("localhost."), 403, "-host-name"},
	{"no name", host(""), 403, "-host-name"},
	{"a port for a name", host(":16925"), 403, "-host-name"},

	{"no api-version", set("api-version", ""), 400, "api-version is missing"},
	{"older api-version", set("api-version", "2017-09-01"), 400,
		`api-version "2017-09-01" is not supported`},
	{"api-version in words", set("api-version", "latest"), 400, "not supported"},
	{"two api-versions", more("api-version=2018-02-01"), 400, `"api-version" is given more than once`},
	{"no resource", set("resource", ""), 400, "resource is missing"},
	{"empty resource", func(r *http.Request) {
		r.URL.RawQuery = strings.Split(r.URL.RawQuery, "&resource")[0] + "&resource="
	}, 400, "resource is missing"},
	{"two resources", more("resource=https%3A%2F%2Fvault.azure.net"), 400,
		`"resource" is given more than once`},
	{"a scope", set("resource", vault+"/.default"), 400, "want it without /.default"},
	{"long resource", set("resource", strings.Repeat("a", maxResource+1)), 400, "at most 2048"},
	{"resource with a blank", set("resource", vault+" x"), 400, "blank or a control"},
	{"resource with a line break", set("resource", vault+"\nx"), 400, "blank or a control"},
	{"resource that is no text", set("resource", vault+"\xff"), 400, "not UTF-8"},
	{"malformed", more("a=%zz"), 400, "malformed"},

	{"an ID", set("client_id", nobody), 400, `client_id selects the identity "` + nobody + `"`},
	{"an object ID", set("object_id", nobody), 400, "-accept-id"},
	{"an empty ID", more("client_id="), 400, `selects the identity ""`},
	{"two IDs", more("client_id=a&object_id=b"), 400, "at most one"},
	{"the same ID twice", more("client_id=a&client_id=a"), 400, "more than once"},
	{"a slip", set("clientId", nobody), 400, `"clientId" is not one of `},
	{"another slip", set("clientid", nobody), 400, "want client_id"},
}

var ofIMDS = []refusalTest{
	{"no Metadata", func(r *http.Request) { r.Header.Del("Metadata") }, 400, "Metadata: true"},
	{"Metadata false", header("Metadata", "false"), 400, "Metadata: true"},
	{"Metadata in capitals", header("Metadata", "True"), 400, "Metadata: true"},
	{"Metadata twice", header("Metadata", "true", "true"), 400, "Metadata: true"},
	{"the other protocol's header", func(r *http.Request) {
		r.Header.Del("Metadata")
		r.Header.Set("X-Identity-Header", secret)
	}, 400, "Metadata: true"},
	{"App Service's selector", set("principal_id", nobody), 400, "is not one of IMDS"},
	{"a resource ID", set("msi_res_id", "/subscriptions/s"), 400, "-accept-id"},
	{"below", path(imds.path + "/more"), 404, "no token endpoint"},
	{"instance metadata", path("/metadata/instance"), 404, "no token endpoint"},
	{"root", path("/"), 404, "IDENTITY_ENDPOINT"},
}

var ofAppService = []refusalTest{
	{"no secret", func(r *http.Request) {
		r.Header.Del("X-Identity-Header")
	}, 403, "set IDENTITY_HEADER"},
	{"empty secret", header("X-Identity-Header", ""), 403, "X-IDENTITY-HEADER"},
	{"wrong secret", header("X-Identity-Header", "of an earlier run"), 403, "X-IDENTITY-HEADER"},
	{"part of the secret", header("X-Identity-Header", secret[:25]), 403, "X-IDENTITY-HEADER"},
	{"secret in another case", header("X-Identity-Header", strings.ToLower(secret)), 403,
		"X-IDENTITY-HEADER"},
	{"secret twice", header("X-Identity-Header", secret, secret), 403, "X-IDENTITY-HEADER"},
	{"the other protocol's header", func(r *http.Request) {
		r.Header.Del("X-Identity-Header")
		r.Header.Set("Metadata", "true")
	}, 403, "X-IDENTITY-HEADER"},
	{"IMDS's api-version", set("api-version", "2018-02-01"), 400, "want 2019-08-01"},
	{"IMDS's selector", set("msi_res_id", "/subscriptions/s"), 400, "is not one of App Service"},
	{"a resource ID", set("mi_res_id", "/subscriptions/s"), 400, "-accept-id"},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, group := range []struct {
		protocol protocol
		tests    []refusalTest
	}{{imds, ofBoth}, {imds, ofIMDS}, {appService, ofBoth}, {appService, ofAppService}} {
		for _, test := range group.tests {
			t.Run(group.protocol.name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				r := good(group.protocol)
				test.change(r)
				status, body := f.send(t, r)
				wantRefused(t, group.protocol, status, test.status, body, test.want)
				if asked := f.developer.scopes(); len(asked) > 0 {
					t.Errorf("the credential was asked for %q", asked)
				}
				if got := f.logged.String(); strings.Count(got, "\n") != 1 ||
					!strings.Contains(got, "level=WARN") {
					t.Errorf("logged %q, want one warning", got)
				}
			})
		}
	}
}

// TestNotServed: what -protocols leaves out isn't there for a program with the right header,
// either.
func TestNotServed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ served, asked protocol }{{imds, appService}, {appService, imds}} {
		f := newFixture(t)
		f.protocols = []protocol{test.served}
		status, body := f.send(t, good(test.asked))
		wantRefused(t, test.asked, status, 403, body, "-protocols "+test.asked.flag)
		if status, body := f.send(t, good(test.served)); status != 200 {
			t.Errorf("%s: status %d, want 200: %v", test.served.name, status, body)
		}
	}
}

// TestNoToken: the developer reads what the credential says, at once and in one line.
func TestNoToken(t *testing.T) {
	t.Parallel()
	leaked := commandlinetest.JWTOf(t, map[string]any{"a": 1})
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"az login is due", errors.New("identity: Azure CLI: \"Please run 'az login' to setup " +
			"account.\" (token for x)"),
			`Azure CLI: "Please run 'az login' to setup account."`},
		{"several lines", errors.New("first\r\n\tsecond\x1b[31m"), "first second [31m"},
		{"a token within", errors.New("printed " + leaked + " and more"), "printed REDACTED and more"},
		{"the secret within", errors.New("printed " + secret + "."), "printed REDACTED."},
		{"no end", errors.New(strings.Repeat("long-", 1000)), "long-…"},
		{"neither token nor error", nil, "empty token"},
	} {
		for _, p := range protocols {
			t.Run(p.name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.developer.token, f.developer.err = azcore.AccessToken{}, test.err
				status, body := f.send(t, good(p))
				wantRefused(t, p, status, 424, body, test.want)
				if text := fmt.Sprint(body) + f.logged.String(); strings.Contains(text, leaked) ||
					len(text) > 3000 {
					t.Errorf("a token, or too much, in answer and log: %s", text)
				}
			})
		}
	}
}

// TestReflected: what a client sends comes back without what looks like a token.
func TestReflected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sent := commandlinetest.JWTOf(t, map[string]any{"a": 1})
	for _, raw := range []string{"client_id=" + sent, "client_id=" + url.QueryEscape(secret), "clientId_" + sent + "=1&clientid=" + secret} {
		r := good(imds)
		more(raw)(r)
		_, body := f.send(t, r)
		if text := fmt.Sprint(body) + f.logged.String(); strings.Contains(text, sent) {
			t.Errorf("a token came back: %s", text)
		}
	}
	r := good(imds)
	set("resource", sent)(r)
	f.ServeHTTP(httptest.NewRecorder(), r) // whose answer has the resource as it was sent
	if strings.Contains(f.logged.String(), sent) ||
		!strings.Contains(f.logged.String(), "resource=REDACTED") {
		t.Errorf("logged %s, want the resource without a token in it", f.logged)
	}
}
