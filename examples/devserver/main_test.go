package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

// running is the program, which runs until stop.
type running struct {
	printed string            // until it was ready
	values  map[string]string // of the variables that it printed
	log     *bytes.Buffer     // for after the end
	stop    func() (status int)
}

// startProgram runs the program with a credential of the test's until its last line, which is the
// one with the command.
func startProgram(t *testing.T, d *developer, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	p := running{log: new(bytes.Buffer), values: map[string]string{}}
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, args, w, p.log, func(config) (azcore.TokenCredential, error) { return d, nil })
		_ = w.Close()
	}()
	p.stop = func() int {
		cancel()
		s := <-status
		status <- s
		return s
	}
	t.Cleanup(func() { p.stop() })
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		p.printed += line + "\n"
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok &&
			!strings.Contains(name, " ") {
			p.values[name] = value
		}
		if strings.HasPrefix(line, "  docker run ") {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return p
		}
	}
	t.Fatalf("devserver %q ended with status %d:\n%s%s", args, p.stop(), p.printed, p.log)
	return p
}

// fetch asks for a token as a program would that has the variables.
func fetch(t *testing.T, values map[string]string) (status int, token any) {
	t.Helper()
	endpoint, name, value := values["IDENTITY_ENDPOINT"], "X-IDENTITY-HEADER",
		values["IDENTITY_HEADER"]
	query := strings.TrimPrefix(appServiceURL, appService.path)
	if endpoint == "" {
		endpoint, name, value = values["AZURE_POD_IDENTITY_AUTHORITY_HOST"]+imds.path, "Metadata", "true"
		query = strings.TrimPrefix(imdsURL, imds.path)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(name, value)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body["access_token"]
}

const anyPort = "127.0.0.1:0"

func TestRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, wants, nots []string }{
		"both": {nil, []string{"IDENTITY_ENDPOINT=http://127.0.0.1:", "IDENTITY_HEADER=",
			"AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:",
			"docker run --network host -e IDENTITY_ENDPOINT=",
			"Tokens of the user of the Azure CLI at http://127.0.0.1:"}, nil},
		"App Service": {[]string{"-protocols", "appservice"}, []string{"IDENTITY_HEADER="},
			[]string{"AUTHORITY_HOST", "IMDS"}},
		"IMDS": {[]string{"-protocols", "imds", "-credential", "azd"},
			[]string{"docker run --network host -e AZURE_POD_IDENTITY_AUTHORITY_HOST=",
				"Azure Developer CLI"}, []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := startProgram(t, f.developer, append(test.args, "-listen", anyPort, "-host-name",
				"127.0.0.1")...)
			commandlinetest.WantAll(t, "what was printed", p.printed, test.wants...)
			for _, not := range test.nots {
				if strings.Contains(p.printed, not) {
					t.Errorf("printed %q:\n%s", not, p.printed)
				}
			}
			if status, token := fetch(t, p.values); status != 200 || token != f.developer.token.Token {
				t.Errorf("got %d with token %v, want the developer's", status, token)
			}
			if status := p.stop(); status != 0 {
				t.Errorf("exit status %d, want 0:\n%s", status, p.log)
			}
			if secret := p.values["IDENTITY_HEADER"]; secret != "" &&
				(len(secret) < 26 || strings.Contains(p.log.String(), secret)) {
				t.Errorf("secret %q: want a long one that is not in the log:\n%s", secret, p.log)
			}
			if strings.Contains(p.printed+p.log.String(), f.developer.token.Token) {
				t.Errorf("the token was printed:\n%s%s", p.printed, p.log)
			}
		})
	}
}

// TestSecretOfThisRun: each run has its own.
func TestSecretOfThisRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, second := startProgram(t, f.developer, "-listen", anyPort, "-host-name", "127.0.0.1"),
		startProgram(t, f.developer, "-listen", anyPort, "-host-name", "127.0.0.1")
	second.values["IDENTITY_HEADER"] = first.values["IDENTITY_HEADER"]
	if status, token := fetch(t, second.values); status != 403 || token != nil {
		t.Errorf("got status %d and token %v for another run's secret, want 403", status, token)
	}
}

// TestEnvFile: with -env the secret is in a file of this user's, not on the screen, and gone at the
// end.
func TestEnvFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "dev.env")
	if err := os.WriteFile(file, []byte(envMark+"IDENTITY_HEADER=of an earlier run\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, f.developer, "-listen", anyPort, "-host-name", "localhost", "-env", file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	values := map[string]string{}
	for line := range strings.Lines(strings.TrimPrefix(string(content), envMark)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	if len(values) != 3 || len(p.values) > 0 ||
		!strings.Contains(p.printed, "docker run --network host --env-file "+file+" IMAGE\n") {
		t.Errorf("the file has %q, and printed was\n%s", content, p.printed)
	}
	if status, token := fetch(t, values); status != 200 || token != f.developer.token.Token {
		t.Errorf("got %d with token %v, want the developer's", status, token)
	}
	if status := p.stop(); status != 0 ||
		strings.Contains(p.printed+p.log.String(), values["IDENTITY_HEADER"]) {
		t.Errorf("status %d, want 0 and no secret in\n%s%s", status, p.printed, p.log)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestEnvFileOfALaterRun: who ends removes its own file only.
func TestEnvFileOfALaterRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "dev.env")
	first := startProgram(t, f.developer, "-listen", anyPort, "-env", file)
	second := startProgram(t, f.developer, "-listen", anyPort, "-env", file)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first.stop()
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after the end of the first run the file has %q, %v, want the second's %q", got, err,
			want)
	}
	second.stop()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end of both: %v, want no file", err)
	}
}

func TestEnvFileOfOthers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	const content = "DATABASE=postgres\n"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, "is there already, and not devserver's", "-listen", anyPort, "-env", file)
	fails(t, "-env: ", "-listen", anyPort, "-env", filepath.Dir(file))
	if got, err := os.ReadFile(file); err != nil || string(got) != content {
		t.Errorf("the file has %q, %v, want it as it was", got, err)
	}
}

// fails runs the program to an error, which is one line.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	// or a program that should have failed would run on
	limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	status := run(limited, args, &stdout, &stderr, func(config) (azcore.TokenCredential, error) {
		return &developer{}, nil
	})
	line, ok := strings.CutSuffix(stderr.String(), "\n")
	if status != 1 || !ok || !strings.HasPrefix(line, "devserver: ") || strings.Contains(line, "\n") ||
		!strings.Contains(line, want) || stdout.Len() > 0 {
		t.Errorf("devserver %q: status %d, stderr %q, stdout %q; want 1 and one line with %q", args,
			status, &stderr, &stdout, want)
	}
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	fails(t, "-listen "+taken.Addr().String()+": ", "-listen", taken.Addr().String())
}

func TestBadCredential(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	status := run(t.Context(), nil, io.Discard, &stderr, func(config) (azcore.TokenCredential, error) {
		return nil, errors.New("no\ncredential")
	})
	if got := stderr.String(); status != 1 || got != "devserver: no credential\n" {
		t.Errorf("status %d, stderr %q", status, got)
	}
}
