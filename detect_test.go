package identity

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
)

// wantErrorText checks that there is an error, that it is one line, and that it has all of want in it.
func wantErrorText(tb testing.TB, err error, want ...string) {
	tb.Helper()
	if err == nil {
		tb.Errorf("no error, want one with %q", want)
		return
	}
	for _, w := range append([]string{"identity: "}, want...) {
		if !strings.Contains(err.Error(), w) {
			tb.Errorf("error is %q, want %q in it", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n\u2028\u2029\u0085") {
		tb.Errorf("error is not one line: %q", err)
	}
}

// The columns of the truth table, and what each is set to. The last is the Arc agent's program.
var (
	detectionColumns = []string{
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "himds",
	}
	detectionValues = map[string]string{
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
		"AZURE_CLIENT_ID":            "11111111-1111-4111-8111-111111111111",
		"AZURE_TENANT_ID":            "22222222-2222-4222-8222-222222222222",
		"IDENTITY_ENDPOINT":          "https://localhost:2377/metadata/identity/oauth2/token",
		"IDENTITY_HEADER":            canary + "-header",
		"IDENTITY_SERVER_THUMBPRINT": "0123456789ABCDEF0123456789abcdef01234567",
		"IMDS_ENDPOINT":              "http://localhost:40342",
		"MSI_ENDPOINT":               "http://127.0.0.1:41001/MSI/token/",
		"MSI_SECRET":                 canary + "-secret",
	}
)

// detectionTable: 1 is set, 0 is unset or empty, - is either. Each of the 1,024 combinations is in
// exactly one row. Where IDENTITY_ENDPOINT is plain http, Service Fabric is Container Instances on
// Windows, and nothing else changes.
var detectionTable = []struct {
	row      string // in the order of detectionColumns
	host     Host
	endpoint string
}{
	{"111 ---- -- -", "workloadidentity", "https://login.microsoftonline.com/22222222-2222-4222-8222-222222222222/oauth2/v2.0/token"},
	{"10- ---- -- -", "workloadidentity", ""}, // a token file is never left unused silently
	{"110 ---- -- -", "workloadidentity", ""},
	{"0-- 111- -- -", "servicefabric", "https://localhost:2377/metadata/identity/oauth2/token"},
	{"0-- 110- -- -", "appservice", "https://localhost:2377/metadata/identity/oauth2/token"}, // with IMDS_ENDPOINT, too, and with Container Apps' MSI_ variables
	{"0-- 10-- 11 -", "azureml", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 10-- 10 -", "cloudshell", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 10-1 0- -", "arc", "https://localhost:2377/metadata/identity/oauth2/token"},
	{"0-- 10-0 0- 1", "arc", "http://127.0.0.1:40342/metadata/identity/oauth2/token"},
	{"0-- 10-0 0- 0", "imds", "http://169.254.169.254/metadata/identity/oauth2/token"},
	{"0-- 0--- 11 -", "azureml", "http://127.0.0.1:41001/MSI/token/"}, // Container Instances' half set is among these four
	{"0-- 0--- 10 -", "cloudshell", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 0--- 0- 1", "arc", "http://127.0.0.1:40342/metadata/identity/oauth2/token"},
	{"0-- 0--- 0- 0", "imds", "http://169.254.169.254/metadata/identity/oauth2/token"},
}

// expectedDetection looks a combination up in the table.
func expectedDetection(tb testing.TB, set func(column string) bool) (Host, string) {
	tb.Helper()
	var host Host
	var endpoint string
	rows := 0
	for _, r := range detectionTable {
		row := strings.ReplaceAll(r.row, " ", "")
		if len(row) != len(detectionColumns) {
			tb.Fatalf("row %q has %d columns", r.row, len(row))
		}
		match := true
		for i, column := range detectionColumns {
			match = match && (row[i] == '-' || (row[i] == '1') == set(column))
		}
		if match {
			host, endpoint = r.host, r.endpoint
			rows++
		}
	}
	if rows != 1 {
		tb.Fatalf("%d rows of the table match, want 1: the table is wrong", rows)
	}
	return host, endpoint
}

// agents are the places where the Arc agent's program can be, on each system. On the last three there is none to be found.
var agents = []struct {
	goos  string
	files []string
	found bool
}{
	{"linux", []string{"/opt/azcmagent/bin/himds"}, true},
	{"windows", []string{`C:\Program Files\AzureConnectedMachineAgent\himds.exe`}, true},
	{"windows", []string{`C:\ProgramData\AzureConnectedMachineAgent\himds.exe`}, true},
	{"windows", []string{`C:\Program Files\AzureConnectedMachineAgent\himds.exe`, `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`}, true},
	{"linux", nil, false},
	{"windows", nil, false},
	{"darwin", []string{"/opt/azcmagent/bin/himds", `C:\Program Files\AzureConnectedMachineAgent\himds.exe`}, false},
}

// TestDetectTruthTable walks through all combinations of the variables, each unset, empty or set, and of the files.
func TestDetectTruthTable(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"https", "http"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			testDetectTruthTable(t, scheme)
		})
	}
}

