package main

import (
	"errors"
	"flag"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOfThePages: each command line of this program's that a page has is understood.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile("go -C internal/bench run \\.([^`\n#]*)")
	list := measurements
	found := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, m := range command.FindAllStringSubmatch(read(t, page), -1) {
				found++
				args, _, _ := strings.Cut(m[1], "-->")
				_, err := parse(strings.Fields(args), list, io.Discard)
				if err != nil && !errors.Is(err, flag.ErrHelp) {
					t.Errorf("%s: %s: %v", page, m[0], err)
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("found %d commands, there are more", found)
	}
}
