package detect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/chassis"
)

// machineWith is a Linux machine with these variables and nothing else.
func machineWith(variables map[string]string) Machine {
	return Machine{
		Getenv: func(name string) string { return variables[name] },
		Exists: func(string) bool { return false },
		GOOS:   "linux",
	}
}

// onChassis is a machine with a chassis asset tag.
func onChassis(tag string, variables map[string]string) Machine {
	m := machineWith(variables)
	m.Chassis = func() string { return tag }
	return m
}

// TestOrder: a host whose variables are among those of another one comes after that.
func TestOrder(t *testing.T) {
	t.Parallel()
	variables := map[string]string{}
	for _, step := range []struct {
		set  []string
		want string
	}{
		{nil, IMDS},
		{[]string{EnvMSI}, CloudShell},
		{[]string{EnvMSISecret}, AzureML},
		{[]string{EnvEndpoint, EnvHeader}, AppService},
		{[]string{EnvThumbprint}, ServiceFabric},
		{[]string{EnvTokenFile}, WorkloadIdentity},
	} {
		for _, name := range step.set {
			variables[name] = "https://localhost/" + name
		}
		if got := On(machineWith(variables)); got.Host != step.want {
			t.Errorf("with %v in addition: %+v, want %s", step.set, got, step.want)
		}
	}
	delete(variables, EnvTokenFile)
	variables[EnvEndpoint] = "http://10.0.0.2"
	if got := On(machineWith(variables)); got.Host != ContainerInstances {
		t.Errorf("over plain http: %+v", got)
	}
	arc := machineWith(map[string]string{EnvEndpoint: "http://localhost", EnvIMDS: "http://localhost"})
	if got := On(arc); got.Host != Arc || !ArcByVariable(arc) {
		t.Errorf("with Arc's variables: %+v", got)
	}
}

func TestIMDSEndpoint(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                       "http://169.254.169.254/metadata/identity/oauth2/token",
		"http://127.0.0.1:8080/": "http://127.0.0.1:8080/metadata/identity/oauth2/token",
		"http://a/Metadata/identity/oauth2/token": "http://a/Metadata/identity/oauth2/token",
		"http://a/b": "http://a/b/metadata/identity/oauth2/token",
	} {
		got, err := IMDSEndpoint(machineWith(map[string]string{EnvAuthority: base}))
		if err != nil || got != want {
			t.Errorf("%q: %s (%v), want %s", base, got, err, want)
		}
	}
	for _, base := range []string{"127.0.0.1", "http://a?b=c", "http://user@a"} {
		got, err := IMDSEndpoint(machineWith(map[string]string{EnvAuthority: base}))
		if err == nil || !strings.Contains(err.Error(), EnvAuthority) {
			t.Errorf("%q: %s (%v)", base, got, err)
		}
	}
}

// TestAzure: what speaks for Azure, and whether IMDS is then expected to answer.
func TestAzure(t *testing.T) {
	t.Parallel()
	unseen := machineWith(nil)
	unseen.Forbidden = func(string) bool { return true }
	for name, tt := range map[string]struct {
		machine         Machine
		azure, expected bool
	}{
		"nothing":                  {machineWith(nil), false, false},
		"no tag":                   {onChassis("", nil), false, false},
		"another machine":          {onChassis("1234", nil), false, false},
		"a machine of Azure's":     {onChassis(chassis.Azure, nil), true, true},
		"a job on such a machine":  {onChassis(chassis.Azure, map[string]string{EnvGitHub: "true"}), true, false},
		"Arc's agent may be there": {unseen, true, true},
		"moved":                    {machineWith(map[string]string{EnvAuthority: "http://a"}), true, true},
		"half of a host":           {machineWith(map[string]string{EnvMSISecret: "s"}), true, true},
		"Cloud Shell":              {machineWith(map[string]string{EnvMSI: "http://a"}), true, true},
		"an app without identity":  {machineWith(map[string]string{EnvContainerJob: "j"}), true, false},
	} {
		if got := Azure(tt.machine); (got != "") != tt.azure {
			t.Errorf("%s: Azure because %q, want %v", name, got, tt.azure)
		}
		if name == "Cloud Shell" {
			continue // IMDS isn't asked there
		}
		if got := ExpectsIMDS(tt.machine); (got != "") != tt.expected {
			t.Errorf("%s: IMDS expected because %q, want %v", name, got, tt.expected)
		}
	}
}

