package identity_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocsArchitecture: each file and folder that ARCHITECTURE.md names is there, and each package
// of the engine is named.
func TestDocsArchitecture(t *testing.T) {
	t.Parallel()
	page := readFile(t, "ARCHITECTURE.md")
	path := regexp.MustCompile(`^[a-z0-9_/]+(\.(go|md|txt)|/[a-z]+)$`)
	named := map[string]bool{}
	for _, quote := range regexp.MustCompile("`([^`\n]*)`").FindAllStringSubmatch(page, -1) {
		if !path.MatchString(quote[1]) || named[quote[1]] {
			continue
		}
		named[quote[1]] = true
		if _, err := os.Stat(quote[1]); err != nil {
			t.Errorf("ARCHITECTURE.md names %s, which isn't there: %v", quote[1], err)
		}
	}
	if len(named) < 40 {
		t.Errorf("found %d files in ARCHITECTURE.md, there are more", len(named))
	}
	for _, folder := range engine(t) {
		if folder != "." && !named[folder] {
			t.Errorf("ARCHITECTURE.md doesn't say what %s is for", folder)
		}
	}
	if lines := strings.Count(page, "\n"); lines > 160 {
		t.Errorf("ARCHITECTURE.md has %d lines: it is to be read in one go", lines)
	}
}
