package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// onHost starts a stand-in of the test's, which is for the program what a real host is.
func onHost(t *testing.T, name string, script ...identitytest.Response) *identitytest.Endpoint {
	t.Helper()
	commandlinetest.SkipWithout(t, name)
	endpoint := commandlinetest.StandIn(t, name)
	endpoint.Start(t)
	endpoint.Enqueue(script...)
	return endpoint
}

// wantFiveLines returns what stands behind the labels.
func wantFiveLines(t *testing.T, stderr string) (got [5]string) {
	t.Helper()
	lines := strings.Split(stderr, "\n")
	if len(lines) != 6 || lines[5] != "" {
		t.Fatalf("%d lines on stderr, want 5:\n%s", len(lines)-1, stderr)
	}
	for i, label := range []string{"whoami: no token: asked for ", "  of       ", "  got      ", "  missing  ", "  do       "} {
		rest, ok := strings.CutPrefix(lines[i], label)
		if !ok || strings.TrimSpace(rest) == "" {
			t.Errorf("line %d is %q, want it to begin with %q, and more", i+1, lines[i], label)
		}
		got[i] = rest
	}
	return got
}

const (
	someApplication = "11111111-2222-4333-8444-555555555555"
	someTenant      = "99999999-2222-4333-8444-555555555555"
)

var asApplication = []string{"-application", someApplication, "-tenant", someTenant}

// failures are one case of each kind at least.
var failures = map[string]struct {
	prepare func(t *testing.T)
	args    []string
	kind    string
	answers string    // what stands behind that label
	want    [5]string // pieces of the five lines
}{
	"nothing there": {
		func(t *testing.T) { t.Setenv(movesIMDS, "http://"+commandlinetest.Closed(t)) }, nil,
		noAnswer, "no, in ", [5]string{"the host's default identity", "IMDS at http://127.0.0.1:",
			"connection refused", "nothing comes from ", "Unset " + movesIMDS}},
	"something else there": {
		func(t *testing.T) {
			stranger := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(stranger.Close)
			t.Setenv(movesIMDS, stranger.URL)
		}, nil,
		noAnswer, "no: something else does, with 404, in ", [5]string{"", "IMDS at ",
			"not an answer of IMDS", "something else answers at ", "Unset " + movesIMDS}},
	"unknown client ID": {
		func(t *testing.T) { onHost(t, standins.IMDS) }, byNobody,
		identityNotFound, "yes, but with 400 and no token, in ", [5]string{"client ID 00000000-",
			"IMDS at ", "Identity not found", "client ID 00000000-", "az vm identity assign"}},
	"no default identity": {
		func(t *testing.T) {
			identitytest.NewAppService(&identitytest.Options{
				Identities: []identitytest.Identity{{}, {}}}).Start(t)
		}, nil,
		identityNotFound, "yes, but with 400 and no token, in ", [5]string{
			"the host's default identity", "App Service at ", "400", "this host doesn't have it",
			"or select one that is assigned, with -client-id"}},
	"unknown to Entra": {
		func(t *testing.T) { onHost(t, standins.WorkloadIdentity) }, byNobody,
		identityNotFound, "yes, but with 400 and no token, in ", [5]string{"client ID 00000000-",
			"workload identity at https://127.0.0.1:", "AADSTS700016", "Entra doesn't know it",
			"federated-credential"}},
	"another identity": {
		func(t *testing.T) {
			onHost(t, standins.IMDS, identitytest.Response{Status: 200,
				Body: `{"access_token":"` + canary + `","expires_in":3600}`, For: time.Hour})
		}, byNobody,
		identityMismatch, "yes, but with 200 and no token, in ", [5]string{"client ID 00000000-",
			"IMDS at ", "got the token of 11111111-", "a token of another came",
			"assign the identity"}},
	"throttled": {
		func(t *testing.T) {
			onHost(t, standins.AppService, identitytest.Response{Status: 429, For: time.Hour})
		}, nil,
		throttled, "yes, but with 429 and no token, in ", [5]string{"", "App Service at ", "429",
			"the host answers 429", "wait a minute"}},
	"slow": {
		func(t *testing.T) { onHost(t, standins.IMDS, identitytest.Response{Delay: time.Hour}) },
		[]string{"-timeout", "100ms"},
		timedOut, "not in time, in ", [5]string{"", "IMDS at ", "gave up waiting after ",
			"a token within 100ms", "-timeout 1m0s"}},
	"App Service's endpoint is silent": {
		func(t *testing.T) {
			t.Setenv("IDENTITY_ENDPOINT", "http://"+commandlinetest.Closed(t)+"/msi/token")
			t.Setenv("IDENTITY_HEADER", canary)
		}, nil,
		noAnswer, "no, in ", [5]string{"", "App Service at http://127.0.0.1:", "connection refused",
			"nothing comes from http://127.0.0.1:", "if IDENTITY_ENDPOINT was inherited"}},
	"Cloud Shell's endpoint is silent": {
		func(t *testing.T) {
			t.Setenv("MSI_ENDPOINT", "http://"+commandlinetest.Closed(t)+"/oauth2/token")
		}, nil,
		noAnswer, "no, in ", [5]string{"", "Cloud Shell at ", "connection refused",
			"nothing comes from ", "if MSI_ENDPOINT was inherited"}},
	"Entra is silent": {
		func(t *testing.T) {
			onHost(t, standins.WorkloadIdentity)
			t.Setenv("AZURE_AUTHORITY_HOST", "https://"+commandlinetest.Closed(t))
		}, nil,
		noAnswer, "no, in ", [5]string{"", "workload identity at ", "connection refused",
			"nothing comes from ", "let this process reach Entra"}},
	"no token file": {
		func(t *testing.T) {
			onHost(t, standins.WorkloadIdentity)
			t.Setenv("AZURE_FEDERATED_TOKEN_FILE", filepath.Join(t.TempDir(), "nothing"))
		}, nil,
		notSent, "not asked", [5]string{"", "workload identity at ", "AZURE_FEDERATED_TOKEN_FILE",
			"none was sent", "put right"}},
	"an application that doesn't trust the identity": {
		func(t *testing.T) {
			onHost(t, standins.IMDS)
			identitytest.NewEntra(&identitytest.Options{
				Identities: []identitytest.Identity{{ClientID: someApplication, TenantID: someTenant}},
			}).Start(t)
		}, asApplication,
		identityNotFound, "yes, but with 401 and no token, in ", [5]string{
			"application " + someApplication + " in tenant " + someTenant, "Entra at https://127.0.0.1:",
			"AADSTS70025", "it doesn't trust the assertion", "federated-credential create"}},
	"an application without an identity": {
		func(t *testing.T) { t.Setenv(movesIMDS, "http://"+commandlinetest.Closed(t)) }, asApplication,
		notSent, "not asked", [5]string{"application " + someApplication,
			"by the token of this machine's identity", "connection refused", "the assertion",
			"without -application"}},
	"wrong secret": {
		func(t *testing.T) {
			onHost(t, standins.AppService)
			t.Setenv("IDENTITY_HEADER", canary)
		}, nil,
		refused, "yes, but with 403 and no token, in ", [5]string{"", "App Service at ", "403",
			"the answer is 403", "check what the error asks"}},
}

