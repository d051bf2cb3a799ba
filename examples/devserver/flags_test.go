package main

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

// TestNotLoopback: without -allow-remote nothing is bound that others could reach.
func TestNotLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0",
		"[::ffff:192.0.2.1]:0", "[fe80::1%lo]:0", "172.17.0.1:16925"} {
		fails(t, "is not loopback", "-listen", address)
		c, err := parse([]string{"-listen", address, "-allow-remote"})
		if err != nil || !c.remote() || len(c.protocols) != 1 || c.protocols[0].name != appService.name {
			t.Errorf("%s with -allow-remote: %+v, %v, want App Service alone", address, c, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.1.2.3:0", "[::1]:0", "localhost:0",
		"LOCALHOST:80", "[::ffff:127.0.0.1]:0"} {
		c, err := parse([]string{"-listen", address})
		if err != nil || c.remote() || len(c.protocols) != 2 {
			t.Errorf("%s: %+v, %v, want it to be loopback with both protocols", address, c, err)
		}
	}
}

// TestRemoteStartUp: the name that programs are given, and what the log warns of. Nothing is bound.
func TestRemoteStartUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		base string
		risk string
	}{
		{[]string{"-listen", "172.17.0.1:80", "-allow-remote"}, "http://172.17.0.1:16925",
			"has the secret"},
		{[]string{"-listen", "[2001:db8::1]:80", "-allow-remote"}, "http://[2001:db8::1]:16925",
			"has the secret"},
		{[]string{"-listen", "0.0.0.0:80", "-allow-remote"}, "http://host.docker.internal:16925",
			"has the secret"},
		{[]string{"-listen", "0.0.0.0:80", "-allow-remote", "-host-name", "laptop.test", "-protocols",
			"imds,appservice"}, "http://laptop.test:16925", "whoever can reach the port gets your tokens"},
	} {
		c, err := parse(test.args)
		if err != nil {
			t.Fatal(err)
		}
		s := startUp{config: c, address: "192.0.2.1:16925", secret: secret}
		if got := s.variables()[0]; got != "IDENTITY_ENDPOINT="+test.base+"/msi/token" {
			t.Errorf("%q: %s, want it at %s", test.args, got, test.base)
		}
		var out, logged bytes.Buffer
		if err := s.announce(&out, slog.New(slog.NewTextHandler(&logged, nil))); err != nil {
			t.Fatal(err)
		}
		if got := logged.String(); !strings.Contains(got, "level=WARN") ||
			!strings.Contains(got, test.risk) {
			t.Errorf("%q: logged %q, want a warning with %q in it", test.args, got, test.risk)
		}
		if !strings.Contains(out.String(), "  docker run -e IDENTITY_ENDPOINT="+test.base) {
			t.Errorf("%q: printed\n%s", test.args, &out)
		}
	}
}