// testDetectTruthTable has the scheme for IDENTITY_ENDPOINT.
func testDetectTruthTable(t *testing.T, scheme string) {
	values := maps.Clone(detectionValues)
	values["IDENTITY_ENDPOINT"] = scheme + strings.TrimPrefix(values["IDENTITY_ENDPOINT"], "https")
	names := detectionColumns[:len(detectionColumns)-1]
	combinations := 1
	for range names {
		combinations *= 3
	}
	for _, agent := range agents {
		t.Run(fmt.Sprint(agent.goos, " ", len(agent.files)), func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{}
			env := environmentOf(variables)
			env.goos = agent.goos
			env.exists = func(path string) bool { return slices.Contains(agent.files, path) }
			for combination := range combinations {
				clear(variables)
				variables["ProgramFiles"], variables["ProgramData"] = `C:\Program Files`, `C:\ProgramData`
				empty := 0
				for i, rest := 0, combination; i < len(names); i, rest = i+1, rest/3 {
					switch rest % 3 {
					case 1:
						variables[names[i]] = ""
						empty++
					case 2:
						variables[names[i]] = values[names[i]]
					}
				}
				host, endpoint := expectedDetection(t, func(column string) bool {
					if column == "himds" {
						return agent.found
					}
					return variables[column] != ""
				})
				if host == HostServiceFabric && scheme == "http" {
					host = HostContainerInstances
				}
				if endpoint == detectionValues["IDENTITY_ENDPOINT"] {
					endpoint = values["IDENTITY_ENDPOINT"]
				}
				got := detectIn(env)
				if got.Host != host || got.Endpoint != endpoint {
					t.Fatalf("%v: got %s at %s, want %s at %s", variables, got.Host, got.Endpoint, host, endpoint)
				}
				if got.Reason == "" || strings.Contains(fmt.Sprintf("%+v", got), canary) {
					t.Fatalf("%v: reason is empty or has a secret: %+v", variables, got)
				}
				if empty > 0 { // the same as unset, as we have just seen
					continue
				}
				cred, err := newCredential(&CredentialOptions{}, env)
				if err != nil && host == HostWorkloadIdentity {
					wantErrorText(t, err, "AZURE_FEDERATED_TOKEN_FILE is set, but ", "is empty",
						"CredentialOptions.Host to HostIMDS")
					if endpoint != "" || strings.Contains(err.Error(), canary) {
						t.Fatalf("%v: newCredential: %v", variables, err)
					}
				} else if err != nil {
					wantErrorText(t, err, "Azure Arc's agent runs on Linux and Windows")
					if host != HostArc || agent.goos != "darwin" || strings.Contains(err.Error(), canary) {
						t.Fatalf("%v: newCredential: %v", variables, err)
					}
				} else if cred.Host() != host {
					t.Fatalf("%v: Credential.Host() is %s, want %s", variables, cred.Host(), host)
				}
			}
		})
	}
}

