package identity

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
)

// wantErrorText checks that there is an error, that it is one line, and that it has all of want in
// it.
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
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT",
		"MSI_ENDPOINT", "MSI_SECRET", "himds",
	}
	detectionValues = map[string]string{
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
		"AZURE_CLIENT_ID":            "11111111-1111-4111-8111-111111111111",
		"AZURE_TENANT_ID":            "22222222-2222-4222-8222-222222222222",
		"IDENTITY_ENDPOINT":          "https://localhost:2377" + imdsPath,
		"IDENTITY_HEADER":            canary + "-header",
		"IDENTITY_SERVER_THUMBPRINT": "0123456789ABCDEF0123456789abcdef01234567",
		"IMDS_ENDPOINT":              "http://localhost:40342",
		"MSI_ENDPOINT":               "http://127.0.0.1:41001/MSI/token/",
		"MSI_SECRET":                 canary + "-secret",
	}
)

// detectionTable: 1 is set, 0 is unset or empty, - is either. Each of the 1,024 combinations is in
// exactly one row. Where IDENTITY_ENDPOINT is plain http, Service Fabric is Container Instances on
// Windows, and nothing else changes. A token file is never left unused silently. App Service is one
// with IMDS_ENDPOINT, too, and with Container Apps' MSI_ variables. The half set of Container
// Instances is among the last four.
var detectionTable = []struct {
	row      string // in the order of detectionColumns
	host     Host
	endpoint string
}{
	{"111 ---- -- -", "workloadidentity", "https://login.microsoftonline.com/" +
		"22222222-2222-4222-8222-222222222222/oauth2/v2.0/token"},
	{"10- ---- -- -", "workloadidentity", ""},
	{"110 ---- -- -", "workloadidentity", ""},
	{"0-- 111- -- -", "servicefabric", "https://localhost:2377" + imdsPath},
	{"0-- 110- -- -", "appservice", "https://localhost:2377" + imdsPath},
	{"0-- 10-- 11 -", "azureml", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 10-- 10 -", "cloudshell", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 10-1 0- -", "arc", "https://localhost:2377" + imdsPath},
	{"0-- 10-0 0- 1", "arc", "http://127.0.0.1:40342" + imdsPath},
	{"0-- 10-0 0- 0", "imds", "http://169.254.169.254" + imdsPath},
	{"0-- 0--- 11 -", "azureml", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 0--- 10 -", "cloudshell", "http://127.0.0.1:41001/MSI/token/"},
	{"0-- 0--- 0- 1", "arc", "http://127.0.0.1:40342" + imdsPath},
	{"0-- 0--- 0- 0", "imds", "http://169.254.169.254" + imdsPath},
}

// Where the Arc agent's program can be.
const (
	onLinux       = "/opt/azcmagent/bin/himds"
	inProgramData = `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`
	inPrograms    = `C:\Program Files\AzureConnectedMachineAgent\himds.exe`
)

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

// agents are the files of each system, and whether the agent is found by them.
var agents = []struct {
	goos  string
	files []string
	found bool
}{
	{"linux", []string{onLinux}, true},
	{"windows", []string{inPrograms}, true},
	{"windows", []string{inProgramData}, true},
	{"linux", []string{onLinux + ".exe", inPrograms}, false},
	{"windows", []string{onLinux, `AzureConnectedMachineAgent\himds.exe`}, false},
	{"darwin", []string{onLinux, inPrograms}, false},
}

// TestDetectTruthTable walks through all combinations of the variables, each unset, empty or set,
// and of the files.
func TestDetectTruthTable(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"https", "http"} {
		for _, agent := range agents {
			t.Run(fmt.Sprint(scheme, " ", agent.goos, " ", agent.files), func(t *testing.T) {
				t.Parallel()
				files := func(path string) bool { return slices.Contains(agent.files, path) }
				testDetectTruthTable(t, scheme, agent.goos, files, agent.found)
			})
		}
	}
}

