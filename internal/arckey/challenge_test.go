package arckey

import (
	"net/http"
	"strings"
	"testing"
)

func TestRealm(t *testing.T) {
	t.Parallel()
	const key = "/var/opt/azcmagent/tokens/x.key"
	for header, want := range map[string]string{ // the headers one a line; "" for no realm
		"Basic realm=" + key: key, // as the agent sends it
		`Basic realm=C:\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`: windowsKeys + `\x.key`,
		`Basic realm="` + key + `"`:                      key,
		"basic REALM=" + key:                             key,
		"  Basic   realm =  " + key + "  ":               key,
		`Basic realm = "` + key + `" `:                   key,
		`Basic realm=` + key + `, charset="UTF-8"`:       key,
		`Basic realm="` + key + `", charset="UTF-8"`:     key,
		"Basic realm=/a=b.key":                           "/a=b.key",
		"Basic realm=/a b.key":                           "/a b.key",
		`Basic realm="/a.key "`:                          "/a.key ",
		"Basic realm=/a,b.key":                           "/a,b.key",
		`Basic realm=C:\Users\Doe, Jane\x.key`:           `C:\Users\Doe, Jane\x.key`,
		`Basic realm="/a, b.key", charset="UTF-8"`:       "/a, b.key",
		`Basic realm=/a%2Fb.key`:                         `/a%2Fb.key`,
		`Basic realm="`:                                  `"`, // nothing that a path check lets pass
		`Basic realm="` + key:                            `"` + key,
		"Negotiate\nBasic realm=" + key:                  key,
		"Basic realm=" + key + "\nBearer realm=/x.key":   key,
		"Basic\nBasic charset=UTF-8\nBasic realm=" + key: key,
		"Basic realm=/first.key\nBasic realm=" + key:     "/first.key",

		"": "", "  ": "", "Basic": "", "Basic realm": "", "Basic realm=": "", "Basic realm=  ": "",
		`Basic realm=""`: "", `Basic realm=,`: "",
		"Basic realm=\nBasic realm=" + key:                              "", // neither of two is trusted
		"Bearer realm=" + key + "\nDigest realm=" + key + "\nNegotiate": "",
		"Basic2 realm=" + key:                                           "", "NotBasic realm=" + key: "",
		"realm=" + key:      "",
		"Basicrealm=" + key: "", "Basic\trealm=" + key: "", "Basic realm: " + key: "",
		"Basic path=" + key: "", "Basic xrealm=" + key: "", key: "",
	} {
		h := http.Header{"Www-Authenticate": strings.Split(header, "\n")}
		got, ok := Realm(h)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v, want %q", header, got, ok, want)
		}
	}
	if got, ok := Realm(http.Header{}); ok {
		t.Errorf("no header: got %q", got)
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
		for _, realm := range []string{
			"/x.key", linuxKeys + "/x", windowsKeys + "/x", "\x01", windowsKeys + "/*.key",
		} {
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
			for _, challenge := range []string{
				"Basic realm=" + path, "bAsIc  REALM = " + path + "\t", `Basic realm="` + path + `"`,
				`Basic realm="` + path + `", charset="UTF-8"`, "Basic realm=" + path + `, charset=UTF-8`,
			} {
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
			for _, p := range []string{
				realm, first, linuxKeys + "/" + first, windowsKeys + `\` + first + ".key",
			} {
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
