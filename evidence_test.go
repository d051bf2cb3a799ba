package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
)

// shownVariables are those of the evidence, in its order, with what each shows of a value.
var shownVariables = []struct{ name, in, want string }{
	{"AZURE_FEDERATED_TOKEN_FILE", "/var/run/token", "/var/run/token"},
	{"AZURE_CLIENT_ID", guid, guid},
	{"AZURE_TENANT_ID", "t", "t"},
	{"AZURE_AUTHORITY_HOST", "https://a.example/", "https://a.example/"},
	{"AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1", "https://10.0.0.1"},
	{"AZURE_KUBERNETES_CA_FILE", "/ca.crt", "/ca.crt"},
	{"AZURE_KUBERNETES_CA_DATA", "-----BEGIN CERTIFICATE-----", ""},
	{"AZURE_KUBERNETES_SNI_NAME", "x.example", "x.example"},
	{"IDENTITY_ENDPOINT", "http://localhost:4141/msi/token", "http://localhost:4141/msi/token"},
	{"IDENTITY_HEADER", canary, ""},
	{"IDENTITY_SERVER_THUMBPRINT", "0123", "0123"},
	{"IDENTITY_API_VERSION", "2019-07-01-preview", "2019-07-01-preview"},
	{"IMDS_ENDPOINT", "http://localhost:40342", "http://localhost:40342"},
	{"MSI_ENDPOINT", "http://127.0.0.1:41001/MSI/token/", "http://127.0.0.1:41001/MSI/token/"},
	{"MSI_SECRET", canary, ""},
	{"DEFAULT_IDENTITY_CLIENT_ID", guid, guid},
	{"AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:8080", "http://127.0.0.1:8080"},
	{"WEBSITE_SITE_NAME", "shop", "shop"},
	{"CONTAINER_APP_NAME", "shop", "shop"},
	{"CONTAINER_APP_JOB_NAME", "shop", "shop"},
	{"GITHUB_ACTIONS", "true", "true"},
	{"TF_BUILD", "True", "True"},
}

// setAll are all of those variables, as they are shown above.
func setAll() map[string]string {
	all := map[string]string{}
	for _, v := range shownVariables {
		all[v.name] = v.in
	}
	return all
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	agent := Evidence{Name: onLinux, File: true}
	var unset, set []Evidence
	empty := map[string]string{}
	for _, v := range shownVariables {
		unset = append(unset, Evidence{Name: v.name})
		empty[v.name] = ""
		set = append(set, Evidence{Name: v.name, Set: true, Value: v.want, Withheld: v.want == ""})
	}
	for name, variables := range map[string]map[string]string{"unset": nil, "empty": empty} {
		if diff := cmp.Diff(append(unset, agent), evidence(environmentOf(variables))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	agent.Set = true
	env := environmentOf(setAll())
	env.exists = func(path string) bool { return path == agent.Name }
	if diff := cmp.Diff(append(set, agent), evidence(env)); diff != "" {
		t.Errorf("all set (-want +got):\n%s", diff)
	}
}

// TestArcUnseen: a directory of the agent is the agent; one above it, which other programs have,
// too, only may have it.
func TestArcUnseen(t *testing.T) {
	t.Parallel()
	for path, tt := range map[string]struct{ goos, directory string }{
		onLinux:    {"linux", "/opt/azcmagent"},
		inPrograms: {"windows", `C:\Program Files\AzureConnectedMachineAgent`},
	} {
		for seen, want := range map[bool]Host{true: HostArc, false: HostIMDS} {
			env := environmentOf(map[string]string{"ProgramFiles": `C:\Program Files`})
			env.goos = tt.goos
			env.forbidden = func(p string) bool { return p == path }
			env.exists = func(p string) bool { return seen && p == tt.directory }
			d := detectIn(env)
			if d.Host != want || !strings.Contains(d.Reason, path) ||
				!strings.Contains(d.Reason, "seen") || detect.Azure(env.machine()) != d.Reason {
				t.Errorf("%s, its directory seen %v: %+v", tt.goos, seen, d)
			}
		}
	}
}

// TestArcUnseenInTheFileSystem: a directory that may not be searched.
func TestArcUnseenInTheFileSystem(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("may search any directory")
	}
	directory := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(directory, 0); err != nil {
		t.Fatal(err)
	}
	env := processEnvironment()
	if path := filepath.Join(directory, "himds"); !env.forbidden(path) || env.exists(path) ||
		env.forbidden(directory) {
		t.Errorf("a file in a closed directory: may not be seen %v, exists %v", env.forbidden(path),
			env.exists(path))
	}
}

// TestEvidenceIsComplete: whatever any host is recognised by or asked with is in the list, and
// nothing else.
func TestEvidenceIsComplete(t *testing.T) {
	t.Parallel()
	read, variables := map[string]bool{}, map[string]string{}
	env := environmentOf(variables)
	env.getenv = func(name string) string {
		read[name] = true
		return variables[name]
	}
	hosts := []Host{""}
	for host := range makers {
		hosts = append(hosts, host)
	}
	look := func() {
		detectIn(env)
		detect.Azure(env.machine())
		for _, host := range hosts {
			cred, err := newCredential(&CredentialOptions{Host: host,
				ClientOptions: optionsWith(nil)}, env)
			if err == nil {
				_, _ = cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"})
			}
		}
	}
	others := setAll()
	for name := range detectionValues {
		delete(others, name)
	}
	others["ProgramFiles"], others["ProgramData"] = `C:\Program Files`, `C:\ProgramData`
	delete(others, "AZURE_KUBERNETES_CA_DATA") // not with the file
	for combination := range 1 << len(detectionColumns) {
		for _, more := range []map[string]string{nil, others} {
			clear(variables)
			for i, column := range detectionColumns {
				if combination>>i&1 == 1 {
					variables[column] = detectionValues[column]
				}
			}
			env.exists = func(string) bool { return combination>>(len(detectionColumns)-1) == 1 }
			env.goos = []string{"linux", "windows"}[combination&1]
			maps.Copy(variables, more)
			look()
		}
	}
	variables["AZURE_KUBERNETES_CA_DATA"] = "x"
	delete(variables, "AZURE_KUBERNETES_CA_FILE")
	look()
	delete(read, "ProgramFiles") // the paths themselves are shown
	delete(read, "ProgramData")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(setAll())),
		slices.Sorted(maps.Keys(read))); diff != "" {
		t.Errorf("variables that are read, and those in the evidence (-evidence +read):\n%s", diff)
	}
}

