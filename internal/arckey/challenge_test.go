package arckey

import (
	"net/http"
	"strings"
	"testing"
)

func TestRealm(t *testing.T) {
	t.Parallel()
	const key = "/var/opt/azcmagent/tokens/x.key"
	for _, tt := range []struct {
		name    string
		headers []string
		want    string // "" for none
	}{
		{"as the agent sends it", []string{"Basic realm=" + key}, key},
		{"as on Windows", []string{`Basic realm=C:\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`},
			`C:\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`},
		{"quotes", []string{`Basic realm="` + key + `"`}, key},
		{"other case", []string{"basic REALM=" + key}, key},
		{"blanks around", []string{"  Basic   realm =  " + key + "  "}, key},
		{"blanks around quotes", []string{`Basic realm = "` + key + `" `}, key},
		{"another parameter behind", []string{`Basic realm=` + key + `, charset="UTF-8"`}, key},
		{"another parameter behind quotes", []string{`Basic realm="` + key + `", charset="UTF-8"`}, key},
		{"an equals sign within", []string{"Basic realm=/a=b.key"}, "/a=b.key"},
		{"a blank within", []string{"Basic realm=/a b.key"}, "/a b.key"},
		{"a blank at the end, quoted", []string{`Basic realm="/a.key "`}, "/a.key "},
		{"a comma within", []string{"Basic realm=/a,b.key"}, "/a,b.key"},
		{"a comma and a blank within", []string{`Basic realm=C:\Users\Doe, Jane\x.key`},
			`C:\Users\Doe, Jane\x.key`},
		{"a comma within quotes", []string{`Basic realm="/a, b.key", charset="UTF-8"`}, "/a, b.key"},
		{"escapes stay", []string{`Basic realm=/a%2Fb.key`}, `/a%2Fb.key`},
		{"one quote", []string{`Basic realm="`}, `"`}, // nothing that a path check lets pass
		{"an open quote", []string{`Basic realm="` + key}, `"` + key},
		{"behind another scheme's header", []string{"Negotiate", "Basic realm=" + key}, key},
		{"before another scheme's header", []string{"Basic realm=" + key, "Bearer realm=/elsewhere.key"},
			key},
		{"behind a Basic without realm", []string{"Basic", `Basic charset="UTF-8"`, "Basic realm=" + key},
			key},
		{"two, the first counts", []string{"Basic realm=/first.key", "Basic realm=" + key}, "/first.key"},

		{"no header", nil, ""},
		{"empty header", []string{""}, ""},
		{"blank header", []string{"  "}, ""},
		{"scheme only", []string{"Basic"}, ""},
		{"no value", []string{"Basic realm"}, ""},
		{"empty value", []string{"Basic realm="}, ""},
		{"blank value", []string{"Basic realm=  "}, ""},
		{"empty quotes", []string{`Basic realm=""`}, ""},
		{"comma only", []string{`Basic realm=,`}, ""},
		// two answers from one agent: trust neither
		{"an empty one first", []string{"Basic realm=", "Basic realm=" + key}, ""},
		{"other schemes", []string{"Bearer realm=" + key, "Digest realm=" + key, "Negotiate"}, ""},
		{"a scheme that begins like it", []string{"Basic2 realm=" + key}, ""},
		{"a scheme that ends like it", []string{"NotBasic realm=" + key}, ""},
		{"no scheme", []string{"realm=" + key}, ""},
		{"no blank", []string{"Basicrealm=" + key}, ""},
		{"a tab in place of the blank", []string{"Basic\trealm=" + key}, ""},
		{"a colon", []string{"Basic realm: " + key}, ""},
		{"another parameter", []string{"Basic path=" + key}, ""},
		{"a parameter that ends like it", []string{"Basic xrealm=" + key}, ""},
		{"the path alone", []string{key}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for _, value := range tt.headers {
				h.Add("WWW-Authenticate", value)
			}
			got, ok := Realm(h)
			if ok != (tt.want != "") || ok && got != tt.want {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

var directories = map[string]string{"linux": linuxKeys, "windows": windowsKeys}

// FuzzChallenge: whatever header arrives, only a .key directly in the agent's directory passes,
// every one does, and what is refused is not repeated.
func FuzzChallenge(f *testing.F) {
	for _, realm := range []string{
		linuxKeys + "/x.key", linuxKeys + "/a6d5e2f0-1111-4222-8333-944455556666.key",
		linuxKeys + "/../x.key", linuxKeys + "/..key", linuxKeys + "/.key", linuxKeys + "/a/x.key",
		linuxKeys + "/x.key\x00",
		linuxKeys + "//x.key", linuxKeys + "x/x.key", linuxKeys + "/x.KEY", linuxKeys + "/x.key/",
		linuxKeys + "/a, b=c.key", linuxKeys + "/ä.key", linuxKeys + "/\xff.key", "/etc/passwd", "x.key",
		"",
		windowsKeys + `\x.key`, `c:/programdata/azureconnectedmachineagent/tokens/x.key`,
		windowsKeys + `\..\x.key`, windowsKeys + `\x.KEY`,
		`C:\ProgramData\AzureConnectedMachineAgent\To` + "\u212a" + `ens\x.key`,
		linuxKeys + "/a\x01b.key", windowsKeys + "\\a\x01b.key",
		windowsKeys + `\a:b.key`, windowsKeys + `\x.key::$DATA`, `\\server\share\x.key`,
		`\\?\` + windowsKeys + `\x.key`, windowsKeys + `\x.key `,
	} {
		f.Add("Basic realm="+realm, "")
		f.Add(`basic realm="`+realm+`", charset="UTF-8"`, "Bearer")
		f.Add("Bearer realm="+realm, "BASIC  Realm = "+realm)
		f.Add("Negotiate, Basic realm="+realm, "Basic charset=UTF-8, realm="+realm)
		f.Add(realm, realm)
	}
	refusals := map[string]bool{}
	for goos, directory := range directories {
		for _, realm := range []string{"/x.key", linuxKeys + "/x", windowsKeys + "/x", "\x01", windowsKeys + "/*.key"} {
			if err := checkPath(realm, directory, goos); err != nil {
				refusals[err.Error()] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		header := http.Header{"Www-Authenticate": {first, second}}
		realm, ok := Realm(header)
		if ok && realm == "" || !strings.Contains(first, realm) && !strings.Contains(second, realm) {
			t.Fatalf("%q and %q have the realm %q, %v", first, second, realm, ok)
		}
		isBasic := func(challenge string) bool {
			rest, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(strings.TrimSpace(challenge),
				"ſ", "s")), "basic ")
			return ok && strings.HasPrefix(strings.TrimSpace(rest), "realm")
		}
		if ok && !isBasic(first) && !isBasic(second) {
			t.Fatalf("neither %q nor %q is a Basic challenge, but it has the realm %q", first, second, realm)
		}
		// A path that is sent as the agent does, and as others might.
		path := strings.TrimSpace(first)
		if strings.Trim(path, ", ") != "" && !strings.Contains(path, `"`) &&
			!strings.Contains(path, "=") {
			for _, challenge := range []string{"Basic realm=" + path, "bAsIc  REALM = " + path + "\t", `Basic realm="` + path + `"`, `Basic realm="` + path + `", charset="UTF-8"`, "Basic realm=" + path + `, charset=UTF-8`} {
				want := path
				if !strings.Contains(challenge, `"`) && strings.Contains(challenge, "charset") {
					want = strings.TrimSpace(strings.SplitN(path+", charset=", ", charset=", 2)[0])
				}
				if got, ok := Realm(http.Header{"Www-Authenticate": {"Bearer realm=x", challenge}}); !ok ||
					got != want {
					t.Errorf("%q has the realm %q, %v, want %q", challenge, got, ok, want)
				}
			}
		}
		for goos, directory := range directories {
			for _, p := range []string{realm, first, linuxKeys + "/" + first, windowsKeys + `\` + first + ".key"} {
				err := checkPath(p, directory, goos)
				if (err == nil) != isKeyFile(p, goos) {
					t.Fatalf("on %s, %q: %v", goos, p, err)
				}
				if err != nil && !refusals[err.Error()] {
					t.Fatalf("on %s the refusal of %q is none of the texts: %v", goos, p, err)
				}
			}
		}
	})
}
