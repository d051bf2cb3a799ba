package main

import (
	"context"
	"errors"
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

// execute runs the program, and checks what holds for every run: an error is one line, and no token
// is printed.
func execute(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	return executeIn(t.Context(), t, want, args...)
}

func executeIn(
	ctx context.Context, t *testing.T, want int, args ...string,
) (stdout, stderr string) {
	t.Helper()
	stdout, stderr = commandlinetest.Execute(ctx, t, run, want, args...)
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

const dayLong, hourLong = 24 * time.Hour, time.Hour // tokens, as real hosts issue them

func TestStandIns(t *testing.T) {
	system := "the system-assigned identity, client ID " + commandlinetest.Identities(t)[0].ClientID
	for _, test := range []struct {
		host     string
		detected string // and why
		endpoint string
		identity string
		lifetime time.Duration
		reader   string
		requests string
	}{
		{"imds", "IMDS, because AZURE_POD_IDENTITY_AUTHORITY_HOST is set",
			"http://127.0.0.1:", "the host's default", dayLong, system, "1 to the identity endpoint"},
		{"appservice", "App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set",
			"http://127.0.0.1:", "the host's default", dayLong, system, "1 to the identity endpoint"},
		{"servicefabric", "Service Fabric, because IDENTITY_ENDPOINT, IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT are set",
			"https://127.0.0.1:", "the host's default, which the application's manifest names", dayLong, system, "1 to the identity endpoint"},
		{"containerinstances",
			"Container Instances on Windows, because IDENTITY_ENDPOINT is plain http, and IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT are set",
			"http://127.0.0.1:", "the host's default", dayLong, system, "1 to the identity endpoint"},
		{"azureml", "Azure ML or legacy App Service, because MSI_ENDPOINT and MSI_SECRET are set",
			"http://127.0.0.1:", "the host's default", dayLong, system, "1 to the identity endpoint"},
		{"appservice2017", "Azure ML or legacy App Service, because MSI_ENDPOINT and MSI_SECRET are set",
			"http://127.0.0.1:", "the host's default", dayLong, system, "1 to the identity endpoint"},
		{"cloudshell", "Cloud Shell, because MSI_ENDPOINT is set and MSI_SECRET is not",
			"http://127.0.0.1:", "the host's default, which is the signed-in user", dayLong,
			"the signed-in user, object ID 0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09", "1 to the identity endpoint"},
		{"arc", "Azure Arc, because IDENTITY_ENDPOINT and IMDS_ENDPOINT are set",
			"http://127.0.0.1:", "the host's default", dayLong, system,
			"2 to the identity endpoint (1 to learn which key file to read, 1 with the key)"},
		{"workloadidentity", "workload identity, because AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID and AZURE_TENANT_ID are set",
			"https://127.0.0.1:", "the host's default, which AZURE_CLIENT_ID names", hourLong,
			"the user-assigned identity, client ID " +
				commandlinetest.Identities(t)[1].ClientID, "1 to the identity endpoint"},
	} {
		for _, outage := range []bool{false, true} {
			args := []string{"-host", test.host}
			if outage {
				args = append(args, "-outage")
			}
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				commandlinetest.SkipWithout(t, test.host)
				stdout, _ := execute(t, 0, args...)
				wantField(t, stdout, "Host", test.detected)
				wantField(t, stdout, "Endpoint", test.endpoint)
				if got := field(stdout, "Identity"); got != test.identity {
					t.Errorf("Identity: got %q, want %q", got, test.identity)
				}
				wantField(t, stdout, "Vault", "https://example.vault.azure.net")
				wantField(t, stdout, "Client 1", "read 5 secrets")
				wantField(t, stdout, "Client 2", "read 5 secrets")
				wantField(t, stdout, "Token", "for https://vault.azure.net")
				wantField(t, stdout, "Reader", test.reader+", as the vault read in the token")
				wantField(t, stdout, "Requests", test.requests+", for 10 secrets")
				if want := " 12 to the vault: 2 to learn what a token must be for, 10 with the token\n"; !strings.Contains(stdout, want) {
					t.Errorf("stdout has no %q:\n%s", want, stdout)
				}
				wantTime(t, field(stdout, "Expires"), test.lifetime, time.Minute)
				// give or take a tenth of the half
				wantTime(t, field(stdout, "Renewal"), test.lifetime/2, test.lifetime/20+time.Minute)
				wantSecrets(t, stdout)
				wantOutage(t, stdout, outage)
			})
		}
	}
}

