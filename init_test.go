package identity

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNothingIsMadeAtStart: a program that imports the package pays next to nothing before its main
// begins. What is made only now and then belongs in internal/lazy. The root itself is left out,
// because its tests make variables of their own; internal/bench measures a program without them.
func TestNothingIsMadeAtStart(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Skip("this test's own program can't be found: ", err)
	}
	program := exec.Command(self, "-test.run", "^$")
	program.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	program.Stderr = &trace
	if err := program.Run(); err != nil {
		t.Skip("a program can't be run here: ", err)
	}
	line := regexp.MustCompile(`^init (\S+) @.* (\d+) allocs$`)
	lines, allocations := 0, 0
	for s := bufio.NewScanner(&trace); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		lines++
		if strings.HasSuffix(m[1], "/internal/record") { // of the fakes
			continue
		}
		if n, _ := strconv.Atoi(m[2]); n > 0 && strings.Contains(m[1], "/identity/internal/") {
			t.Logf("%s: %d allocations", m[1], n)
			allocations += n
		}
	}
	if lines == 0 {
		t.Fatalf("the runtime printed no trace: %.500s", trace.String())
	}
	if allocations > 4 {
		t.Errorf("%d allocations before main, want 4 at most", allocations)
	}
}
