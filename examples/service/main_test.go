package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asProgram has the test binary be the program.
const asProgram = "SERVICE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	_ = os.Unsetenv("PGUSER") // the developer's, who is not in these databases
	os.Exit(m.Run())
}

var addresses = regexp.MustCompile(`msg=serving users=(\S+) admin=(\S+)`)

// TestStandIns runs the README's command, on other ports: with a real PostgreSQL where there is
// one. SIGTERM ends it, with status 0.
func TestStandIns(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-standins")
	program.Env = append(os.Environ(), asProgram+"=1", "LISTEN=127.0.0.1:0",
		"LISTEN_ADMIN=127.0.0.1:0", "AZURE_CLIENT_ID=another", "AZURE_TOKEN_CREDENTIALS=dev",
		"PGUSER=another")
	out, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	var users, admin string
	lines := bufio.NewScanner(out)
	for users == "" && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if found := addresses.FindStringSubmatch(lines.Text()); found != nil {
			users, admin = "http://"+found[1], "http://"+found[2]
		}
	}
	rest := make(chan string)
	go func() {
		var b bytes.Buffer
		for lines.Scan() {
			b.WriteString(lines.Text() + "\n")
		}
		rest <- b.String()
	}()
	eventually(t, "ready", func() bool {
		return fetch(admin+"/readyz").status == http.StatusNoContent
	})
	order := fetch(users + "/orders/1")
	for path, status := range map[string]int{"/livez": 204, "/identity": 200, "/metrics": 200} {
		if a := fetch(admin + path); a.status != status {
			t.Errorf("%s: got %+v, want %d", path, a, status)
		}
	}
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log.WriteString(<-rest)
	if err := program.Wait(); err != nil {
		t.Errorf("%v, want status 0", err)
	}
	if order.status != http.StatusOK || order.body != `{"id":1,"item":"tea","quantity":3}` {
		t.Errorf("got %+v, want the order", order)
	}
	if all := log.String(); !strings.Contains(all, "msg=stopped") || strings.Contains(all, "eyJ") {
		t.Errorf("no end, or a token, in the log:\n%s", all)
	}
	t.Log(regexp.MustCompile(`database="?[^"\n]*`).FindString(log.String()))
}

// TestMistakes: each is an error before anything is served.
func TestMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		variables map[string]string
		args      []string
		want      string
	}{
		"nothing set": {nil, nil, "VAULT_URL or DATABASE_URL is not set"},
		"no URL of a database": {map[string]string{"VAULT_URL": "https://example.vault.azure.net",
			"DATABASE_URL": "postgres://u:secret@[/x"}, nil, "DATABASE_URL: "},
		"an unknown flag": {nil, []string{"-stand-ins"}, "-stand-ins: -h"},
		"an argument":     {nil, []string{"standins"}, `unexpected argument "standins"`},
		"an address that can't be had": {map[string]string{"LISTEN": "300.0.0.1:1",
			"VAULT_URL": "https://example.vault.azure.net", "DATABASE_URL": "postgres://127.0.0.1/x"},
			nil, "LISTEN: "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{"VAULT_URL", "DATABASE_URL", "LISTEN"} {
				t.Setenv(name, test.variables[name])
			}
			var out bytes.Buffer
			err := run(t.Context(), test.args, &out)
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestHelp: -h lists the variables and the flag.
func TestHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"VAULT_URL", "DATABASE_URL", "LISTEN_ADMIN", "-standins"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in:\n%s", want, &out)
		}
	}
}
