package devtool

import (
	"time"

	"github.com/keyless-go/identity/internal/lazy"
	"github.com/keyless-go/identity/internal/token"
)

// Tool is what is particular to a developer's command-line tool that prints tokens: [AzureCLI] and
// [AzureDeveloperCLI].
type Tool struct {
	Name        string // in messages, and in the cache's keys
	Program     string // on PATH
	TakesClaims bool   // it takes those of a challenge

	install string // where it comes from
	login   string // what logs in
	tenant  string // the option of that which names a tenant

	arguments func(q query) []string                              // each is one word, or has blanks
	parse     func(stdout []byte, now time.Time) (printed, error) // errors never repeat a byte of it
	// split finds the reason in what it says of a failure, and where a command to log in may be
	split func(stderr string) (reason, advice string)
	// the login that it asks for, see options
	asks lazy.Regexp
	// the login that nobody has done, "" if somebody is logged in
	loggedOut func(reason string) (login string)
	// texts of failures that asking once more may mend
	races []string
	// of other failures: a text of theirs, and what to do
	advice [][2]string
}

// query is what a tool is asked for.
type query struct {
	resource     string
	tenant       string // "" for the one that the tool has selected
	subscription string // the same; in its place it excludes the tenant
	claims       string // of a challenge, "" for none
}

// printed is what a tool prints.
type printed struct {
	token.Token
	tenant string // whose token it is, "" if it doesn't say
}
