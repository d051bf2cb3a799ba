package main

import (
	"bytes"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// None of these tests is parallel: run sets this process's environment variables for its stand-ins.

// execute runs the program, and checks what holds for every run: the status agrees with what was printed, and an error is
// one line.
func execute(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	environment := os.Environ()
	var out, err bytes.Buffer
	got := run(t.Context(), args, &out, &err)
	stdout, stderr = out.String(), err.String()
	if got != want {
		t.Fatalf("keyvault %q: exit status %d, want %d\nstdout: %s\nstderr: %s", args, got, want, stdout, stderr)
	}
	if want == 0 && stderr != "" {
		t.Errorf("keyvault %q: stderr %q, want none", args, stderr)
	}
	if line, ok := strings.CutSuffix(stderr, "\n"); want != 0 && (!ok || !strings.HasPrefix(line, "keyvault: ") || strings.Contains(line, "\n")) {
		t.Errorf("keyvault %q: stderr %q, want one line that begins with keyvault:", args, stderr)
	}
	if after := os.Environ(); strings.Join(after, "\n") != strings.Join(environment, "\n") {
		t.Errorf("keyvault %q: left the environment changed: %q, want %q", args, after, environment)
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

func TestStandIns(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		host   string
		outage bool
	}{
		{"default", nil, "IMDS, because AZURE_POD_IDENTITY_AUTHORITY_HOST is set", false},
		{"imds", []string{"-host", "imds"}, "IMDS, because AZURE_POD_IDENTITY_AUTHORITY_HOST is set", false},
		{"appservice", []string{"-host", "appservice"}, "App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set", false},
		{"outage", []string{"-outage"}, "IMDS", true},
		{"appservice outage", []string{"-host", "appservice", "-outage"}, "App Service", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, _ := execute(t, 0, test.args...)
			wantField(t, stdout, "Host", test.host)
			wantField(t, stdout, "Endpoint", "http://127.0.0.1:")
			wantField(t, stdout, "Identity", "the host's default")
			wantField(t, stdout, "Vault", "https://example.vault.azure.net")
			wantField(t, stdout, "Client 1", "read 5 secrets")
			wantField(t, stdout, "Client 2", "read 5 secrets")
			wantField(t, stdout, "Token", "for https://vault.azure.net")
			wantField(t, stdout, "Reader", "the system-assigned identity, client ID "+identities(t)[0].ClientID)
			wantField(t, stdout, "Requests", "1 to the identity endpoint, for 10 secrets")
			if want := " 12 to the vault: 2 to learn what a token must be for, 10 with the token\n"; !strings.Contains(stdout, want) {
				t.Errorf("stdout has no %q:\n%s", want, stdout)
			}
			wantTime(t, field(stdout, "Expires"), 24*time.Hour, time.Minute)
			wantTime(t, field(stdout, "Renewal"), 12*time.Hour, 75*time.Minute)

			values := map[string]string{}
			for _, match := range printedSecret.FindAllStringSubmatch(stdout, -1) {
				values[match[2]] = match[1]
			}
			if len(values) != 10 {
				t.Errorf("%d distinct values printed, want 10:\n%s", len(values), stdout)
			}

			start := strings.Index(stdout, "Outage ")
			if (start >= 0) != test.outage {
				t.Fatalf("an outage is told of: %t, want %t:\n%s", start >= 0, test.outage, stdout)
			}
			if test.outage {
				after := stdout[start:]
				wantField(t, after, "Outage", "the identity endpoint now answers 503 Service Unavailable, for 12 h")
				wantField(t, after, "Client 3", "read 10 secrets, all as before")
				wantField(t, after, "Requests", "0 to the identity endpoint since the outage began")
			}
		})
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

func identities(t *testing.T) []identitytest.Identity {
	t.Helper()
	endpoint, err := newEndpoint(hostIMDS)
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Identities()
}

func TestSelectIdentity(t *testing.T) {
	system, user := identities(t)[0], identities(t)[1]
	for _, host := range []string{hostIMDS, hostAppService} {
		for _, test := range []struct {
			flag, value, identity, reader string
		}{
			{"-client-id", user.ClientID, "client ID ", "the user-assigned identity, client ID " + user.ClientID},
			{"-client-id", strings.ToUpper(user.ClientID), "client ID ", "the user-assigned identity, client ID " + user.ClientID},
			{"-object-id", user.ObjectID, "object ID ", "the user-assigned identity, client ID " + user.ClientID},
			{"-resource-id", user.ResourceID, "resource ID ", "the user-assigned identity, client ID " + user.ClientID},
			{"-client-id", system.ClientID, "client ID ", "the system-assigned identity, client ID " + system.ClientID},
			{"-object-id", system.ObjectID, "object ID ", "the system-assigned identity, client ID " + system.ClientID},
		} {
			t.Run(host+" "+test.flag+" "+test.value, func(t *testing.T) {
				stdout, _ := execute(t, 0, "-host", host, test.flag, test.value)
				wantField(t, stdout, "Identity", test.identity+test.value)
				wantField(t, stdout, "Reader", test.reader)
				wantField(t, stdout, "Requests", "1 to the identity endpoint, for 10 secrets")
			})
		}
	}
}

func TestWrongIdentity(t *testing.T) {
	const nobody = "00000000-0000-4000-8000-000000000000"
	for _, test := range []struct {
		host, flag, id, want string
	}{
		{hostIMDS, "-client-id", nobody, `400 invalid_request "Identity not found"`},
		{hostIMDS, "-object-id", nobody, `400 invalid_request "Identity not found"`},
		{hostIMDS, "-resource-id", "/subscriptions/" + nobody, `400 invalid_request "Identity not found"`},
		{hostAppService, "-client-id", nobody, "No User Assigned or Delegated Managed Identity found"},
		{hostAppService, "-object-id", nobody, "No User Assigned or Delegated Managed Identity found"},
		{hostAppService, "-resource-id", "/subscriptions/" + nobody, "No User Assigned or Delegated Managed Identity found"},
	} {
		t.Run(test.host+" "+test.flag, func(t *testing.T) {
			_, stderr := execute(t, 1, "-host", test.host, test.flag, test.id)
			for _, want := range []string{test.want, test.id, "1 attempt", "(-h lists the identities of the stand-ins)"} {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr %q has no %q", stderr, want)
				}
			}
		})
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
		{"unknown host", []string{"-host", "gcp"}, `-host "gcp": want imds or appservice`},
		{"empty host", []string{"-host", ""}, `-host ""`},
		{"two IDs", []string{"-client-id", "a", "-object-id", "b"}, "exclude each other"},
		{"three IDs", []string{"-client-id", "a", "-object-id", "b", "-resource-id", "/c"}, "exclude each other"},
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
		{"vault and host", []string{"-vault", vault, "-secret", "a", "-host", "imds"}, "leave them out with -vault"},
		{"vault and outage", []string{"-vault", vault, "-secret", "a", "-outage"}, "leave them out with -vault"},
		{"empty vault", []string{"-vault", "", "-secret", "a"}, `-vault ""`},
		{"a name for a vault", []string{"-vault", "example", "-secret", "a"}, `-vault "example"`},
		{"vault without scheme", []string{"-vault", "example.vault.azure.net", "-secret", "a"}, "want the vault's URL"},
		{"vault over http", []string{"-vault", "http://example.vault.azure.net", "-secret", "a"}, "want the vault's URL"},
		{"vault with path", []string{"-vault", vault + "/secrets/a", "-secret", "a"}, "want the vault's URL"},
		{"vault with query", []string{"-vault", vault + "?a=b", "-secret", "a"}, "want the vault's URL"},
		{"vault with user", []string{"-vault", "https://me@example.vault.azure.net", "-secret", "a"}, "want the vault's URL"},
		{"vault with line break", []string{"-vault", vault + "\n", "-secret", "a"}, "want the vault's URL"},
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
		identities(t)[0].ObjectID, identities(t)[1].ResourceID,
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
	if want := "keyvault: " + silent + " doesn't answer: gave up after 50ms (-timeout)\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}