// TestReasonIsTrue: the reason must not deny variables that are set: half a set is what a person reads the reason for.
func TestReasonIsTrue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  []string
		want []string // in the reason
	}{
		{"App Service", []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}, []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}},
		{"Service Fabric", []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"}, []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"}},
		{"Container Apps' double set", []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"}, []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}},
		{"Container Instances' half set", []string{"IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"}, []string{"IDENTITY_HEADER", "IDENTITY_ENDPOINT is not"}},
		{"Azure ML", []string{"MSI_ENDPOINT", "MSI_SECRET"}, []string{"MSI_ENDPOINT", "MSI_SECRET"}},
		{"Cloud Shell", []string{"MSI_ENDPOINT"}, []string{"MSI_ENDPOINT", "MSI_SECRET is not"}},
		{"Arc", []string{"IDENTITY_ENDPOINT", "IMDS_ENDPOINT"}, []string{"IDENTITY_ENDPOINT", "IMDS_ENDPOINT"}},
		{"workload identity", []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"}, []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"}},
		{"half of workload identity", []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID"}, []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID is not"}},
		{"the file alone", []string{"AZURE_FEDERATED_TOKEN_FILE"}, []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID and AZURE_TENANT_ID are not"}},
		{"nothing", nil, []string{"no other host's variables"}},
		{"the endpoint alone", []string{"IDENTITY_ENDPOINT"}, []string{"IDENTITY_ENDPOINT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{}
			for _, name := range tt.set {
				variables[name] = detectionValues[name]
			}
			got := detectIn(environmentOf(variables)).Reason
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("reason is %q, want %q in it", got, w)
				}
			}
			if len(tt.set) > 0 && strings.HasPrefix(got, "no other host's variables") {
				t.Errorf("reason is %q, but %v are set", got, tt.set)
			}
		})
	}
}

func TestDetectArcAgent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, goos, file string
		variables        map[string]string
		want             Host
	}{
		{"Linux", "linux", "/opt/azcmagent/bin/himds", nil, "arc"},
		{"Linux, its name on Windows", "linux", "/opt/azcmagent/bin/himds.exe", nil, "imds"},
		{"Windows, Program Files", "windows", `C:\Program Files\AzureConnectedMachineAgent\himds.exe`, map[string]string{"ProgramFiles": `C:\Program Files`}, "arc"},
		{"Windows, ProgramData", "windows", `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`, map[string]string{"ProgramData": `C:\ProgramData`}, "arc"},
		{"Windows, both set, the second has it", "windows", `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`, map[string]string{"ProgramFiles": `C:\Program Files`, "ProgramData": `C:\ProgramData`}, "arc"},
		{"Windows, neither variable", "windows", `AzureConnectedMachineAgent\himds.exe`, nil, "imds"},
		{"Windows, Linux's path", "windows", "/opt/azcmagent/bin/himds", map[string]string{"ProgramFiles": `C:\Program Files`}, "imds"},
		{"macOS", "darwin", "/opt/azcmagent/bin/himds", nil, "imds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environmentOf(tt.variables)
			env.goos = tt.goos
			env.exists = func(path string) bool { return path == tt.file }
			if got := detectIn(env); got.Host != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
			env.exists = func(string) bool { return false }
			if got := detectIn(env); got.Host != HostIMDS {
				t.Errorf("without the file: got %+v, want imds", got)
			}
		})
	}
}

