package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// None of these tests is parallel: the program is found out about by this process's environment
// variables.

// path is PATH as it was.
var path string

// TestMain takes away every variable by which a host is found, and moves IMDS to loopback, where
// nothing is: a request that goes on after its test, when t.Setenv has been undone, must not reach
// the host of the machine either.
func TestMain(m *testing.M) {
	for _, e := range identity.Detect().Evidence {
		if !e.File {
			_ = os.Unsetenv(e.Name)
		}
	}
	for _, name := range []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "SYSTEM_OIDCREQUESTURI",
		"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		_ = os.Unsetenv(name)
	}
	_ = os.Setenv(movesIMDS, "http://127.0.0.1:1")
	path = os.Getenv("PATH")
	_ = os.Setenv("PATH", "/nowhere") // no test runs the az or azd of this machine
	// as many tries as ever, without seconds between them
	retries.RetryDelay, retries.MaxRetryDelay = time.Millisecond, 10*time.Millisecond
	os.Exit(m.Run())
}

// execute runs the program.
func execute(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	return commandlinetest.Execute(t.Context(), t, run, want, args...)
}

// executeJSON runs it with -json.
func executeJSON(t *testing.T, want int, args ...string) (r report, stdout, stderr string) {
	t.Helper()
	stdout, stderr = execute(t, want, append(args, "-json")...)
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil || decoder.More() {
		t.Fatalf("whoami %q -json: %v, want one JSON object on stdout:\n%s", args, err, stdout)
	}
	if (r.Error != nil) != (want != 0) || (r.Token != nil) == (want != 0) {
		t.Errorf("whoami %q -json: exit status %d, but error %v and token %v", args, want, r.Error,
			r.Token)
	}
	return r, stdout, stderr
}

