package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
)

// None of these tests is parallel: run sets this process's environment variables for its stand-ins.

var command = commandlinetest.Command{Name: "keyvault", HostFlag: "-host", Modes: [][]string{nil},
	Run: run}

// execute runs the program, and checks what holds for every run: an error is one line, and no token
// is printed.
func execute(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr = commandlinetest.Execute(t.Context(), t, run, want, args...)
	if want != 0 {
		commandlinetest.WantOneLine(t, "keyvault", stderr, "")
	}
	if strings.Contains(stdout+stderr, "eyJ") { // as all tokens of the stand-ins begin
		t.Errorf("keyvault %q: printed a token\nstdout: %s\nstderr: %s", args, stdout, stderr)
	}
	return stdout, stderr
}

// field returns what stands behind a label, "" if there is none.
func field(stdout, label string) string {
	for line := range strings.Lines(stdout) {
		if rest, ok := strings.CutPrefix(line, label+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func wantField(t *testing.T, stdout, label, want string) {
	t.Helper()
	if got := field(stdout, label); !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q in it; all of stdout:\n%s", label, got, want, stdout)
	}
}

var printedSecret = regexp.MustCompile(`(?m)^ +([a-z-]+) +([A-Z2-7]{26})$`)

// told is what is said of each host: by what it was detected, and which identity is its default.
var told = map[string]struct{ detected, identity string }{
	standins.IMDS: {"IMDS, because AZURE_POD_IDENTITY_AUTHORITY_HOST is set", "the host's default"},
	standins.AppService: {"App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set",
		"the host's default"},
	standins.ServiceFabric: {"Service Fabric, because IDENTITY_ENDPOINT, IDENTITY_HEADER and " +
		"IDENTITY_SERVER_THUMBPRINT are set",
		"the host's default, which the application's manifest names"},
	standins.ContainerInstances: {"Container Instances on Windows, because IDENTITY_ENDPOINT is " +
		"plain http, and IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT are set",
		"the host's default"},
	standins.AzureML: {"Azure ML or legacy App Service, because MSI_ENDPOINT and MSI_SECRET are set",
		"the host's default"},
	standins.AppService2017: {"Azure ML or legacy App Service, because MSI_ENDPOINT and MSI_SECRET " +
		"are set", "the host's default"},
	standins.CloudShell: {"Cloud Shell, because MSI_ENDPOINT is set and MSI_SECRET is not",
		"the host's default, which is the signed-in user"},
	standins.Arc: {"Azure Arc, because IDENTITY_ENDPOINT and IMDS_ENDPOINT are set",
		"the host's default"},
	standins.WorkloadIdentity: {"workload identity, because AZURE_FEDERATED_TOKEN_FILE, " +
		"AZURE_CLIENT_ID and AZURE_TENANT_ID are set",
		"the host's default, which AZURE_CLIENT_ID names"},
}

// readerOn is who the vault reads in the token of a host's default identity.
func readerOn(t *testing.T, host string) string {
	t.Helper()
	switch host {
	case standins.CloudShell:
		return "the signed-in user, object ID 0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09"
	case standins.WorkloadIdentity:
		return "the user-assigned identity, client ID " + commandlinetest.Identities(t)[1].ClientID
	}
	return "the system-assigned identity, client ID " + commandlinetest.Identities(t)[0].ClientID
}

// requestsOn are those to the identity endpoint.
func requestsOn(host string) string {
	if host == standins.Arc {
		return "2 to the identity endpoint (1 to learn which key file to read, 1 with the key), " +
			"for 10 secrets"
	}
	return "1 to the identity endpoint, for 10 secrets"
}

func TestStandIns(t *testing.T) {
	if n := len(standins.Hosts()); len(told) != n {
		t.Errorf("%d hosts are tested, want all %d", len(told), n)
	}
	for host, want := range told {
		for _, outage := range []bool{false, true} {
			args := []string{"-host", host}
			if outage {
				args = append(args, "-outage")
			}
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				commandlinetest.SkipWithout(t, host)
				stdout, _ := execute(t, 0, args...)
				lifetime, scheme := 24*time.Hour, "http"
				switch host {
				case standins.WorkloadIdentity:
					lifetime, scheme = time.Hour, "https"
				case standins.ServiceFabric:
					scheme = "https"
				}
				if got := field(stdout, "Identity"); got != want.identity {
					t.Errorf("Identity: got %q, want %q", got, want.identity)
				}
				for label, want := range map[string]string{
					"Host": want.detected, "Endpoint": scheme + "://127.0.0.1:",
					"Vault":    "https://example.vault.azure.net",
					"Client 1": "read 5 secrets", "Client 2": "read 5 secrets",
					"Token":    "for https://vault.azure.net",
					"Reader":   readerOn(t, host) + ", as the vault read in the token",
					"Requests": requestsOn(host),
				} {
					wantField(t, stdout, label, want)
				}
				commandlinetest.WantAll(t, "stdout", stdout,
					" 12 to the vault: 2 to learn what a token must be for, 10 with the token\n")
				wantTime(t, field(stdout, "Expires"), lifetime, time.Minute)
				// give or take a tenth of the half
				wantTime(t, field(stdout, "Renewal"), lifetime/2, lifetime/20+time.Minute)
				wantSecrets(t, stdout)
				wantOutage(t, stdout, strings.TrimSuffix(lifetime.String(), "h0m0s")+" h", outage)
			})
		}
	}
}

