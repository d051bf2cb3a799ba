package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// devserver is the program of examples/devserver, which runs with a stand-in for the Azure CLI.
type devserver struct {
	variables map[string]string // that it printed
	dir       string            // that az notes its runs in
	log       string            // the file that has what devserver says
}

// TestDevserver: programs with the peers' SDKs get the developer's token from examples/devserver,
// and read what the developer has to do if there is none. Of the protocols it serves azidentity for
// Go finds App Service's only.
func TestDevserver(t *testing.T) {
	withoutAgent(t)
	d := startDevserver(t)
	const resource, loggedOut = "https://shared.example", "https://logged-out.example"

	// check is for what a peer got for each of the two resources.
	check := func(t *testing.T, token, failure string, refusals int) {
		t.Helper()
		runs := d.runs(t)
		if got := runs[resource]; len(got) != 1 || got[0] != token {
			t.Errorf("got token %q, want the one of the only run of az, which printed %q", token, got)
		}
		if !strings.Contains(failure, "az login") {
			t.Errorf("got error %q for a developer who isn't logged in, want one that says az login",
				failure)
		}
		if got := d.refusals(t) - refusals; got != 1 {
			t.Errorf("the peer asked %d times for a token that there isn't, want once", got)
		}
	}

	t.Run("azidentity", func(t *testing.T) {
		d.set(t, "IDENTITY_ENDPOINT", "IDENTITY_HEADER")
		t.Setenv("PATH", t.TempDir()) // no tool of this machine's
		before := d.refusals(t)
		peer, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		token, err := peer.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{resource +
			"/.default"}})
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.ExpiresOn); left < 59*time.Minute || left > time.Hour {
			t.Errorf("got a token for %v, want an hour", left)
		}
		_, err = peer.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{loggedOut + "/.default"}})
		if err == nil {
			t.Fatal("got a token of nobody's")
		}
		check(t, token.Token, err.Error(), before)
	})
	for _, protocol := range []struct {
		name      string
		variables []string
	}{
		{"App Service", []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}},
		{"IMDS", []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST"}},
	} {
		t.Run("JavaScript/"+protocol.name, func(t *testing.T) {
			script := install(t)
			d.set(t, protocol.variables...)
			before := d.refusals(t)
			answers := script(t, []asked{{resource + "/.default", map[string]string{}},
				{loggedOut + "/.default", map[string]string{}}})
			if len(answers) != 2 || answers[0].Error != "" {
				t.Fatalf("got %+v, want a token and an error", answers)
			}
			if left := time.Until(time.UnixMilli(answers[0].Expires)); left < 59*time.Minute ||
				left > time.Hour+2*time.Second {
				t.Errorf("got a token for %v, want an hour", left)
			}
			check(t, answers[0].Token, answers[1].Error, before)
		})
	}
	if text := d.said(t); strings.Contains(text, "eyJ") ||
		strings.Contains(text, d.variables["IDENTITY_HEADER"]) {
		t.Errorf("a token or the secret is in what devserver says:\n%s", text)
	}
}

// startDevserver builds both programs and runs the one, which will find the other, until the test
// ends.
func startDevserver(t *testing.T) *devserver {
	t.Helper()
	d := &devserver{variables: map[string]string{}, dir: t.TempDir(),
		log: filepath.Join(t.TempDir(), "log")}
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go on PATH")
	}
	program := filepath.Join(t.TempDir(), "devserver"+suffix)
	// whatever owns the directory, and is above it
	environment := append(inherited, "GOFLAGS=-buildvcs=false", "GOWORK=off")
	run(t, 3*time.Minute, filepath.Join("..", "..", "examples"), environment, goTool, "build", "-o",
		program, "./devserver")
	run(t, time.Minute, ".", environment, goTool, "build", "-o", filepath.Join(d.dir, "az"+suffix),
		"./testdata/az")

	log, err := os.Create(d.log) // a file and no pipe: it has each line before the answer is sent
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	command := exec.Command(program, "-listen", "127.0.0.1:0", "-host-name", "127.0.0.1")
	command.Env = append(os.Environ(), "PATH="+d.dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	command.Stderr = log
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if command.Process.Signal(os.Interrupt) != nil { // as on Windows
			_ = command.Process.Kill()
		}
		if err := command.Wait(); err != nil && runtime.GOOS != "windows" {
			t.Errorf("devserver: %v\n%s", err, d.said(t))
		}
	})
	lines := bufio.NewScanner(stdout)
	// the last one before it is ready
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "  docker run ") {
		if name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok {
			d.variables[name] = value
		}
	}
	if len(d.variables) != 3 {
		t.Fatalf("devserver printed %d variables, want 3:\n%s", len(d.variables), d.said(t))
	}
	return d
}

// set sets those of the variables, as a developer would where the program runs.
func (d *devserver) set(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, d.variables[name])
	}
}

func (d *devserver) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refusals counts the requests that brought no token.
func (d *devserver) refusals(t *testing.T) int {
	t.Helper()
	return strings.Count(d.said(t), `msg="no token"`)
}

// runs are the tokens of the runs of az, by resource.
func (d *devserver) runs(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	list := map[string][]string{}
	for line := range bytes.Lines(text) {
		var run struct{ Resource, Token string }
		if err := json.Unmarshal(line, &run); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		list[run.Resource] = append(list[run.Resource], run.Token)
	}
	return list
}
