package main

import (
	"fmt"
	"regexp"
	"strings"
)

// verdict is what became of a mutation.
type verdict string

const (
	caught      verdict = "caught"
	survived    verdict = "SURVIVED"
	notCompiled verdict = "DOES NOT COMPILE"
	hung        verdict = "HUNG"    // until the tests' time was up: a test that fails would say more
	crashed     verdict = "CRASHED" // no test failed, and the others didn't end
)

// result is a verdict with what the tests said.
type result struct {
	verdict verdict
	tests   []string // that failed
	output  string   // the end of it
}

// String is the verdict in words.
func (r result) String() string {
	if r.verdict == caught {
		return "caught by " + r.by()
	}
	return string(r.verdict)
}

// by names the test that failed first.
func (r result) by() string {
	switch others := len(r.tests) - 1; others {
	case 0:
		return r.tests[0]
	case 1:
		return r.tests[0] + " (and 1 other)"
	default:
		return fmt.Sprintf("%s (and %d others)", r.tests[0], others)
	}
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// judge reads what a test binary printed.
func judge(out string, passed bool) result {
	r := result{output: tail(out)}
	for _, found := range failedTest.FindAllStringSubmatch(out, -1) {
		r.tests = append(r.tests, found[1])
	}
	switch {
	case passed:
		r.verdict = survived
	case strings.Contains(out, "panic: test timed out"):
		r.verdict = hung
	case len(r.tests) > 0:
		r.verdict = caught
	default:
		r.verdict = crashed
	}
	return r
}

// tail is the end of what was printed.
func tail(out string) string {
	const most = 3000
	return out[max(0, len(out)-most):]
}