// TestDefaultHost is the README's first command.
func TestDefaultHost(t *testing.T) {
	stdout, _ := execute(t, 0)
	wantField(t, stdout, "Host", "IMDS")
	wantSecrets(t, stdout)
	wantOutage(t, stdout, "", false)
}

// TestForeignHost runs where the variables of a real host are set: its endpoint must not be asked.
func TestForeignHost(t *testing.T) {
	asked := make(chan string, 100)
	foreign := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String()
	}))
	t.Cleanup(foreign.Close)
	for name, value := range map[string]string{
		"IDENTITY_ENDPOINT": foreign.URL, "IDENTITY_HEADER": "secret",
		"IDENTITY_SERVER_THUMBPRINT": strings.Repeat("0", 40),
		"IMDS_ENDPOINT":              foreign.URL, "MSI_ENDPOINT": foreign.URL, "MSI_SECRET": "secret",
		"AZURE_POD_IDENTITY_AUTHORITY_HOST": foreign.URL,
		"AZURE_FEDERATED_TOKEN_FILE":        os.DevNull, "AZURE_CLIENT_ID": "client",
		"AZURE_TENANT_ID": "tenant", "AZURE_AUTHORITY_HOST": foreign.URL,
		"DEFAULT_IDENTITY_CLIENT_ID": "client", "AZURE_KUBERNETES_TOKEN_PROXY": foreign.URL,
	} {
		t.Setenv(name, value)
	}
	for host := range told {
		t.Run(host, func(t *testing.T) {
			commandlinetest.SkipWithout(t, host)
			stdout, _ := execute(t, 0, "-host", host, "-outage")
			wantSecrets(t, stdout)
			select {
			case request := <-asked:
				t.Errorf("the real host was asked: %s", request)
			default:
			}
		})
	}
}

func wantSecrets(t *testing.T, stdout string) {
	t.Helper()
	values := map[string]string{}
	for _, match := range printedSecret.FindAllStringSubmatch(stdout, -1) {
		values[match[2]] = match[1]
	}
	if len(values) != 10 {
		t.Errorf("%d distinct values printed, want 10:\n%s", len(values), stdout)
	}
}

func wantOutage(t *testing.T, stdout, life string, want bool) {
	t.Helper()
	_, after, told := strings.Cut(stdout, "\nOutage ")
	if told != want {
		t.Fatalf("an outage is told of: %t, want %t:\n%s", told, want, stdout)
	}
	if want {
		commandlinetest.WantAll(t, "Outage", after,
			"the identity endpoint now answers 503 Service Unavailable; the held token lasts for another "+
				life+"\n")
		wantField(t, after, "Client 3", "read 10 secrets, all as before")
		wantField(t, after, "Requests", "0 to the identity endpoint since the outage began")
	}
}

