package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
)

// build runs the command of docs/operations.md as it stands there, but for where the program goes.
func build(t *testing.T, to string) {
	t.Helper()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?m)^ *(CGO_ENABLED=0 go .*)-o /tmp/whoami( .*)$").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/operations.md has no command that builds /tmp/whoami")
	}
	command := exec.Command("/bin/sh", "-c", string(found[1])+"-o '"+to+"'"+string(found[2]))
	command.Dir = root
	command.Env = append(os.Environ(), "PATH="+path)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command.Args[2], err, out)
	}
}

// in runs the program in a root directory that has nothing else, without a variable.
func in(
	ctx context.Context, root string, flags uintptr, args ...string,
) (stdout, stderr string, err error) {
	command := exec.CommandContext(ctx, "/whoami", args...)
	command.Dir, command.Env = "/", []string{}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var out, errOut strings.Builder
	command.Stdout, command.Stderr = &out, &errOut
	err = command.Run()
	return out.String(), errOut.String(), err
}

// TestInEmptyImage: what the command of docs/operations.md builds runs where there is nothing else:
// no libc, no shell, no file.
func TestInEmptyImage(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program without cgo, which takes 20 s the first time")
	}
	root := t.TempDir()
	build(t, filepath.Join(root, "whoami"))
	if _, stderr, err := in(t.Context(), root, 0, "-h"); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Skipf("no user namespace with a root directory of its own here: %v", err)
		}
		t.Fatalf("-h: %v\n%s", err, stderr)
	}
	for _, host := range []string{standins.IMDS, standins.ServiceFabric} { // one has TLS
		stdout, stderr, err := in(t.Context(), root, 0, "-fake", host)
		if err != nil || stderr != "" {
			t.Errorf("-fake %s: %v\n%s", host, err, stderr)
		}
		commandlinetest.WantAll(t, "stdout", stdout, "gave the token", "\nType  ", "not verified")
	}
	// Without a network, too: nothing of this machine answers.
	stdout, stderr, err := in(t.Context(), root, syscall.CLONE_NEWNET)
	if err == nil {
		t.Errorf("without a network: got a token:\n%s", stdout)
	}
	commandlinetest.WantAll(t, "stdout", stdout,
		"Because                  no other host's variables are set",
		"managed identity     IMDS: no answer", "Azure CLI            az is not installed",
		"Azure Developer CLI  azd is not installed", "Answers                  no, in ")
	got := wantFiveLines(t, stderr)
	for i, want := range []string{"the host's default identity",
		"then Azure CLI and Azure Developer CLI", "no source is available", "a developer's login",
		"az login or azd auth login"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d is %q, want %q in it", i+1, got[i], want)
		}
	}
}
