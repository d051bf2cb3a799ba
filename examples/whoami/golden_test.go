package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
)

var update = flag.Bool("update", false, "rewrite testdata with what is printed now")

// variable is what differs between two runs.
var variable = []struct{ find, replace string }{
	{`127\.0\.0\.1:\d+/[0-9a-f]{8}`, "127.0.0.1:PORT/NONCE"},
	{`\b[0-9A-F]{40}\b`, "THUMBPRINT"},
	{`[^ "]*/standin-\d+`, "DIRECTORY"},
	{`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d( UTC|Z)`, "TIME"},
	{`in [0-9.]+(µs|ms|s),`, "in DURATION,"},
	{`(not asked: this is Azure, because )[^\n"]+`, "${1}REASON"}, // the first of the process
	{`"elapsedMs": [0-9.]+`, `"elapsedMs": DURATION`},
	{`(chassis_asset_tag +)[^ ].*`, "${1}FINDING"},
	{`(chassis_asset_tag",\s+"file": true,)\s+"set": (true,\s+"withheld": true|false)`,
		"${1} FINDING"},
}

func TestGolden(t *testing.T) {
	skipElsewhere(t)
	for _, h := range standins.Hosts() {
		for _, mode := range []struct{ extension, flag string }{{".txt", "-json=false"}, {".json", "-json"}} {
			t.Run(h.Name+mode.extension, func(t *testing.T) {
				got, _ := execute(t, 0, "-fake", h.Name, mode.flag)
				for _, v := range variable {
					got = regexp.MustCompile(v.find).ReplaceAllString(got, v.replace)
				}
				compare(t, filepath.Join("testdata", h.Name+mode.extension), got)
			})
		}
	}
}

// skipElsewhere: the files that Detect looks for are others on other systems, and one is there on a
// machine of Azure Arc's.
func skipElsewhere(t *testing.T) {
	t.Helper()
	for _, e := range identity.Detect().Evidence {
		// the chassis asset tag of a machine that isn't Azure's is withheld
		if e.File && e.Set && !e.Withheld {
			t.Skip("this machine has " + e.Name)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other files, and other words for a refused connection")
	}
}

// TestGoldenFailure: five lines, and what Detect saw.
func TestGoldenFailure(t *testing.T) {
	skipElsewhere(t)
	t.Setenv(movesIMDS, "http://"+commandlinetest.Closed(t)+"/01234567")
	stdout, stderr := execute(t, 1)
	got := stdout + "--- stderr\n" + stderr
	for _, v := range append(variable[:len(variable):len(variable)], []struct{ find, replace string }{
		{`127\.0\.0\.1:\d+`, "127.0.0.1:PORT"},
		{`attempts, [0-9.]+(µs|ms|s)\)`, "attempts, DURATION)"},
	}...) {
		got = regexp.MustCompile(v.find).ReplaceAllString(got, v.replace)
	}
	compare(t, filepath.Join("testdata", "off-azure.txt"), got)
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(string(want), "\r\n", "\n"); got != want {
		t.Errorf("%s\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}