// wantTime checks a line such as "2026-01-31 15:04:05 UTC, in 24 h".
func wantTime(t *testing.T, line string, in, within time.Duration) {
	t.Helper()
	text, _, _ := strings.Cut(line, ",")
	at, err := time.Parse("2006-01-02 15:04:05 MST", text)
	if err != nil {
		t.Errorf("%q doesn't begin with a time: %v", line, err)
		return
	}
	if got := time.Until(at); got < in-within || got > in+within {
		t.Errorf("%q is in %v, want %v, give or take %v", line, got, in, within)
	}
}

func TestSelectIdentity(t *testing.T) {
	system, user := commandlinetest.Identities(t)[0], commandlinetest.Identities(t)[1]
	// Arc refuses its system-assigned identity by an ID of its own
	ofTheSystem := []string{standins.IMDS, standins.AppService}
	anyID := append(ofTheSystem[:2:2], standins.Arc)
	ofML := []string{standins.AzureML, standins.AppService2017}
	for _, test := range []struct {
		hosts       []string
		flag, value string
		reader      string
	}{
		{slices.Concat(anyID, ofML), "-client-id", user.ClientID, user.ClientID},
		{slices.Concat(anyID, ofML), "-client-id", strings.ToUpper(user.ClientID), user.ClientID},
		{slices.Concat(ofTheSystem, ofML), "-client-id", system.ClientID, system.ClientID},
		{anyID, "-object-id", user.ObjectID, user.ClientID},
		{append(ofTheSystem[:2:2], standins.ContainerInstances), "-object-id", system.ObjectID,
			system.ClientID},
		{anyID, "-resource-id", user.ResourceID, user.ClientID},
		{[]string{standins.WorkloadIdentity}, "-client-id", user.ClientID, user.ClientID},
	} {
		for _, host := range test.hosts {
			t.Run(host+" "+test.flag+" "+test.value, func(t *testing.T) {
				commandlinetest.SkipWithout(t, host)
				stdout, _ := execute(t, 0, "-host", host, test.flag, test.value)
				kind := strings.NewReplacer("-id", " ID ", "-", "").Replace(test.flag)
				wantField(t, stdout, "Identity", kind+test.value)
				assigned := map[bool]string{true: "system", false: "user"}[test.reader == system.ClientID]
				wantField(t, stdout, "Reader",
					"the "+assigned+"-assigned identity, client ID "+test.reader)
				wantField(t, stdout, "Requests", requestsOn(host))
			})
		}
	}
}

// TestWrongIdentity: what each host says, in one line, with the ID and what there is to select.
func TestWrongIdentity(t *testing.T) {
	const nobody = "00000000-0000-4000-8000-000000000000"
	const onAppService = "No User Assigned or Delegated Managed Identity found"
	for args, want := range map[[3]string]string{
		{standins.IMDS, "-client-id",
			nobody}: `400 invalid_request "Identity not found"`,
		{standins.AppService, "-object-id", nobody}:                       onAppService,
		{standins.AppService, "-resource-id", "/subscriptions/" + nobody}: onAppService,
		{standins.AppService2017, "-client-id", nobody}:                   onAppService,
		{standins.AzureML, "-client-id", nobody}:                          "400 IdentityNotFound",
		{standins.ContainerInstances, "-object-id", nobody}:               "404 ManagedIdentityNotFound",
		{standins.Arc, "-client-id", nobody}:                              "404 identity_not_found",
		{standins.WorkloadIdentity, "-client-id",
			nobody}: `400 unauthorized_client "AADSTS700016: `,
		// the others' system-assigned one
		{standins.WorkloadIdentity, "-client-id",
			commandlinetest.Identities(t)[0].ClientID}: `400 unauthorized_client "AADSTS700016: `,
	} {
		t.Run(strings.Join(args[:], " "), func(t *testing.T) {
			commandlinetest.SkipWithout(t, args[0])
			_, stderr := execute(t, 1, append([]string{"-host"}, args[:]...)...)
			commandlinetest.WantAll(t, "stderr", stderr, want, args[2], "1 attempt,",
				"(-h lists the identities of the stand-ins)")
		})
	}
}

