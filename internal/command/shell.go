package command

import (
	"errors"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
)

// IsWord reports whether a character means only itself to the shells of all systems. Those of the
// base64 of claims do: +, / and =.
func IsWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("._:/-+=", r)
}

// windowsCommandLine is the command line by which Windows' shell runs a program: az is a script of
// the shell's there. With /s the shell takes off the outer quotes and nothing else, with /d it runs
// nothing before. Whatever the shell would read more into is refused, in the program's name, too.
//
// https://learn.microsoft.com/windows-server/administration/windows-commands/cmd
func windowsCommandLine(program string, arguments []string) (string, error) {
	var b strings.Builder
	b.WriteString(`cmd.exe /d /s /c "`)
	for i, word := range append([]string{program}, arguments...) {
		if word == "" ||
			strings.ContainsFunc(word, func(r rune) bool { return !IsWord(r) && r != ' ' }) {
			return "", errors.New("an argument that Windows' shell would read more into")
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.Contains(word, " ") {
			word = `"` + word + `"`
		}
		b.WriteString(word)
	}
	b.WriteByte('"')
	return b.String(), nil
}

// unknownToShell is all that Windows' shell says when it found no program of a name.
var unknownToShell = lazy.Regexp{Expr: `^(?:\s*'[^\r\n]*' is not recognized as an internal or ` +
	`external command,\s*operable program or batch file\.\s*)+$`}

// lacksLibrary are the words of glibc and musl for a program that is there and can't start.
var lacksLibrary = []string{"error while loading shared libraries",
	"Error loading shared library", "Error relocating "}

// NoSuchProgram reports whether a script ended because a shell found no program of a name in it.
// The shells of Unix say so by a number, and Windows' by another, which it may forget when the
// script goes on.
//
// A program that is there and lacks a library ends with the shells' number, too. A script that says
// something of its own is there: what the shell didn't find was a program that it wanted, such as
// wmic, which Windows no longer has.
func (e *ExitError) NoSuchProgram() bool {
	switch e.Code {
	case 127:
		return !slices.ContainsFunc(lacksLibrary,
			func(words string) bool { return strings.Contains(e.Stderr, words) })
	case 9009:
		return true
	}
	return unknownToShell.Get().MatchString(e.Stderr)
}
