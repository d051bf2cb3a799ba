package identity_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelease: .ci/release says what a release lacks, and then which tags it has, the root's first.
func TestRelease(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	script, err := filepath.Abs(".ci/release")
	if err != nil {
		t.Fatal(err)
	}
	const module = "module example.com/m\n\nrequire github.com/keyless-go/identity v0.0.0\n"
	clone := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(clone, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(command ...string) (string, bool) {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = clone
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GOFLAGS=", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	git := func(arguments ...string) {
		t.Helper()
		user := []string{"git", "-c", "user.name=a", "-c", "user.email=a@example.com"}
		if out, ok := run(append(user, arguments...)...); !ok {
			t.Fatalf("git %s: %s", arguments, out)
		}
	}
	refuses := func(words ...string) {
		t.Helper()
		out, ok := run("bash", script, "check", "v0.2.0")
		if ok {
			t.Errorf("the release is ready, want an error with %q", words)
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("got %q, want %q in it", out, w)
			}
		}
	}

	git("init", "-q")
	write("integrations/pgx/go.mod", module)
	write("integrations/kafka/go.mod", module)
	write("CHANGELOG.md", "## [Unreleased]\n")
	git("add", ".")
	git("commit", "-q", "-m", "all")
	refuses("integrations/pgx/go.mod doesn't require", "integrations/kafka/go.mod doesn't require",
		"CHANGELOG.md has no line")
	if out, ok := run("bash", script, "require", "v0.2.0"); !ok {
		t.Fatal(out)
	}
	write("CHANGELOG.md", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n")
	refuses("the work tree has changes")
	git("commit", "-q", "-a", "-m", "v0.2.0")
	out, ok := run("bash", script, "check", "v0.2.0")
	if want := "  v0.2.0\n  integrations/kafka/v0.2.0\n  integrations/pgx/v0.2.0\n"; !ok ||
		!strings.HasSuffix(out, want) {
		t.Errorf("got %q, want the tags %q", out, want)
	}
	git("tag", "integrations/pgx/v0.2.0")
	refuses("the tag integrations/pgx/v0.2.0 exists")
	if out, ok := run("bash", script, "check", "0.2.0"); ok {
		t.Errorf("0.2.0 is no version, got %q", out)
	}
}