// shownOf is all that Detect would show of an environment.
func shownOf(tb testing.TB, env environment) string {
	tb.Helper()
	d := detectIn(env)
	d.Evidence = evidence(env)
	out, err := json.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%+v\n%s", d, out)
}

// TestEvidenceHidesTokens: somebody pastes one into any variable, alone, among others, or into a
// URL.
func TestEvidenceHidesTokens(t *testing.T) {
	t.Parallel()
	jwt := jwtOf(`{"oid":"` + canary + `"}`)
	payload := strings.Split(jwt, ".")[1]
	for _, v := range shownVariables {
		for _, value := range []string{jwt, jwt + "\n", " " + jwt, "Bearer " + jwt,
			`{"access_token":"` + canary + `"}`, "http://localhost/" + jwt,
			"https://localhost/x?t=" + jwt, "https://" + jwt + "@localhost/",
			"http://localhost/#" + jwt, v.in + jwt} {
			for _, variables := range []map[string]string{{}, setAll()} {
				variables[v.name] = value
				if text := shownOf(t, environmentOf(variables)); strings.Contains(text, payload) ||
					strings.Contains(text, canary) {
					t.Errorf("%s=%s: shown in %s", v.name, value, text)
				}
			}
		}
	}
}

// TestEvidenceOfURLs: user info and queries may be keys, and of what is no URL nobody knows which
// part is. What Detect says of the endpoint is the same.
func TestEvidenceOfURLs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://localhost:4141/msi/token":                "http://localhost:4141/msi/token",
		"http://user:pa55word@localhost:4141/msi/token":  "http://localhost:4141/msi/token",
		"http://pa55word@localhost/":                     "http://localhost/",
		"http://localhost/msi/token?k=pa55word#pa55word": "http://localhost/msi/token",
		"user:pa55word@localhost":                        "",
		"http://[pa55word":                               "", "http://localhost/\npa55word": "",
		"http:pa55word": "", "http://localhost/pa55word@x": "", "pa55word": "", " ": "",
	} {
		for _, name := range []string{"AZURE_AUTHORITY_HOST", "AZURE_KUBERNETES_TOKEN_PROXY",
			envEndpoint, envIMDS, envMSI, envAuthority} {
			env := environmentOf(map[string]string{name: in, envHeader: "h"})
			if text := shownOf(t, env); strings.Contains(text, "pa55word") {
				t.Errorf("%s=%q is shown in %s", name, in, text)
			}
			for _, e := range evidence(env) {
				if e.Name == name && (!e.Set || e.Value != want || e.Withheld != (want == "")) {
					t.Errorf("%s=%q: got %+v, want %q", name, in, e, want)
				}
			}
			if d := detectIn(env); (name == envEndpoint || name == envMSI) && d.Endpoint != want {
				t.Errorf("%s=%q: the endpoint is %q, want %q", name, in, d.Endpoint, want)
			}
		}
	}
}

func TestEvidenceIsOneLineEach(t *testing.T) {
	t.Parallel()
	for _, v := range shownVariables {
		for _, e := range evidence(environmentOf(map[string]string{
			v.name: nasty + strings.Repeat("x", 5000)})) {
			checkOneLine(t, e.Value)
			if len(e.Value) > 300 {
				t.Errorf("%s: %d bytes", e.Name, len(e.Value))
			}
		}
	}
}

func TestEvidenceAsJSON(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Evidence{
		`{"name":"N","set":false}`:                {Name: "N"},
		`{"name":"N","set":true,"value":"v"}`:     {Name: "N", Set: true, Value: "v"},
		`{"name":"N","set":true,"withheld":true}`: {Name: "N", Set: true, Withheld: true},
		`{"name":"/f","file":true,"set":true}`:    {Name: "/f", File: true, Set: true},
	} {
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("got %s, error %v, want %s", got, err, want)
		}
	}
}

// TestDetectHasEvidence of this process.
func TestDetectHasEvidence(t *testing.T) {
	t.Parallel()
	got := Detect().Evidence
	if diff := cmp.Diff(evidence(processEnvironment()), got); diff != "" || len(got) == 0 {
		t.Errorf("-want +got:\n%s", diff)
	}
}