// TestFakes says by hand what the golden files must be true to.
func TestFakes(t *testing.T) {
	ids := commandlinetest.Identities(t)
	system, assigned := ids[0], ids[1]
	const group = "/subscriptions/915c9d5a-3e4b-4551-9483-d7ba490b90b5/resourcegroups/rg-test/providers/"
	ofSystem := func(resource string) principal {
		return principal{systemAssigned, system.ClientID, system.ObjectID, system.TenantID,
			group + resource, ""}
	}
	usedBy := func(resource string) principal {
		return principal{userAssigned, assigned.ClientID, assigned.ObjectID, assigned.TenantID,
			assigned.ResourceID, resource}
	}
	const vm, app = "Microsoft.Compute/virtualMachines/vm-test", "Microsoft.Web/sites/app-test"
	const containers = "Microsoft.ContainerInstance/containerGroups/group-test"
	byClientID := "-client-id " + strings.ToUpper(assigned.ClientID)
	byObjectID, byResourceID := "-object-id "+assigned.ObjectID, "-resource-id "+assigned.ResourceID
	for args, want := range map[string]principal{
		"imds":                             ofSystem(vm),
		"imds " + byClientID:               usedBy(group + vm),
		"imds " + byObjectID:               usedBy(group + vm),
		"imds " + byResourceID:             usedBy(group + vm),
		"appservice":                       ofSystem(app),
		"appservice " + byClientID:         usedBy(group + app),
		"appservice2017 " + byClientID:     usedBy(group + app),
		"containerinstances":               ofSystem(containers),
		"containerinstances " + byObjectID: usedBy(group + containers),
		"servicefabric": ofSystem("Microsoft.ServiceFabric/clusters/cluster-test/applications/" +
			"application-test"),
		"azureml": ofSystem("Microsoft.MachineLearningServices/workspaces/workspace-test/computes/" +
			"compute-test"),
		"cloudshell": {Type: user, ApplicationID: "b677c290-cf4b-4a8e-a60e-91ba650a4abe",
			ObjectID: "0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09", TenantID: system.TenantID},
		"arc":              ofSystem("Microsoft.HybridCompute/machines/machine-test"),
		"workloadidentity": usedBy(""),
	} {
		t.Run(args, func(t *testing.T) {
			host, _, _ := strings.Cut(args, " ")
			commandlinetest.SkipWithout(t, host)
			r, _, _ := executeJSON(t, 0, append([]string{"-fake"}, strings.Fields(args)...)...)
			detected, requests := identity.Host(host), int64(1)
			switch host {
			case standins.AppService2017:
				detected = identity.HostAzureML
			case standins.Arc: // a challenge counts
				requests = 2
			}
			if r.Fake != host || r.Host != detected || !r.Answers || r.Requests != requests {
				t.Errorf("fake %s, host %s, answers %t, %d requests, want %s, %s, true, %d",
					r.Fake, r.Host, r.Answers, r.Requests, host, detected, requests)
			}
			if r.Identity == nil || *r.Identity != want {
				t.Errorf("identity\n got %+v\nwant %+v", r.Identity, want)
			}
			if r.Token.For != "https://management.azure.com" || r.Token.Opaque {
				t.Errorf("token %+v, want one for https://management.azure.com that can be read", r.Token)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	application := []string{"-application", "a", "-tenant", "b"}
	with := func(more ...string) []string { return append(slices.Clip(application), more...) }
	command.Refuses(t, commandlinetest.Mistakes{
		"-application and -tenant are for each other": {{"-application", "a"}, {"-tenant", "a"}},
		"-application is empty":                       {{"-application", "", "-tenant", "a"}},
		"-managed and -application exclude":           {with("-managed")},
		`-assertion "gitlab"`:                         {with("-assertion", "gitlab")},
		"select the identity of -assertion identity":  {with("-assertion", "file:/t", "-client-id", "c")},
		"-fake imds has no token that an application trusts": {
			with("-assertion", "file:/t", "-fake", "imds"),
		},
		"-fake cloudshell has no token": {with("-fake", "cloudshell")},
	})
}

// TestApplications: an application is asked for with the token of any host's identity.
func TestApplications(t *testing.T) {
	assigned := commandlinetest.Identities(t)[1]
	for _, h := range standins.Hosts() {
		if !h.Federates() {
			continue
		}
		t.Run(h.Name, func(t *testing.T) {
			commandlinetest.SkipWithout(t, h.Name)
			args := []string{"-fake", h.Name, "-application", someApplication, "-tenant", someTenant}
			if h.Name == standins.IMDS {
				args = append(args, "-client-id", assigned.ClientID)
			}
			r, _, _ := executeJSON(t, 0, args...)
			if p := r.Identity; p.Type != application || p.ApplicationID != someApplication ||
				p.TenantID != someTenant || r.Requests != 1 || !r.Answers {
				t.Errorf("got %+v after %d requests, want the application", p, r.Requests)
			}
			if !strings.HasPrefix(r.Asked.Identity, "application "+someApplication) {
				t.Errorf("asked for %s", r.Asked.Identity)
			}
		})
	}
}

// TestJobs: by a job's own variables, over connections.
func TestJobs(t *testing.T) {
	github, pipelines := identitytest.NewGitHubActions(nil), identitytest.NewAzurePipelines(nil)
	for _, test := range []struct {
		assertion string
		endpoint  *identitytest.Endpoint
	}{
		{"github", github},
		{"pipelines:", pipelines},
	} {
		t.Run(test.assertion, func(t *testing.T) {
			test.endpoint.Start(t)
			identitytest.NewEntra(&identitytest.Options{
				FederatedCredentials: test.endpoint.FederatedCredentials(),
			}).Start(t)
			app := test.endpoint.Identities()[0]
			if strings.HasSuffix(test.assertion, ":") {
				test.assertion += os.Getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")
			}
			r, _, _ := executeJSON(t, 0, "-application", app.ClientID, "-tenant", app.TenantID,
				"-assertion", test.assertion)
			if p := r.Identity; p.ApplicationID != app.ClientID || len(test.endpoint.Requests()) != 1 {
				t.Errorf("got %+v, want the application %s", p, app.ClientID)
			}
		})
	}
}

// TestRefusedByLibrary: it refuses what selects no identity, or what the host can't select by. What
// Detect saw is told.
func TestRefusedByLibrary(t *testing.T) {
	assigned := commandlinetest.Identities(t)[1]
	for want, args := range map[string][]string{
		"empty ClientID":           {"imds", "-client-id", ""},
		"empty ObjectID":           {"imds", "-object-id="},
		"empty ResourceID":         {"imds", "-resource-id", ""},
		`ResourceID "my-identity"`: {"imds", "-resource-id", "my-identity"},
		`"a\nb"`:                   {"imds", "-client-id", "a\nb"},
		`scope "a\nb" contains`:    {"imds", "-scope", "a\nb/.default"},
		"empty scope":              {"imds", "-scope", ""},
		"can't select an identity by client ID": {"servicefabric", "-client-id",
			assigned.ClientID},
		"can't select an identity by object ID": {"azureml", "-object-id", assigned.ObjectID},
		"can't select an identity by resource ID": {"cloudshell", "-resource-id",
			assigned.ResourceID},
	} {
		t.Run(want, func(t *testing.T) {
			args := append([]string{"-fake"}, args...)
			stdout, stderr := execute(t, 1, args...)
			commandlinetest.WantOneLine(t, "whoami", stderr, want)
			commandlinetest.WantAll(t, "stdout", stdout, "\nHost  ", "\nVariables  ")
			if strings.Contains(stdout, "Asked for") {
				t.Errorf("stdout has not only what Detect saw:\n%s", stdout)
			}
			r, _, stderr := executeJSON(t, 1, args...)
			commandlinetest.WantOneLine(t, "whoami", stderr, want)
			if r.Error.Kind != invalid || !strings.Contains(r.Error.Message, want) || r.Answers ||
				r.Requests != 0 || len(r.Evidence) == 0 {
				t.Errorf("error %+v, answers %t, %d requests, %d pieces of evidence, "+
					"want %s with %q, no request, and evidence",
					r.Error, r.Answers, r.Requests, len(r.Evidence), invalid, want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	command.Helps(t, "-json", "-managed", "it runs az and azd", "-scope", "-application ID", "-tenant ID", "-assertion SOURCE",
		"not verified", defaultScope, "default 15s")
}

func TestInterrupted(t *testing.T) { command.EndsWhenInterrupted(t) }

var command = commandlinetest.Command{Name: "whoami", HostFlag: "-fake", Run: run,
	Modes: [][]string{{"-json=false"}, {"-json"}}}
