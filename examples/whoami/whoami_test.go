package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
)

// None of these tests is parallel: the program is found out about by this process's environment
// variables.

// TestMain takes away every variable by which a host is found, and moves IMDS to loopback, where
// nothing is: a request that goes on after its test, when t.Setenv has been undone, must not reach
// the host of the machine either.
func TestMain(m *testing.M) {
	for _, e := range identity.Detect().Evidence {
		if !e.File {
			_ = os.Unsetenv(e.Name)
		}
	}
	_ = os.Setenv(movesIMDS, "http://127.0.0.1:1")
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
	ofUser := principal{userAssigned, assigned.ClientID, assigned.ObjectID, assigned.TenantID,
		assigned.ResourceID, ""}
	usedBy := func(resource string) principal {
		p := ofUser
		p.UsedBy = group + resource
		return p
	}
	byClientID, byObjectID, byResourceID := []string{"-client-id", strings.ToUpper(assigned.ClientID)},
		[]string{"-object-id", assigned.ObjectID}, []string{"-resource-id", assigned.ResourceID}
	for _, test := range []struct {
		fake     string
		args     []string
		host     identity.Host
		want     principal
		requests int64
	}{
		{standins.IMDS, nil, identity.HostIMDS, ofSystem("Microsoft.Compute/virtualMachines/vm-test"), 1},
		{standins.IMDS, byClientID, identity.HostIMDS,
			usedBy("Microsoft.Compute/virtualMachines/vm-test"), 1},
		{standins.IMDS, byObjectID, identity.HostIMDS,
			usedBy("Microsoft.Compute/virtualMachines/vm-test"), 1},
		{standins.IMDS, byResourceID, identity.HostIMDS,
			usedBy("Microsoft.Compute/virtualMachines/vm-test"), 1},
		{standins.AppService, nil, identity.HostAppService, ofSystem("Microsoft.Web/sites/app-test"), 1},
		{standins.AppService, byClientID, identity.HostAppService, usedBy("Microsoft.Web/sites/app-test"),
			1},
		{standins.ServiceFabric, nil, identity.HostServiceFabric,
			ofSystem("Microsoft.ServiceFabric/clusters/cluster-test/applications/application-test"), 1},
		{standins.ContainerInstances, nil, identity.HostContainerInstances,
			ofSystem("Microsoft.ContainerInstance/containerGroups/group-test"), 1},
		{standins.ContainerInstances, byObjectID, identity.HostContainerInstances,
			usedBy("Microsoft.ContainerInstance/containerGroups/group-test"), 1},
		{standins.AzureML, nil, identity.HostAzureML,
			ofSystem("Microsoft.MachineLearningServices/workspaces/workspace-test/computes/compute-test"), 1},
		{standins.AppService2017, byClientID, identity.HostAzureML,
			usedBy("Microsoft.Web/sites/app-test"), 1},
		{standins.CloudShell, nil, identity.HostCloudShell, principal{
			Type: user, ApplicationID: "b677c290-cf4b-4a8e-a60e-91ba650a4abe",
			ObjectID: "0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09", TenantID: system.TenantID,
		}, 1},
		// a challenge counts
		{standins.Arc, nil, identity.HostArc, ofSystem("Microsoft.HybridCompute/machines/machine-test"),
			2},
		{standins.WorkloadIdentity, nil, identity.HostWorkloadIdentity, ofUser, 1},
	} {
		t.Run(strings.Join(append([]string{test.fake}, test.args...), " "), func(t *testing.T) {
			commandlinetest.SkipWithout(t, test.fake)
			r, _, _ := executeJSON(t, 0, append([]string{"-fake", test.fake}, test.args...)...)
			if r.Fake != test.fake || r.Host != test.host || !r.Answers || r.Requests != test.requests {
				t.Errorf("fake %s, host %s, answers %t, %d requests, want %s, %s, true, %d",
					r.Fake, r.Host, r.Answers, r.Requests, test.fake, test.host, test.requests)
			}
			if r.Identity == nil || *r.Identity != test.want {
				t.Errorf("identity\n got %+v\nwant %+v", r.Identity, test.want)
			}
			if r.Token.For != "https://management.azure.com" || r.Token.Opaque {
				t.Errorf("token %+v, want one for https://management.azure.com that can be read", r.Token)
			}
		})
	}
}