// TestEveryHost keeps the flag, its help and these tests in step.
func TestEveryHost(t *testing.T) {
	stdout, _ := execute(t, 0, "-h")
	var names []string
	for _, h := range standins.Hosts() {
		names = append(names, h.Name)
		if want := "  " + h.Name + "  "; !strings.Contains(stdout, want) {
			t.Errorf("-h has no %q:\n%s", want, stdout)
		}
	}
	want := "imds appservice servicefabric containerinstances azureml appservice2017 cloudshell arc workloadidentity"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("hosts %q, want %q", got, want)
	}
}

// TestDefaultHost is the README's first command.
func TestDefaultHost(t *testing.T) {
	stdout, _ := execute(t, 0)
	wantField(t, stdout, "Host", "IMDS")
	wantSecrets(t, stdout)
	wantOutage(t, stdout, false)
	stdout, _ = execute(t, 0, "-outage")
	wantField(t, stdout, "Host", "IMDS")
	wantOutage(t, stdout, true)
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
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			commandlinetest.SkipWithout(t, h.Name)
			stdout, _ := execute(t, 0, "-host", h.Name, "-outage")
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

func wantOutage(t *testing.T, stdout string, want bool) {
	t.Helper()
	start := strings.Index(stdout, "Outage ")
	if (start >= 0) != want {
		t.Fatalf("an outage is told of: %t, want %t:\n%s", start >= 0, want, stdout)
	}
	if want {
		after := stdout[start:]
		wantField(t, after, "Outage",
			"the identity endpoint now answers 503 Service Unavailable, for 12 h")
		wantField(t, after, "Client 3", "read 10 secrets, all as before")
		wantField(t, after, "Requests", "0 to the identity endpoint since the outage began")
	}
}

// wantTime checks a line such as "2026-01-31 15:04:05 UTC, in 24 h".
func wantTime(t *testing.T, line string, in, within time.Duration) {
	t.Helper()
	const layout = "2006-01-02 15:04:05 MST"
	text, _, _ := strings.Cut(line, ",")
	at, err := time.Parse(layout, text)
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
	anyID := slices.Concat(ofTheSystem, []string{standins.Arc})
	byClientID := slices.Concat(anyID, []string{standins.AzureML, standins.AppService2017})
	for _, test := range []struct {
		hosts                         []string
		flag, value, identity, reader string
	}{
		{byClientID, "-client-id", user.ClientID, "client ID ",
			"the user-assigned identity, client ID " + user.ClientID},
		{byClientID, "-client-id", strings.ToUpper(user.ClientID), "client ID ",
			"the user-assigned identity, client ID " + user.ClientID},
		{slices.Concat(ofTheSystem, []string{standins.AzureML, standins.AppService2017}), "-client-id",
			system.ClientID, "client ID ", "the system-assigned identity, client ID " + system.ClientID},
		{anyID, "-object-id", user.ObjectID, "object ID ",
			"the user-assigned identity, client ID " + user.ClientID},
		{slices.Concat(ofTheSystem, []string{standins.ContainerInstances}), "-object-id", system.ObjectID,
			"object ID ", "the system-assigned identity, client ID " + system.ClientID},
		{anyID, "-resource-id", user.ResourceID, "resource ID ",
			"the user-assigned identity, client ID " + user.ClientID},
		{[]string{standins.WorkloadIdentity}, "-client-id", user.ClientID, "client ID ",
			"the user-assigned identity, client ID " + user.ClientID},
	} {
		for _, host := range test.hosts {
			t.Run(host+" "+test.flag+" "+test.value, func(t *testing.T) {
				commandlinetest.SkipWithout(t, host)
				stdout, _ := execute(t, 0, "-host", host, test.flag, test.value)
				wantField(t, stdout, "Identity", test.identity+test.value)
				wantField(t, stdout, "Reader", test.reader)
				requests := "1 to the identity endpoint, for 10 secrets"
				if host == standins.Arc {
					requests = "2 to the identity endpoint (1 to learn which key file to read, 1 with the key), for 10 secrets"
				}
				wantField(t, stdout, "Requests", requests)
			})
		}
	}
}

func TestWrongIdentity(t *testing.T) {
	const nobody = "00000000-0000-4000-8000-000000000000"
	const onAppService = "No User Assigned or Delegated Managed Identity found"
	for _, test := range []struct {
		host, flag, id, want string
	}{
		{standins.IMDS, "-client-id", nobody, `400 invalid_request "Identity not found"`},
		{standins.IMDS, "-object-id", nobody, `400 invalid_request "Identity not found"`},
		{standins.IMDS, "-resource-id", "/subscriptions/" + nobody,
			`400 invalid_request "Identity not found"`},
		{standins.AppService, "-client-id", nobody, onAppService},
		{standins.AppService, "-object-id", nobody, onAppService},
		{standins.AppService, "-resource-id", "/subscriptions/" + nobody, onAppService},
		{standins.AppService2017, "-client-id", nobody, onAppService},
		{standins.AzureML, "-client-id", nobody, "400 IdentityNotFound"},
		{standins.ContainerInstances, "-object-id", nobody, "404 ManagedIdentityNotFound"},
		{standins.Arc, "-client-id", nobody, "404 identity_not_found"},
		{standins.Arc, "-object-id", nobody, "404 identity_not_found"},
		{standins.Arc, "-resource-id", "/subscriptions/" + nobody, "404 identity_not_found"},
		{standins.WorkloadIdentity, "-client-id", nobody, `400 unauthorized_client "AADSTS700016: `},
		// the others' system-assigned one
		{standins.WorkloadIdentity, "-client-id", commandlinetest.Identities(t)[0].ClientID,
			`400 unauthorized_client "AADSTS700016: `},
	} {
		t.Run(test.host+" "+test.flag, func(t *testing.T) {
			commandlinetest.SkipWithout(t, test.host)
			_, stderr := execute(t, 1, "-host", test.host, test.flag, test.id)
			for _, want := range []string{test.want, test.id, "1 attempt,",
				"(-h lists the identities of the stand-ins)"} {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr %q has no %q", stderr, want)
				}
			}
		})
	}
}

