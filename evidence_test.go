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
	{"AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/", "https://login.microsoftonline.com/"},
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

// urlVariables are those that have a URL.
var urlVariables = []string{"AZURE_AUTHORITY_HOST", "AZURE_KUBERNETES_TOKEN_PROXY", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"}

func TestEvidence(t *testing.T) {
	t.Parallel()
	variables := map[string]string{}
	agent := Evidence{Name: "/opt/azcmagent/bin/himds", File: true}
	var unset, empty, set []Evidence
	for _, v := range shownVariables {
		unset = append(unset, Evidence{Name: v.name})
	}
	unset = append(unset, agent)
	if diff := cmp.Diff(unset, evidence(environmentOf(variables))); diff != "" {
		t.Errorf("nothing set (-want +got):\n%s", diff)
	}
	for _, v := range shownVariables {
		variables[v.name] = ""
	}
	empty = evidence(environmentOf(variables))
	if diff := cmp.Diff(unset, empty); diff != "" {
		t.Errorf("all empty (-want +got):\n%s", diff)
	}
	for _, v := range shownVariables {
		variables[v.name] = v.in
		set = append(set, Evidence{Name: v.name, Set: true, Value: v.want, Withheld: v.want == ""})
	}
	agent.Set = true
	env := environmentOf(variables)
	env.exists = func(path string) bool { return path == agent.Name }
	if diff := cmp.Diff(append(set, agent), evidence(env)); diff != "" {
		t.Errorf("all set (-want +got):\n%s", diff)
	}
}

// TestArcUnseen: a directory of the agent is the agent; one above it, which other programs have,
// too, only may have it.
func TestArcUnseen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		goos, path, directory string
	}{
		{"linux", "/opt/azcmagent/bin/himds", "/opt/azcmagent"},
		{"windows", `C:\Program Files\AzureConnectedMachineAgent\himds.exe`, `C:\Program Files\AzureConnectedMachineAgent`},
	} {
		for seen, want := range map[bool]Host{true: HostArc, false: HostIMDS} {
			env := environmentOf(map[string]string{"ProgramFiles": `C:\Program Files`})
			env.goos = tt.goos
			env.forbidden = func(path string) bool { return path == tt.path }
			env.exists = func(path string) bool { return seen && path == tt.directory }
			d := detectIn(env)
			if d.Host != want || !strings.Contains(d.Reason, tt.path) ||
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

// TestEvidenceIsComplete: whatever any host is recognised by or asked with is in the list, and nothing else.
func TestEvidenceIsComplete(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	variables := map[string]string{}
	env := environmentOf(variables)
	env.getenv = func(name string) string {
		read[name] = true
		return variables[name]
	}
	look := func() {
		detectIn(env)
		detect.Azure(env.machine())
		for _, host := range append([]Host{""}, func() (all []Host) {
			for host := range makers {
				all = append(all, host)
			}
			return all
		}()...) {
			cred, err := newCredential(&CredentialOptions{Host: host, ClientOptions: optionsWith(nil)}, env)
			if err == nil {
				_, _ = cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"})
			}
		}
	}
	others := map[string]string{"ProgramFiles": `C:\Program Files`, "ProgramData": `C:\ProgramData`}
	for _, v := range shownVariables {
		if _, ok := detectionValues[v.name]; !ok {
			others[v.name] = v.in
		}
	}
	delete(others, "AZURE_KUBERNETES_CA_DATA") // not with the file
	for combination := range 1 << len(detectionColumns) {
		for _, more := range []bool{false, true} {
			clear(variables)
			for i, column := range detectionColumns {
				if combination>>i&1 == 1 {
					variables[column] = detectionValues[column]
				}
			}
			env.exists = func(string) bool { return combination>>(len(detectionColumns)-1) == 1 }
			env.goos = []string{"linux", "windows"}[combination&1]
			if more {
				maps.Copy(variables, others)
			}
			look()
		}
	}
	variables["AZURE_KUBERNETES_CA_DATA"] = "x"
	delete(variables, "AZURE_KUBERNETES_CA_FILE")
	look()
	delete(read, "ProgramFiles") // the paths themselves are shown
	delete(read, "ProgramData")
	var want []string
	for _, v := range shownVariables {
		want = append(want, v.name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(read))); diff != "" {
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

// TestEvidenceHidesTokens: somebody pastes one into any variable, alone, among others, or into a URL.
func TestEvidenceHidesTokens(t *testing.T) {
	t.Parallel()
	jwt := jwtOf(`{"oid":"` + canary + `"}`)
	payload := strings.Split(jwt, ".")[1]
	for _, v := range shownVariables {
		for _, value := range []string{jwt, jwt + "\n", " " + jwt, "Bearer " + jwt, `{"access_token":"` + canary + `"}`, "http://localhost/" + jwt, "https://localhost/x?t=" + jwt, "https://" + jwt + "@localhost/", "http://localhost/#" + jwt, v.in + jwt} {
			for _, alone := range []bool{true, false} {
				variables := map[string]string{}
				if !alone {
					for _, other := range shownVariables {
						variables[other.name] = other.in
					}
				}
				variables[v.name] = value
				if text := shownOf(t, environmentOf(variables)); strings.Contains(text, payload) || strings.Contains(text, canary) {
					t.Errorf("%s=%s, alone %v: shown in %s", v.name, value, alone, text)
				}
			}
		}
	}
}

// TestEvidenceOfURLs: user info and queries may be keys, and of what is no URL nobody knows which part is.
func TestEvidenceOfURLs(t *testing.T) {
	t.Parallel()
	for _, name := range urlVariables {
		for _, tt := range []struct{ in, want string }{
			{"http://user:pa55word@localhost:4141/msi/token", "http://localhost:4141/msi/token"},
			{"http://pa55word@localhost/", "http://localhost/"},
			{"http://localhost/msi/token?key=pa55word#pa55word", "http://localhost/msi/token"},
			{"user:pa55word@localhost", ""},
			{"http://[pa55word", ""},
			{"http://localhost/\npa55word", ""},
			{"http:pa55word", ""},
			{"http://localhost/pa55word@x", ""},
			{"pa55word", ""},
			{" ", ""},
		} {
			env := environmentOf(map[string]string{name: tt.in})
			if text := shownOf(t, env); strings.Contains(text, "pa55word") {
				t.Errorf("%s=%q is shown in %s", name, tt.in, text)
			}
			for _, e := range evidence(env) {
				if e.Name == name && (!e.Set || e.Value != tt.want || e.Withheld != (tt.want == "")) {
					t.Errorf("%s=%q: got %+v, want %q", name, tt.in, e, tt.want)
				}
			}
		}
	}
}

func TestEvidenceIsOneLineEach(t *testing.T) {
	t.Parallel()
	for _, v := range shownVariables {
		for _, e := range evidence(environmentOf(map[string]string{v.name: nasty + strings.Repeat("x", 5000)})) {
			checkOneLine(t, e.Value)
			if len(e.Value) > 300 {
				t.Errorf("%s: %d bytes", e.Name, len(e.Value))
			}
		}
	}
}

func TestEvidenceAsJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal([]Evidence{{Name: "N"}, {Name: "N", Set: true, Value: "v"}, {Name: "N", Set: true, Withheld: true}, {Name: "/f", File: true, Set: true}})
	const want = `[{"name":"N","set":false},{"name":"N","set":true,"value":"v"},{"name":"N","set":true,"withheld":true},{"name":"/f","file":true,"set":true}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, error %v, want %s", got, err, want)
	}
}

// TestDetectHasEvidence of this process.
func TestDetectHasEvidence(t *testing.T) {
	t.Parallel()
	got := Detect().Evidence
	if len(got) < len(shownVariables) || got[0].Name != shownVariables[0].name {
		t.Errorf("evidence is %+v", got)
	}
	if diff := cmp.Diff(evidence(processEnvironment()), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