// TestDetectProcess: Detect looks at this process, wherever the test runs.
func TestDetectProcess(t *testing.T) {
	t.Parallel()
	want, _ := expectedDetection(t, func(column string) bool {
		if column == "himds" {
			_, err := os.Stat("/opt/azcmagent/bin/himds")
			return runtime.GOOS == "linux" && err == nil
		}
		return os.Getenv(column) != ""
	})
	got := Detect()
	if runtime.GOOS == "linux" && got.Host != want {
		t.Errorf("Detect() is %+v, want %s", got, want)
	}
	if got.Host == "" || got.Reason == "" {
		t.Errorf("Detect() says nothing: %+v", got)
	}
	cred, err := NewCredential(nil)
	switch {
	case err != nil:
		wantErrorText(t, err)
	case cred.Host() != got.Host:
		t.Errorf("NewCredential's host is %s, Detect's %s", cred.Host(), got.Host)
	}
}

func TestEndpointDisplay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "http://localhost:4141/msi/token", "http://localhost:4141/msi/token"},
		{"user info", "http://user:pa55word@localhost:4141/msi/token", "http://localhost:4141/msi/token"},
		{"user name only", "http://pa55word@localhost/msi/token", "http://localhost/msi/token"},
		{"query and fragment", "http://localhost/msi/token?key=pa55word#pa55word", "http://localhost/msi/token"},
		{"no scheme", "user:pa55word@localhost", ""},
		{"0-- a URL", "http://[pa55word", ""},
		{"control character", "http://localhost/\npa55word", ""},
		{"opaque", "http:pa55word", ""},
		{"an @ in the path", "http://localhost/pa55word@x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for variable, env := range map[string]environment{
				"IDENTITY_ENDPOINT":                 environmentOf(map[string]string{"IDENTITY_ENDPOINT": tt.in, "IDENTITY_HEADER": "h"}),
				"MSI_ENDPOINT":                      environmentOf(map[string]string{"MSI_ENDPOINT": tt.in}),
				"AZURE_POD_IDENTITY_AUTHORITY_HOST": environmentOf(map[string]string{"AZURE_POD_IDENTITY_AUTHORITY_HOST": tt.in}),
			} {
				got := detectIn(env)
				if strings.Contains(fmt.Sprintf("%+v", got), "pa55word") {
					t.Errorf("%s: Detection shows the password: %+v", variable, got)
				}
				if variable != "AZURE_POD_IDENTITY_AUTHORITY_HOST" && got.Endpoint != tt.want {
					t.Errorf("%s: Endpoint is %q, want %q", variable, got.Endpoint, tt.want)
				}
			}
		})
	}
}