// TestUnselectable: an ID that the host can't select by must not be ignored, or the wrong identity
// would read.
func TestUnselectable(t *testing.T) {
	user := commandlinetest.Identities(t)[1]
	byClientID, byObjectID, byResourceID := []string{"-client-id", user.ClientID},
		[]string{"-object-id", user.ObjectID}, []string{"-resource-id", user.ResourceID}
	for _, test := range []struct {
		host  string
		flags [][]string
		want  string // what the library advises
	}{
		{standins.ServiceFabric, [][]string{byClientID, byObjectID, byResourceID},
			"the application's manifest assigns the identity"},
		{standins.CloudShell, [][]string{byClientID, byObjectID, byResourceID},
			"its token is the signed-in user's"},
		{standins.AzureML, [][]string{byObjectID, byResourceID}, "give a ClientID"},
		{standins.AppService2017, [][]string{byObjectID, byResourceID}, "give a ClientID"},
		{standins.WorkloadIdentity, [][]string{byObjectID, byResourceID}, "give a ClientID"},
	} {
		for _, flag := range test.flags {
			t.Run(test.host+" "+flag[0], func(t *testing.T) {
				stdout, stderr := execute(t, 1, "-host", test.host, flag[0], flag[1])
				kind := strings.NewReplacer("-id", " ID", "-", "").Replace(flag[0])
				for _, want := range []string{"identity: CredentialOptions.ID: ", "can't select an identity by " + kind, test.want} {
					if !strings.Contains(stderr, want) {
						t.Errorf("stderr %q has no %q", stderr, want)
					}
				}
				if stdout != "" {
					t.Errorf("stdout %q, want none", stdout)
				}
			})
		}
	}
}