// TestCommandToCopy: the name of the file of -env is one word of it, whatever is in it.
func TestCommandToCopy(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the shells of Windows quote otherwise")
	}
	for name, want := range map[string]string{
		"/home/me/dev.env":         "/home/me/dev.env",
		"/home/me/My Work/dev.env": "'/home/me/My Work/dev.env'",
		"/home/$(reboot)/a'b.env":  `'/home/$(reboot)/a'\''b.env'`,
		`a\b;c.env`:                `'a\b;c.env'`,
	} {
		var out bytes.Buffer
		s := startUp{config: config{protocols: protocols, envFile: name}, address: anyPort,
			secret: secret}
		if err := s.announce(&out, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "  docker run --env-file "+want+" IMAGE\n") {
			t.Errorf("%s: printed\n%s\nwant %s in the command", name, &out, want)
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	mistakes := commandlinetest.Mistakes{
		"-verbose":                 {{"-verbose"}},
		`unexpected argument "az"`: {{"az"}},
		"-listen is empty":         {{"-listen", ""}},
		"-host-name is empty":      {{"-host-name="}},
		"-env is empty":            {{"-env="}},
		"-tenant is empty":         {{"-tenant", ""}},
		"-protocols is empty":      {{"-protocols", ""}},
		"want an address and a port": {{"-listen", ":16925"}, {"-listen", "127.0.0.1"},
			{"-listen", "laptop.test:80"}, {"-listen", "localhost"}, {"-listen", "127.0.0.1:http"},
			{"-listen", "127.0.0.1:65536"}},
		`-protocols "arc"`:      {{"-protocols", "arc"}},
		`-protocols "imds,"`:    {{"-protocols", "imds,"}},
		`-host-name "http://a"`: {{"-host-name", "http://a"}},
		"want a client ID":      {{"-accept-id", ""}},
		`-credential "gcloud": want azurecli, azd, default or federated`: {{"-credential", "gcloud"}},
		"-subscription is for": {{"-credential", "azd", "-subscription", "s"},
			{"-credential", "default", "-subscription", "s"}},
		"are for each other": {{"-credential", "federated", "-tenant", "t"},
			{"-application", "a", "-tenant", "t"}},
		"-application is empty":     {{"-credential", "federated", "-application="}},
		"the application's -tenant": {{"-credential", "federated", "-application", "a"}},
		`-assertion "gitlab"`: {{"-credential", "federated", "-application", "a", "-tenant", "t",
			"-assertion", "gitlab"}},
		"exclude each other": {{"-subscription", "s", "-tenant", "t"}},
	}
	for want, rows := range mistakes {
		for _, args := range rows {
			fails(t, want, args...)
		}
	}
}

// TestCredentials: each value of the flag makes one, without running anything.
func TestCredentials(t *testing.T) {
	withoutHosts(t)
	t.Setenv("PATH", t.TempDir())
	for _, args := range [][]string{
		nil, {"-tenant", "a.example"}, {"-subscription", "s"}, {"-credential", "azd"},
		{"-credential", "azd", "-tenant", "a.example"}, {"-credential", "default"},
		{"-credential", "default", "-tenant", "a.example"},
		{"-credential", "federated", "-application", "a", "-tenant", "a.example"},
		{"-credential", "federated", "-application", "a", "-tenant", "a.example", "-assertion",
			"file:/t"},
	} {
		c, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		if credential, err := c.newCredential(); err != nil || credential == nil {
			t.Errorf("%q: %v, %v", args, credential, err)
		}
	}
}

// TestItself: a chain that looks for an identity endpoint must not find this one.
func TestItself(t *testing.T) {
	withoutHosts(t)
	t.Setenv("IDENTITY_HEADER", "of an earlier run")
	for endpoint, itself := range map[string]bool{
		"http://127.0.0.1:16925/msi/token":            true,
		"http://host.docker.internal:16925/msi/token": true,
		"http://laptop.test:16925/msi/token":          true,
		"http://other.test:16925/msi/token":           false,
		"http://127.0.0.1:4141/msi/token":             false,
	} {
		t.Setenv("IDENTITY_ENDPOINT", endpoint)
		for _, args := range [][]string{
			{"-credential", "default", "-host-name", "laptop.test"},
			{"-credential", "federated", "-application", "a", "-tenant", "t", "-host-name", "laptop.test"},
		} {
			_, err := parse(args)
			if (err != nil) != itself || err != nil && !strings.Contains(err.Error(), "ask itself") {
				t.Errorf("%s: got %v, want an error: %t", endpoint, err, itself)
			}
		}
		if _, err := parse([]string{"-host-name", "laptop.test"}); err != nil {
			t.Errorf("%s: got %v for the Azure CLI, which doesn't look", endpoint, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &stdout, &stderr,
		config.newCredential); status != 0 || stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q", status, &stderr)
	}
	commandlinetest.WantAll(t, "-h", stdout.String(), "-credential", "-tenant", "-subscription",
		"-accept-id", "-listen", "-protocols", "-host-name", "-env", "-allow-remote", "-h ",
		"-application", "-assertion", defaultListen, dockerHost)
}