func TestHostOption(t *testing.T) {
	t.Parallel()
	app := map[string]string{"IDENTITY_ENDPOINT": "http://localhost:4141/msi/token", "IDENTITY_HEADER": "h"}
	for _, tt := range []struct {
		name      string
		host      Host
		variables map[string]string
		want      Host
		wantError []string
	}{
		{"none given, nothing set", "", nil, "imds", nil},
		{"none given, App Service", "", app, "appservice", nil},
		{"IMDS on App Service", HostIMDS, app, "imds", nil},
		{"App Service where it is", HostAppService, app, "appservice", nil},
		{"App Service where it isn't", HostAppService, nil, "", []string{"IDENTITY_ENDPOINT", "empty"}},
		{"App Service without the header", HostAppService, map[string]string{"IDENTITY_ENDPOINT": "http://localhost/msi/token"}, "", []string{"IDENTITY_HEADER", "empty"}},
		{"App Service on Service Fabric", HostAppService, map[string]string{"IDENTITY_ENDPOINT": "http://localhost/", "IDENTITY_HEADER": "h", "IDENTITY_SERVER_THUMBPRINT": "t"}, "appservice", nil},
		{"IMDS on Cloud Shell", HostIMDS, map[string]string{"MSI_ENDPOINT": "http://localhost/"}, "imds", nil},
		{"unknown", "moon", nil, "", []string{"CredentialOptions.Host", `"moon"`, `"imds"`, `"appservice"`, `"servicefabric"`, `"containerinstances"`, `"azureml"`, `"cloudshell"`, `"arc"`, `"workloadidentity"`}},
		{"wrong case", "IMDS", nil, "", []string{"CredentialOptions.Host", `"IMDS"`}},
		{"blank", " ", nil, "", []string{"CredentialOptions.Host", `" "`}},
		{"nasty", "a\nb", nil, "", []string{"CredentialOptions.Host"}},
		{"Arc where nothing says so", HostArc, nil, "arc", nil},
		{"Azure ML where it isn't", HostAzureML, nil, "", []string{"MSI_ENDPOINT", "empty"}},
		{"Azure ML without the secret", HostAzureML, map[string]string{"MSI_ENDPOINT": "http://localhost/msi/token"}, "", []string{"MSI_SECRET", "empty"}},
		{"Cloud Shell where it isn't", HostCloudShell, nil, "", []string{"MSI_ENDPOINT", "empty"}},
		{"Cloud Shell on Azure ML", HostCloudShell, map[string]string{"MSI_ENDPOINT": "http://localhost/msi/token", "MSI_SECRET": "s"}, "cloudshell", nil},
		{"Service Fabric by plain http", HostServiceFabric, map[string]string{"IDENTITY_ENDPOINT": "http://localhost:2377/", "IDENTITY_HEADER": "h", "IDENTITY_SERVER_THUMBPRINT": detectionValues["IDENTITY_SERVER_THUMBPRINT"]}, "", []string{"IDENTITY_ENDPOINT", "is not https"}},
		{"Container Instances without a thumbprint", HostContainerInstances, app, "containerinstances", nil},
		{"Container Instances where it isn't", HostContainerInstances, nil, "", []string{"IDENTITY_ENDPOINT", "empty"}},
		{"Container Instances without the header", HostContainerInstances, map[string]string{"IDENTITY_ENDPOINT": "http://10.0.0.2:2377/"}, "", []string{"IDENTITY_HEADER", "empty"}},
		{"Service Fabric on App Service", HostServiceFabric, app, "", []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"workload identity where it isn't", HostWorkloadIdentity, nil, "", []string{"AZURE_CLIENT_ID", "empty"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cred, err := newCredential(&CredentialOptions{Host: tt.host}, environmentOf(tt.variables))
			if tt.wantError != nil {
				wantErrorText(t, err, tt.wantError...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := cred.Host(); got != tt.want {
				t.Errorf("Host() is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMalformedEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value string }{
		{"other scheme", "ftp://localhost/"},
		{"file", "file:///etc/passwd"},
		{"no scheme", "localhost:4141/msi/token"},
		{"no scheme, IP address", "127.0.0.1:4141/msi/token"},
		{"no scheme, slashes", "//localhost/msi/token"},
		{"a path", "/msi/token"},
		{"a word", "pa55word"},
		{"user info", "http://user:pa55word@localhost/"},
		{"user name", "http://pa55word@localhost/"},
		{"empty user info", "http://@localhost/"},
		{"no host", "http:///msi/token"},
		{"no host but a port", "http://:4141/msi/token"},
		{"opaque", "http:localhost"},
		{"scheme only", "http://"},
		{"blank", " "},
		{"blank around", " http://localhost/ "},
		{"blank inside", "http://local host/"},
		{"blank in the path", "http://localhost/msi token"},
		{"no-break space", "http://localhost/\u00a0"},
		{"line feed", "http://localhost/\n"},
		{"header injection", "http://localhost/\r\nX-Evil: pa55word"},
		{"NUL", "http://localhost/\x00"},
		{"port 0", "http://localhost:0/"},
		{"port 65536", "http://localhost:65536/"},
		{"port overflow", "http://localhost:99999999999999999999/"},
		{"port of letters", "http://localhost:http/"},
		{"negative port", "http://localhost:-1/"},
		{"fragment", "http://localhost/#pa55word"},
		{"user info with a slash in the password", "http://user:1/pa55word@localhost/"},
		{"an @ in the path", "http://localhost/pa55word@x"},
		{"bad escape", "http://localhost/%zz"},
		{"bad escape in the host", "http://%zz/"},
		{"open bracket", "http://[::1/"},
		{"user info that breaks parsing", "http://user:pa55word\x7f@localhost/"},
		{"user info with a bad escape", "http://user:pa55word%zz@localhost/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for host, variables := range map[Host]map[string]string{
				HostAppService:         {envEndpoint: tt.value, envHeader: canary},
				HostServiceFabric:      {envEndpoint: tt.value, envHeader: canary, envThumbprint: thumbprint},
				HostContainerInstances: {envEndpoint: tt.value, envHeader: canary, envThumbprint: thumbprint},
				HostArc:                {envEndpoint: tt.value, envIMDS: "x"},
				HostAzureML:            {envMSI: tt.value, envMSISecret: canary},
				HostCloudShell:         {envMSI: tt.value},
				HostIMDS:               {envAuthority: tt.value},
			} {
				cred, err := newCredential(&CredentialOptions{Host: host}, environmentOf(variables))
				variable := map[Host]string{HostAzureML: envMSI, HostCloudShell: envMSI, HostIMDS: envAuthority}[host]
				if variable == "" {
					variable = envEndpoint
				}
				wantErrorText(t, err, "identity: ", variable+": ")
				if cred != nil {
					t.Error("a credential came back beside the error")
				}
				if err != nil && (strings.Contains(err.Error(), "pa55word") || strings.Contains(err.Error(), canary)) {
					t.Errorf("error repeats a secret: %v", err)
				}
			}
		})
	}
	t.Run("empty, and App Service demanded", func(t *testing.T) {
		t.Parallel()
		_, err := newCredential(&CredentialOptions{Host: HostAppService}, environmentOf(map[string]string{"IDENTITY_HEADER": "h"}))
		wantErrorText(t, err, "identity: CredentialOptions.Host is \"appservice\": IDENTITY_ENDPOINT: is empty")
	})
	t.Run("the other host's variable doesn't matter", func(t *testing.T) {
		t.Parallel()
		_, err := newCredential(nil, environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost/", "IDENTITY_HEADER": "h", "AZURE_POD_IDENTITY_AUTHORITY_HOST": "nonsense"}))
		if err != nil {
			t.Errorf("App Service fails because of a variable of IMDS: %v", err)
		}
	})
}

// TestUnknownHostIsCut: somebody may have put anything into the field, a token, too.
func TestUnknownHostIsCut(t *testing.T) {
	t.Parallel()
	for _, host := range []string{strings.Repeat("moon", 1000), jwtOf("{}")} {
		_, err := newCredential(&CredentialOptions{Host: Host(host)}, nowhere())
		wantErrorText(t, err, "CredentialOptions.Host: unknown host ", `want one of "workloadidentity", `)
		if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), host)) {
			t.Errorf("%d bytes: %v", len(err.Error()), err)
		}
	}
}

func TestSecretHeaderVariable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value string }{
		{"line feed", "pa55word\n"},
		{"injection", "pa55word\r\nX-Evil: 1"},
		{"NUL", "pa55word\x00"},
		{"DEL", "pa55word\x7f"},
		{"tab", "pa55\tword"},
		{"C1 control", "pa55word\u0085"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for variable, variables := range map[string]map[string]string{
				envHeader:    and(atAppService, envHeader, tt.value),
				envMSISecret: and(atMSI, envMSISecret, tt.value),
			} {
				_, err := newCredential(nil, environmentOf(variables))
				wantErrorText(t, err, "identity: "+variable+": ")
				if err != nil && strings.Contains(err.Error(), "word") {
					t.Errorf("error repeats the secret: %v", err)
				}
			}
		})
	}
}

func TestAuthorityHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, want string }{
		{"unset", "", "http://169.254.169.254/metadata/identity/oauth2/token"},
		{"host", "http://127.0.0.1:4321", "http://127.0.0.1:4321/metadata/identity/oauth2/token"},
		{"https", "https://imds.example", "https://imds.example/metadata/identity/oauth2/token"},
		{"scheme in capitals", "HTTP://imds.example", "http://imds.example/metadata/identity/oauth2/token"},
		{"IPv6", "http://[::1]:4321", "http://[::1]:4321/metadata/identity/oauth2/token"},
		{"trailing slash", "http://127.0.0.1:4321/", "http://127.0.0.1:4321/metadata/identity/oauth2/token"},
		{"trailing slashes", "http://127.0.0.1:4321//", "http://127.0.0.1:4321/metadata/identity/oauth2/token"},
		{"prefix", "http://127.0.0.1:4321/abc", "http://127.0.0.1:4321/abc/metadata/identity/oauth2/token"},
		{"prefix and slash", "http://127.0.0.1:4321/abc/", "http://127.0.0.1:4321/abc/metadata/identity/oauth2/token"},
		{"full path", "http://127.0.0.1:4321/metadata/identity/oauth2/token", "http://127.0.0.1:4321/metadata/identity/oauth2/token"},
		{"full path and slash", "http://127.0.0.1:4321/metadata/identity/oauth2/token/", "http://127.0.0.1:4321/metadata/identity/oauth2/token"},
		{"full path in another case", "http://127.0.0.1:4321/Metadata/Identity/OAuth2/Token", "http://127.0.0.1:4321/Metadata/Identity/OAuth2/Token"},
		{"full path behind a prefix", "http://127.0.0.1:4321/abc/metadata/identity/oauth2/token", "http://127.0.0.1:4321/abc/metadata/identity/oauth2/token"},
		{"nearly the full path", "http://127.0.0.1:4321/metadata", "http://127.0.0.1:4321/metadata/metadata/identity/oauth2/token"},
		{"nearly the full path, no slash", "http://127.0.0.1:4321/xmetadata/identity/oauth2/token", "http://127.0.0.1:4321/xmetadata/identity/oauth2/token/metadata/identity/oauth2/token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environmentOf(map[string]string{"AZURE_POD_IDENTITY_AUTHORITY_HOST": tt.value})
			d := detectIn(env)
			if d.Host != HostIMDS || d.Endpoint != tt.want {
				t.Errorf("got %+v, want imds at %s", d, tt.want)
			}
			if named := strings.Contains(d.Reason, "AZURE_POD_IDENTITY_AUTHORITY_HOST"); named != (tt.value != "") {
				t.Errorf("reason is %q", d.Reason)
			}
			cred, err := newCredential(nil, env)
			if err != nil {
				t.Fatal(err)
			}
			r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"})
			if err != nil {
				t.Fatal(err)
			}
			if got := "http" + strings.TrimPrefix(strings.Split(r.URL.String(), "?")[0], "http"); got != tt.want {
				t.Errorf("request goes to %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	for host, want := range map[Host]string{
		HostIMDS: "IMDS", HostAppService: "App Service", "servicefabric": "Service Fabric",
		"containerinstances": "Container Instances on Windows", "cloudshell": "Cloud Shell",
		"arc": "Azure Arc", "azureml": "Azure ML or legacy App Service", "workloadidentity": "workload identity", "moon": "moon", "": "",
	} {
		if got := host.String(); got != want {
			t.Errorf("Host(%q).String() is %q, want %q", string(host), got, want)
		}
	}
}

// TestMovedIMDSOnAnArcMachine: a variable that somebody set says more than a file that the machine carries.
func TestMovedIMDSOnAnArcMachine(t *testing.T) {
	t.Parallel()
	env := environmentOf(map[string]string{"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:8080"})
	env.exists = func(string) bool { return true }
	if d := detectIn(env); d.Host != HostIMDS {
		t.Errorf("got %v because %s, want IMDS", d.Host, d.Reason)
	}
}