func TestBadFlags(t *testing.T) {
	const vault = "https://example.vault.azure.net"
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-verbose"}, "-verbose"},
		{"flag without value", []string{"-host"}, "-host"},
		{"unknown host", []string{"-host", "gcp"},
			`-host "gcp": want imds, appservice, servicefabric, containerinstances, azureml, appservice2017, cloudshell, arc or workloadidentity`},
		{"empty host", []string{"-host", ""}, `-host ""`},
		{"host in capitals", []string{"-host", "IMDS"}, `-host "IMDS"`},
		{"two IDs", []string{"-client-id", "a", "-object-id", "b"}, "exclude each other"},
		{"three IDs", []string{"-client-id", "a", "-object-id", "b", "-resource-id", "/c"},
			"exclude each other"},
		{"an ID and an empty one", []string{"-client-id", "a", "-object-id", ""}, "exclude each other"},
		{"empty client ID", []string{"-client-id", ""}, "empty ClientID"},
		{"empty object ID", []string{"-object-id="}, "empty ObjectID"},
		{"empty resource ID", []string{"-resource-id", ""}, "empty ResourceID"},
		{"not a resource ID", []string{"-resource-id", "my-identity"}, `ResourceID "my-identity"`},
		{"leftover argument", []string{"database-password"}, `"database-password"`},
		{"leftover line break", []string{"a\nb"}, `"a\nb"`},
		{"no duration", []string{"-timeout", "soon"}, `"soon"`},
		{"no time", []string{"-timeout", "0s"}, "-timeout 0s"},
		{"negative time", []string{"-timeout", "-1s"}, "-timeout -1s"},
		{"vault without secret", []string{"-vault", vault}, "-vault and -secret go together"},
		{"secret without vault", []string{"-secret", "a"}, "-vault and -secret go together"},
		{"vault and unknown host", []string{"-vault", vault, "-secret", "a", "-host", "gcp"},
			"leave them out with -vault"},
		{"vault and host", []string{"-vault", vault, "-secret", "a", "-host", "imds"},
			"leave them out with -vault"},
		{"vault and outage", []string{"-vault", vault, "-secret", "a", "-outage"},
			"leave them out with -vault"},
		{"empty vault", []string{"-vault", "", "-secret", "a"}, `-vault ""`},
		{"a name for a vault", []string{"-vault", "example", "-secret", "a"}, `-vault "example"`},
		{"vault without scheme", []string{"-vault", "example.vault.azure.net", "-secret", "a"},
			"want the vault's URL"},
		{"vault over http", []string{"-vault", "http://example.vault.azure.net", "-secret", "a"},
			"want the vault's URL"},
		{"vault with path", []string{"-vault", vault + "/secrets/a", "-secret", "a"},
			"want the vault's URL"},
		{"vault with query", []string{"-vault", vault + "?a=b", "-secret", "a"}, "want the vault's URL"},
		{"vault with user", []string{"-vault", "https://me@example.vault.azure.net", "-secret", "a"},
			"want the vault's URL"},
		{"vault with line break", []string{"-vault", vault + "\n", "-secret", "a"},
			"want the vault's URL"},
		{"empty secret", []string{"-vault", vault, "-secret", ""}, `-secret ""`},
		{"secret with slash", []string{"-vault", vault, "-secret", "a/b"}, `-secret "a/b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr := execute(t, 1, test.args...)
			if !strings.Contains(stderr, test.want) {
				t.Errorf("stderr %q, want %q in it", stderr, test.want)
			}
			if stdout != "" {
				t.Errorf("stdout %q, want none", stdout)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	wants := []string{
		"-host", "-outage", "-vault", "-secret", "-client-id", "-object-id", "-resource-id", "-timeout",
		commandlinetest.Identities(t)[0].ObjectID, commandlinetest.Identities(t)[1].ResourceID,
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

func TestUnreachableVault(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, stderr := execute(t, 1, "-vault", closed+"/", "-secret", "a")
	if want := "keyvault: " + closed + " can't be reached: "; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr %q, want it to begin with %q", stderr, want)
	}
}

func TestInterrupted(t *testing.T) {
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			commandlinetest.SkipWithout(t, h.Name)
			ctx, interrupt := context.WithCancelCause(t.Context())
			interrupt(errors.New("interrupt signal received"))
			_, stderr := executeIn(ctx, t, 1, "-host", h.Name)
			if want := "keyvault: interrupt signal received\n"; stderr != want {
				t.Errorf("stderr %q, want %q", stderr, want)
			}
		})
	}
}

func TestInWords(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{59*time.Second + 400*time.Millisecond, "59s"},
		{time.Minute, "1 min"},
		{29*time.Minute + 31*time.Second, "30 min"},
		{59*time.Minute + 40*time.Second, "1 h"},
		{12 * time.Hour, "12 h"},
		{11*time.Hour + 5*time.Minute, "11 h 05 min"},
	} {
		if got := inWords(test.d); got != test.want {
			t.Errorf("inWords(%v) = %q, want %q", test.d, got, test.want)
		}
	}
}

func TestTimeout(t *testing.T) {
	_, stderr := execute(t, 1, "-timeout", "1ns")
	if want := "keyvault: gave up after 1ns (-timeout): "; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr %q, want it to begin with %q", stderr, want)
	}
}

func TestSilentVault(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	silent := "https://" + listener.Addr().String()
	_, stderr := execute(t, 1, "-vault", silent, "-secret", "a", "-timeout", "50ms")
	if want := "keyvault: " + silent +
		" doesn't answer: gave up after 50ms (-timeout)\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}