// testDetectTruthTable has the scheme for IDENTITY_ENDPOINT.
func testDetectTruthTable(
	t *testing.T, scheme, goos string, files func(string) bool, agent bool,
) {
	values := maps.Clone(detectionValues)
	values[envEndpoint] = scheme + strings.TrimPrefix(values[envEndpoint], "https")
	names := detectionColumns[:len(detectionColumns)-1]
	combinations := 1
	for range names {
		combinations *= 3
	}
	variables := map[string]string{}
	env := environmentOf(variables)
	env.goos, env.exists = goos, files
	for combination := range combinations {
		clear(variables)
		variables["ProgramFiles"], variables["ProgramData"] = `C:\Program Files`, `C:\ProgramData`
		empty := false
		for i, rest := 0, combination; i < len(names); i, rest = i+1, rest/3 {
			switch rest % 3 {
			case 1:
				variables[names[i]], empty = "", true
			case 2:
				variables[names[i]] = values[names[i]]
			}
		}
		host, endpoint := expectedDetection(t, func(column string) bool {
			if column == "himds" {
				return agent
			}
			return variables[column] != ""
		})
		if host == HostServiceFabric && scheme == "http" {
			host = HostContainerInstances
		}
		if endpoint == detectionValues[envEndpoint] {
			endpoint = values[envEndpoint]
		}
		got := detectIn(env)
		if got.Host != host || got.Endpoint != endpoint || got.Reason == "" ||
			strings.Contains(fmt.Sprintf("%+v", got), canary) {
			t.Fatalf("%v: got %+v, want %s at %s, a reason, and no secret", variables, got, host, endpoint)
		}
		if !empty { // or the same as unset, as we have just seen
			wantDetected(t, env, host, endpoint)
		}
	}
}

// wantDetected: a credential is made for the host, or the error says why not.
func wantDetected(t *testing.T, env environment, host Host, endpoint string) {
	t.Helper()
	cred, err := newCredential(&CredentialOptions{}, env)
	switch {
	case err == nil && cred.Host() == host:
	case err == nil:
		t.Errorf("Credential.Host() is %s, want %s", cred.Host(), host)
	case strings.Contains(err.Error(), canary):
		t.Errorf("a secret in the error: %v", err)
	case host == HostWorkloadIdentity && endpoint == "":
		wantErrorText(t, err, "AZURE_FEDERATED_TOKEN_FILE is set, but ", "is empty",
			"CredentialOptions.Host to HostIMDS")
	case host == HostArc && env.goos == "darwin":
		wantErrorText(t, err, "Azure Arc's agent runs on Linux and Windows")
	default:
		t.Errorf("%s: %v", host, err)
	}
}

// TestReasonIsTrue: the reason must not deny variables that are set: half a set is what a person
// reads the reason for.
func TestReasonIsTrue(t *testing.T) {
	t.Parallel()
	for set, more := range map[string][]string{ // the variables, and what else is in the reason
		"":                                  {"no other host's variables"},
		"IDENTITY_ENDPOINT IDENTITY_HEADER": nil,
		"IDENTITY_ENDPOINT IDENTITY_HEADER IDENTITY_SERVER_THUMBPRINT": nil,
		"IDENTITY_ENDPOINT":               nil,
		"IDENTITY_ENDPOINT IMDS_ENDPOINT": nil,
		"MSI_ENDPOINT MSI_SECRET":         nil,
		"MSI_ENDPOINT":                    {"MSI_SECRET is not"},
		"AZURE_FEDERATED_TOKEN_FILE AZURE_CLIENT_ID AZURE_TENANT_ID": nil,
		"AZURE_FEDERATED_TOKEN_FILE | AZURE_CLIENT_ID":               {"AZURE_TENANT_ID is not"},
		"AZURE_FEDERATED_TOKEN_FILE":                                 {"_CLIENT_ID and AZURE_TENANT_ID are"},
		// Container Apps set the first two and both that follow; Container Instances half a set
		"IDENTITY_HEADER IDENTITY_ENDPOINT | MSI_ENDPOINT MSI_SECRET": nil,
		"IDENTITY_HEADER | IDENTITY_SERVER_THUMBPRINT":                {"IDENTITY_ENDPOINT is not"},
	} {
		variables := map[string]string{}
		for _, name := range strings.Fields(set) {
			variables[name] = detectionValues[name]
		}
		got := detectIn(environmentOf(variables)).Reason
		named, _, _ := strings.Cut(set, "|")
		for _, want := range append(strings.Fields(named), more...) {
			if !strings.Contains(got, want) {
				t.Errorf("%s: reason is %q, want %q in it", set, got, want)
			}
		}
		if set != "" && strings.HasPrefix(got, "no other host's variables") {
			t.Errorf("reason is %q, but %v are set", got, set)
		}
	}
}