func TestOtherHost(t *testing.T) {
	t.Parallel()
	for want, variables := range map[string]map[string]string{
		"": {},
		"IDENTITY_ENDPOINT is not set, only IDENTITY_HEADER, as on Container Instances, which use IMDS": {EnvHeader: "s"},
		"no other host has just MSI_SECRET": {EnvMSISecret: "s"},
		"IDENTITY_ENDPOINT is not set. WEBSITE_SITE_NAME says that this is App Service, " +
			"which sets it where the app has an identity: assign one": {EnvAppService: "shop"},
		"IDENTITY_ENDPOINT is not set. CONTAINER_APP_NAME says that this is Container Apps, " +
			"where WEBSITE_DISABLE_MSI switches the token endpoint off": {EnvContainerApp: "shop",
			EnvDisableMSI: "true"},
	} {
		if got := OtherHost(machineWith(variables)); got != want {
			t.Errorf("%v: got %q, want %q", variables, got, want)
		}
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	for value, is := range map[string]bool{"": false, "false": false, "1": false, "yes": false,
		"true": true, "True": true} {
		for _, name := range []string{EnvGitHub, EnvPipelines} {
			got := Pipeline(machineWith(map[string]string{name: value}))
			if got != "" && got != name || (got == name) != is {
				t.Errorf("%s=%q: got %q, a pipeline: %v", name, value, got, is)
			}
		}
	}
}

func TestEvidenceOfFiles(t *testing.T) {
	t.Parallel()
	const (
		onLinux    = "/opt/azcmagent/bin/himds"
		inPrograms = `C:\Program Files\AzureConnectedMachineAgent\himds.exe`
		inData     = `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`
	)
	roots := map[string]string{"ProgramFiles": `C:\Program Files`, "ProgramData": `C:\ProgramData`}
	for name, tt := range map[string]struct {
		goos      string
		variables map[string]string
		exists    string
		want      []Item
	}{
		"Linux with the agent": {"linux", roots, onLinux,
			[]Item{{Name: onLinux, File: true, Set: true}}},
		"Linux without": {"linux", nil, "", []Item{{Name: onLinux, File: true}}},
		"Windows with the agent": {"windows", roots, inData,
			[]Item{{Name: inPrograms, File: true}, {Name: inData, File: true, Set: true}}},
		"Windows without variables": {"windows", nil, "", nil},
		"macOS":                     {"darwin", roots, onLinux, nil},
	} {
		m := machineWith(tt.variables)
		m.GOOS, m.Exists = tt.goos, func(path string) bool { return path == tt.exists }
		var got []Item
		for _, e := range Evidence(m) {
			if e.File {
				got = append(got, e)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEvidenceOfTheMachine: the chassis asset tag of Azure is shown, another one is nobody's
// business; and what may not be seen is no proof that it isn't there.
func TestEvidenceOfTheMachine(t *testing.T) {
	t.Parallel()
	unseen := machineWith(nil)
	unseen.Forbidden = func(path string) bool { return path == "/opt/azcmagent/bin/himds" }
	for name, tt := range map[string]struct {
		machine Machine
		want    Item
	}{
		"Azure's": {onChassis(chassis.Azure, nil), Item{Name: chassis.Path, File: true, Set: true,
			Value: "7783-7084-3265-9085-8269-3286-77"}},
		"another one's": {onChassis("inventory number 4711", nil),
			Item{Name: chassis.Path, File: true, Set: true, Withheld: true}},
		"none":   {onChassis("", nil), Item{Name: chassis.Path, File: true}},
		"unseen": {unseen, Item{Name: "/opt/azcmagent/bin/himds", File: true, Set: true, Value: "permission denied"}},
	} {
		list := Evidence(tt.machine)
		if diff := cmp.Diff(tt.want, list[len(list)-1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