// byNobody selects an identity that no host has.
var byNobody = []string{"-client-id", "00000000-0000-4000-8000-000000000000"}

func TestFailures(t *testing.T) {
	for name, test := range failures {
		t.Run(name, func(t *testing.T) {
			test.prepare(t)
			stdout, stderr := execute(t, 1, test.args...)
			for i, got := range wantFiveLines(t, stderr) {
				if !strings.Contains(got, test.want[i]) {
					t.Errorf("line %d is %q, want %q in it", i+1, got, test.want[i])
				}
			}
			commandlinetest.WantAll(t, "stdout", "\n"+stdout, "\nHost  ", "\nVariables  ",
				"\nAnswers                  "+test.answers)
			if strings.Contains(stdout, "Type") || strings.Contains(stdout, "Expires") {
				t.Errorf("stdout tells of a token:\n%s", stdout)
			}
			wantNoPiece(t, stdout+stderr, canary)

			// The same again. The library may have kept the failure for a moment, as for any two that ask.
			r, stdout, stderr := executeJSON(t, 1, test.args...)
			if stderr != "" {
				t.Errorf("stderr %q, want none", stderr)
			}
			if e := r.Error; e.Kind != test.kind || !strings.Contains(e.Message, test.want[2]) ||
				!strings.Contains(e.Missing, test.want[3]) || !strings.Contains(e.Advice, test.want[4]) {
				t.Errorf("error %+v, want kind %s and the words of the five lines", *e, test.kind)
			}
			if want := strings.HasPrefix(test.answers, "yes"); r.Answers != want {
				t.Errorf("answers: %t, want %t", r.Answers, want)
			}
			wantNoPiece(t, stdout+stderr, canary)
		})
	}
}

// TestMalformedVariable: what is wrong is a line, and what Detect saw is told all the same, without
// the value.
func TestMalformedVariable(t *testing.T) {
	t.Setenv("MSI_ENDPOINT", "http://me:"+canary+"@127.0.0.1:1/\x01")
	stdout, stderr := execute(t, 1)
	commandlinetest.WantOneLine(t, "whoami", stderr,
		"identity: MSI_ENDPOINT: contains a blank or a control character")
	if !strings.Contains(stdout, "MSI_ENDPOINT                       (set, not shown)\n") {
		t.Errorf("stdout doesn't say that MSI_ENDPOINT is set:\n%s", stdout)
	}
	r, stdout2, stderr2 := executeJSON(t, 1)
	if r.Host != identity.HostCloudShell || r.Error.Kind != invalid {
		t.Errorf("host %s, error %+v, want %s, %s", r.Host, r.Error, identity.HostCloudShell, invalid)
	}
	wantNoPiece(t, stdout+stderr+stdout2+stderr2, canary)
}