// TestDetectArcAgent: a path begins with what a variable says, and a variable that moves IMDS says
// more than a file that the machine carries.
func TestDetectArcAgent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		goos, file string
		variables  map[string]string
		want       Host
	}{
		"Program Files": {"windows", inPrograms,
			map[string]string{"ProgramFiles": `C:\Program Files`}, HostArc},
		"ProgramData": {"windows", inProgramData,
			map[string]string{"ProgramData": `C:\ProgramData`}, HostArc},
		"neither": {"windows", `AzureConnectedMachineAgent\himds.exe`, nil, HostIMDS},
		"moved": {"linux", onLinux, map[string]string{envAuthority: "http://127.0.0.1:8080"},
			HostIMDS},
	} {
		env := environmentOf(tt.variables)
		env.goos, env.exists = tt.goos, func(path string) bool { return path == tt.file }
		if got := detectIn(env); got.Host != tt.want {
			t.Errorf("%s: got %+v, want %s", name, got, tt.want)
		}
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

func TestHostOption(t *testing.T) {
	t.Parallel()
	at := func(lines ...string) environment {
		variables := map[string]string{}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			variables[name] = value
		}
		return environmentOf(variables)
	}
	const endpoint, header = "IDENTITY_ENDPOINT=http://localhost:4141/msi/token", "IDENTITY_HEADER=h"
	const shell = "MSI_ENDPOINT=http://localhost/msi/token"
	app := at(endpoint, header)
	fabric := at(endpoint, header, "IDENTITY_SERVER_THUMBPRINT="+thumbprint)
	empty := func(variable string) string {
		return `CredentialOptions.Host is "HOST": ` + variable + ": is empty"
	}
	for name, tt := range map[string]struct {
		env  environment
		host Host
		want string // the host, or what is in the error
	}{
		"none given, nothing set":     {nowhere(), "", "imds"},
		"none given, App Service":     {app, "", "appservice"},
		"IMDS on App Service":         {app, HostIMDS, "imds"},
		"IMDS on Cloud Shell":         {at(shell), HostIMDS, "imds"},
		"App Service where it is":     {app, HostAppService, "appservice"},
		"App Service on another":      {fabric, HostAppService, "appservice"},
		"App Service where it isn't":  {at(header), HostAppService, empty(envEndpoint)},
		"App Service, no header":      {at(endpoint), HostAppService, empty(envHeader)},
		"Arc where nothing says so":   {nowhere(), HostArc, "arc"},
		"Azure ML where it isn't":     {nowhere(), HostAzureML, empty(envMSI)},
		"Azure ML, no secret":         {at(shell), HostAzureML, empty(envMSISecret)},
		"Cloud Shell where it isn't":  {nowhere(), HostCloudShell, empty(envMSI)},
		"Cloud Shell on Azure ML":     {at(shell, "MSI_SECRET=s"), HostCloudShell, "cloudshell"},
		"Fabric by plain http":        {fabric, HostServiceFabric, "is not https"},
		"Fabric on App Service":       {app, HostServiceFabric, "40 hexadecimal digits"},
		"containers, no thumbprint":   {app, HostContainerInstances, "containerinstances"},
		"containers where they don't": {nowhere(), HostContainerInstances, empty(envEndpoint)},
		"containers, no header":       {at(endpoint), HostContainerInstances, empty(envHeader)},
		"pods where they aren't":      {nowhere(), HostWorkloadIdentity, empty(envClientID)},
		"blank":                       {nowhere(), " ", `CredentialOptions.Host: unknown host " "`},
		"nasty":                       {nowhere(), "a\nb", `CredentialOptions.Host: unknown host`},
		"wrong case":                  {nowhere(), "IMDS", `CredentialOptions.Host: unknown host "IMDS"`},
		"unknown": {nowhere(), "moon", `CredentialOptions.Host: unknown host "moon": want one of ` +
			`"workloadidentity", "containerinstances", "servicefabric", "appservice", "azureml", ` +
			`"cloudshell", "arc", "imds"`},
		"IMDS's variable on App Service": {at(endpoint, header, envAuthority+"=nonsense"), "",
			"appservice"},
	} {
		t.Run(name, func(t *testing.T) {
			cred, err := newCredential(&CredentialOptions{Host: tt.host}, tt.env)
			if Host(tt.want).String() == tt.want { // is no host
				wantErrorText(t, err, strings.ReplaceAll(tt.want, "HOST", string(tt.host)))
			} else if err != nil || string(cred.Host()) != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestMalformedEndpoints: each host's variable is checked. internal/check has what is refused.
func TestMalformedEndpoints(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"ftp://localhost/", "pa55word", "http://user:pa55word@localhost/",
		"http://localhost/\r\nX-Evil: pa55word", "http://localhost:0/"} {
		for host, variables := range map[Host]map[string]string{
			HostAppService:         {envEndpoint: value, envHeader: canary},
			HostServiceFabric:      {envEndpoint: value, envHeader: canary, envThumbprint: thumbprint},
			HostContainerInstances: {envEndpoint: value, envHeader: canary, envThumbprint: thumbprint},
			HostArc:                {envEndpoint: value, envIMDS: "x"},
			HostAzureML:            {envMSI: value, envMSISecret: canary},
			HostCloudShell:         {envMSI: value},
			HostIMDS:               {envAuthority: value},
		} {
			cred, err := newCredential(&CredentialOptions{Host: host}, environmentOf(variables))
			variable := cmp.Or(map[Host]string{HostAzureML: envMSI, HostCloudShell: envMSI,
				HostIMDS: envAuthority}[host], envEndpoint)
			wantErrorText(t, err, "identity: ", variable+": ")
			if cred != nil || strings.Contains(fmt.Sprint(err), "pa55word") ||
				strings.Contains(fmt.Sprint(err), canary) {
				t.Errorf("%s: a credential, or a secret in the error: %v, %v", host, cred, err)
			}
		}
	}
}

// TestUnknownHostIsCut: somebody may have put anything into the field, a token, too.
func TestUnknownHostIsCut(t *testing.T) {
	t.Parallel()
	for _, host := range []string{strings.Repeat("moon", 1000), jwtOf("{}")} {
		_, err := newCredential(&CredentialOptions{Host: Host(host)}, nowhere())
		wantErrorText(t, err, "CredentialOptions.Host: unknown host ", `want one of "workloadidentity"`)
		if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), host)) {
			t.Errorf("%d bytes: %v", len(err.Error()), err)
		}
	}
}