func TestBadFlags(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-verbose"}, "-verbose"},
		{"flag without value", []string{"-fake"}, "-fake"},
		{"unknown host", []string{"-fake", "gcp"},
			`-fake "gcp": want imds, appservice, servicefabric, containerinstances, azureml, appservice2017, cloudshell, arc or workloadidentity`},
		{"empty host", []string{"-fake", ""}, `-fake ""`},
		{"host in capitals", []string{"-fake", "IMDS"}, `-fake "IMDS"`},
		{"two IDs", []string{"-client-id", "a", "-object-id", "b"}, "exclude each other"},
		{"an ID and an empty one", []string{"-client-id", "a", "-resource-id", ""}, "exclude each other"},
		{"leftover argument", []string{"imds"}, `"imds"`},
		{"leftover line break", []string{"a\nb"}, `"a\nb"`},
		{"no duration", []string{"-timeout", "soon"}, `"soon"`},
		{"no time", []string{"-timeout", "0s"}, "-timeout 0s"},
		{"negative time", []string{"-timeout", "-1s"}, "-timeout -1s"},
	} {
		for _, mode := range [][]string{nil, {"-json"}} {
			t.Run(strings.Join(append([]string{test.name}, mode...), " "), func(t *testing.T) {
				stdout, stderr := execute(t, 1, append(mode, test.args...)...)
				commandlinetest.WantOneLine(t, "whoami", stderr, test.want)
				if stdout != "" {
					t.Errorf("stdout %q, want none", stdout)
				}
			})
		}
	}
}

// TestRefusedByLibrary: it refuses what selects no identity, or what the host can't select by. What
// Detect saw is told.
func TestRefusedByLibrary(t *testing.T) {
	assigned := commandlinetest.Identities(t)[1]
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"empty client ID", []string{"-fake", "imds", "-client-id", ""}, "empty ClientID"},
		{"empty object ID", []string{"-fake", "imds", "-object-id="}, "empty ObjectID"},
		{"empty resource ID", []string{"-fake", "imds", "-resource-id", ""}, "empty ResourceID"},
		{"not a resource ID", []string{"-fake", "imds", "-resource-id", "my-identity"},
			`ResourceID "my-identity"`},
		{"line break", []string{"-fake", "imds", "-client-id", "a\nb"}, `"a\nb"`},
		{"scope with a line break", []string{"-fake", "imds", "-scope", "a\nb/.default"},
			`scope "a\nb" contains`},
		{"empty scope", []string{"-fake", "imds", "-scope", ""}, "empty scope"},
		{"Service Fabric", []string{"-fake", "servicefabric", "-client-id", assigned.ClientID},
			"can't select an identity by client ID"},
		{"Azure ML", []string{"-fake", "azureml", "-object-id", assigned.ObjectID},
			"can't select an identity by object ID"},
		{"Cloud Shell", []string{"-fake", "cloudshell", "-resource-id", assigned.ResourceID},
			"can't select an identity by resource ID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr := execute(t, 1, test.args...)
			commandlinetest.WantOneLine(t, "whoami", stderr, test.want)
			if !strings.Contains(stdout, "\nHost  ") || !strings.Contains(stdout, "\nVariables  ") ||
				strings.Contains(stdout, "Asked for") {
				t.Errorf("stdout has not only what Detect saw:\n%s", stdout)
			}
			r, _, stderr := executeJSON(t, 1, test.args...)
			commandlinetest.WantOneLine(t, "whoami", stderr, test.want)
			if r.Error.Kind != invalid || !strings.Contains(r.Error.Message, test.want) || r.Answers ||
				r.Requests != 0 || len(r.Evidence) == 0 {
				t.Errorf("error %+v, answers %t, %d requests, %d pieces of evidence, want %s with %q, no request, and evidence",
					r.Error, r.Answers, r.Requests, len(r.Evidence), invalid, test.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	ids := commandlinetest.Identities(t)
	system, assigned := ids[0], ids[1]
	wants := []string{
		"-fake HOST", "-json", "-scope", "-client-id", "-object-id", "-resource-id", "-timeout",
		"not verified", defaultScope, "default 15s",
		system.ObjectID, assigned.ResourceID,
	}
	for _, h := range standins.Hosts() {
		wants = append(wants, "  "+h.Name+"  ")
	}
	for _, flag := range []string{"-h", "-help", "--help"} {
		stdout, _ := execute(t, 0, flag)
		for _, want := range wants {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: stdout has no %q:\n%s", flag, want, stdout)
			}
		}
	}
}

func TestInterrupted(t *testing.T) {
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			commandlinetest.SkipWithout(t, h.Name)
			ctx, interrupt := context.WithCancelCause(t.Context())
			interrupt(errors.New("interrupt signal received"))
			for _, mode := range []string{"-json=false", "-json"} {
				stdout, stderr := commandlinetest.Execute(ctx, t, run, 1, "-fake", h.Name, mode)
				if want := "whoami: interrupt signal received\n"; stderr != want {
					t.Errorf("%s: stderr %q, want %q", mode, stderr, want)
				}
				if mode == "-json" && stdout != "" {
					t.Errorf("stdout %q, want none", stdout)
				}
			}
		})
	}
}
