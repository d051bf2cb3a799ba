package identity

import (
	"crypto/fips140"
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestMain runs the tests.
//
// In FIPS 140-3 mode, up to Go 1.26, a goroutine of a bubble that reads crypto/rand while another
// one does panics (see takeTurn in identitytest). Some tests serve TLS outside of bubbles, which
// takes no turns, so that the tests run one at a time then.
func TestMain(m *testing.M) {
	goroutinesAtStart = runtime.NumGoroutine()
	flag.Parse()
	if fips140.Enabled() && strings.HasPrefix(runtime.Version(), "go1.26") {
		_ = flag.Set("test.parallel", "1")
	}
	os.Exit(m.Run())
}

// goroutinesAtStart is how many there were before the first test.
var goroutinesAtStart int

// TestImportStartsNothing: this package, and what it brings, runs only when it is asked for a
// token.
func TestImportStartsNothing(t *testing.T) {
	t.Parallel()
	if goroutinesAtStart != 1 {
		t.Errorf("%d goroutines before the first test, want only the main one", goroutinesAtStart)
	}
}