// TestMistakes: an ID that the host can't select by, too, must not be ignored, or the wrong
// identity would read.
func TestMistakes(t *testing.T) {
	const vault = "https://example.vault.azure.net"
	user := commandlinetest.Identities(t)[1]
	command.Refuses(t, commandlinetest.Mistakes{
		"empty ClientID":                 {{"-client-id", ""}},
		"empty ObjectID":                 {{"-object-id="}},
		"empty ResourceID":               {{"-resource-id", ""}},
		`ResourceID "my-identity"`:       {{"-resource-id", "my-identity"}},
		"-vault and -secret go together": {{"-vault", vault}, {"-secret", "a"}},
		"leave them out with -vault": {{"-vault", vault, "-secret", "a", "-host", "gcp"},
			{"-vault", vault, "-secret", "a", "-host", "imds"},
			{"-vault", vault, "-secret", "a", "-outage"}},
		`-vault ""`:        {{"-vault", "", "-secret", "a"}},
		`-vault "example"`: {{"-vault", "example", "-secret", "a"}},
		"want the vault's URL": {{"-vault", "example.vault.azure.net", "-secret", "a"},
			{"-vault", "http://example.vault.azure.net", "-secret", "a"},
			{"-vault", vault + "/secrets/a", "-secret", "a"}, {"-vault", vault + "?a=b", "-secret", "a"},
			{"-vault", "https://me@example.vault.azure.net", "-secret", "a"},
			{"-vault", vault + "\n", "-secret", "a"}},
		`-secret ""`:    {{"-vault", vault, "-secret", ""}},
		`-secret "a/b"`: {{"-vault", vault, "-secret", "a/b"}},
		"can't select an identity by client ID: the application's manifest assigns the identity": {
			{"-host", standins.ServiceFabric, "-client-id", user.ClientID}},
		"can't select an identity by object ID: its token is the signed-in user's": {
			{"-host", standins.CloudShell, "-object-id", user.ObjectID}},
		"can't select an identity by resource ID: give a ClientID": {
			{"-host", standins.AzureML, "-resource-id", user.ResourceID},
			{"-host", standins.AppService2017, "-resource-id", user.ResourceID},
			{"-host", standins.WorkloadIdentity, "-resource-id", user.ResourceID}},
	})
}

func TestHelp(t *testing.T) { command.Helps(t, "-outage", "-vault", "-secret") }

func TestInterrupted(t *testing.T) { command.EndsWhenInterrupted(t) }

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59*time.Second + 400*time.Millisecond: "59s",
		time.Minute: "1 min", 29*time.Minute + 31*time.Second: "30 min",
		59*time.Minute + 40*time.Second: "1 h", 12 * time.Hour: "12 h",
		11*time.Hour + 5*time.Minute: "11 h 05 min",
	} {
		if got := inWords(d); got != want {
			t.Errorf("inWords(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestNoVault: no answer, in time or at all.
func TestNoVault(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	closed, silent := "https://"+commandlinetest.Closed(t), "https://"+listener.Addr().String()
	for want, args := range map[string][]string{
		closed + " can't be reached: ":   {"-vault", closed + "/", "-secret", "a"},
		"gave up after 1ns (-timeout): ": {"-timeout", "1ns"},
		silent + " doesn't answer: gave up after 50ms (-timeout)\n": {"-vault", silent, "-secret", "a",
			"-timeout", "50ms"},
	} {
		if _, stderr := execute(t, 1, args...); !strings.HasPrefix(stderr, "keyvault: "+want) {
			t.Errorf("stderr %q, want it to begin with %q", stderr, want)
		}
	}
}
