// Package commandline is what the examples' commands have in common: how one starts and ends, the
// flags by which an identity is selected, and errors in one line.
package commandline

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"
)

// Main ends the process with the status that run returns. Its context ends with Ctrl-C and with
// SIGTERM, so that run can remove its files.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) (status int)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// OneLine turns line breaks, other characters that a terminal may act on, and runs of blanks into
// single blanks.
func OneLine(text string) string {
	blank := func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), blank), " ")
}