func TestSecretHeaderVariable(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"pa55word\n", "pa55word\r\nX-Evil: 1", "pa55\tword"} {
		for variable, variables := range map[string]map[string]string{
			envHeader:    and(atAppService, envHeader, value),
			envMSISecret: and(atMSI, envMSISecret, value),
		} {
			_, err := newCredential(nil, environmentOf(variables))
			wantErrorText(t, err, "identity: "+variable+": ")
			if strings.Contains(fmt.Sprint(err), "word") {
				t.Errorf("error repeats the secret: %v", err)
			}
		}
	}
}

func TestAuthorityHost(t *testing.T) {
	t.Parallel()
	const local = "http://127.0.0.1:4321"
	for value, want := range map[string]string{
		"":                                "http://169.254.169.254" + imdsPath,
		local:                             local + imdsPath,
		"https://imds.example":            "https://imds.example" + imdsPath,
		"HTTP://imds.example":             "http://imds.example" + imdsPath,
		"http://[::1]:4321":               "http://[::1]:4321" + imdsPath,
		local + "/":                       local + imdsPath,
		local + "//":                      local + imdsPath,
		local + "/abc":                    local + "/abc" + imdsPath,
		local + "/abc/":                   local + "/abc" + imdsPath,
		local + imdsPath:                  local + imdsPath,
		local + imdsPath + "/":            local + imdsPath,
		local + "/abc" + imdsPath:         local + "/abc" + imdsPath,
		local + "/metadata":               local + "/metadata" + imdsPath, // nearly the full path
		local + "/x" + imdsPath[1:]:       local + "/x" + imdsPath[1:] + imdsPath,
		local + strings.ToUpper(imdsPath): local + strings.ToUpper(imdsPath),
	} {
		env := environmentOf(map[string]string{envAuthority: value})
		d := detectIn(env)
		if d.Host != HostIMDS || d.Endpoint != want ||
			strings.Contains(d.Reason, envAuthority) != (value != "") {
			t.Errorf("%s: got %+v, want imds at %s", value, d, want)
		}
		cred, err := newCredential(nil, env)
		if err != nil {
			t.Fatal(err)
		}
		r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"})
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(r.URL.String(), "?"); got != want {
			t.Errorf("%s: the request goes to %s, want %s", value, got, want)
		}
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	for host, want := range map[Host]string{
		HostIMDS: "IMDS", HostAppService: "App Service", HostServiceFabric: "Service Fabric",
		HostContainerInstances: "Container Instances on Windows", HostCloudShell: "Cloud Shell",
		HostArc: "Azure Arc", HostAzureML: "Azure ML or legacy App Service",
		HostWorkloadIdentity: "workload identity", "moon": "moon", "": "",
	} {
		if got := host.String(); got != want {
			t.Errorf("Host(%q).String() is %q, want %q", string(host), got, want)
		}
	}
}
