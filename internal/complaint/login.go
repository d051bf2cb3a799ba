package complaint

import (
	"regexp"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
)

// Asking is a pattern of the command that logs in, with its options. Nothing is taken for an
// option's value that a shell would read more into: the command is shown for people to copy.
func Asking(login string) *regexp.Regexp {
	return regexp.MustCompile(regexp.QuoteMeta(login) +
		`(?: --?[a-z][a-z-]*(?:[ =](?:"[A-Za-z0-9._:/+=-]+"|[A-Za-z0-9._:/+=-]+))?)*`)
}

// commandIn is the command by which a tool asks to be logged in, such as
//
//	az login --tenant "…" --scope "https://vault.azure.net/.default"
//
// A plain az login would not do for a resource that wants a second factor. Of several it is the
// most exact, which is the longest.
func commandIn(text string, asks *regexp.Regexp) string {
	longest := ""
	for _, command := range asks.FindAllString(text, -1) {
		if command = strings.TrimRight(command, "."); len(command) > len(longest) &&
			len(command) <= redact.MaxLine {
			longest = command
		}
	}
	return redact.Text(longest)
}
