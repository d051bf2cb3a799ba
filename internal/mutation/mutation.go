package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutation is one edit that a test has to notice.
type mutation struct {
	name string // what is broken; it is in no other's name
	harm string // what a user would suffer
	// in the repository, with its folders and forward slashes: internal/retry/jitter.go
	file     string
	old, new string // old is in the file exactly once
	// those that ought to notice, as TestOne|TestOther; in the file's package or in the root
	tests string
}

// area is what mutations have in common, in the report.
type area struct {
	title     string
	mutations []mutation
}

// dir is the package's.
func (m mutation) dir() string {
	if i := strings.LastIndexByte(m.file, '/'); i >= 0 {
		return m.file[:i]
	}
	return "."
}

// apply is the file with the edit.
func (m mutation) apply(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return "", fmt.Errorf("%q is stale: %w", m.name, err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%q is stale: its old text is %d times in %s, want once: bring it up to "+
			"the code, or drop it", m.name, n, m.file)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}
