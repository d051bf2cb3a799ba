package failure

import (
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// Line is what an error says, in parts. They hold no secret.
type Line struct {
	Who           string // was asked: a host or a tool, in words
	StatusCode    int    // of the last answer, 0 if there was none
	Code, Message string // in the host's own words
	What          string // happened, where those don't say it
	// Chance decides these two, so that a Summary leaves them out.
	CutShort      string // how the last try ended, where the time was up
	NotReady      string // how the wait for a better answer ended
	Hint          string // what to check
	Resource      string // that the token is for
	Attempts      int    // requests, or runs of a tool
	Elapsed       time.Duration
	CorrelationID string
}

// Prefix begins each error that a user of the library sees. Nothing in the engine writes it but
// Line, and chains and what serves other callers, whose errors are users' own.
const Prefix = "identity: "

// String is the line: who was asked, what came back, how long that took, and what to check.
func (l Line) String() string { return Prefix + l.Text() }

// Text is the line as a part of another one: without the prefix.
func (l Line) Text() string {
	var b strings.Builder
	b.WriteString(l.Who)
	b.WriteString(": ")
	var words []string
	if l.StatusCode != 0 {
		words = append(words, fmt.Sprint(l.StatusCode))
	}
	if l.Code != "" {
		words = append(words, l.Code)
	}
	if l.Message != "" {
		words = append(words, fmt.Sprintf("%q", l.Message))
	}
	if what := l.what(); what != "" {
		if len(words) > 0 {
			words[len(words)-1] += ":"
		}
		words = append(words, what)
	}
	b.WriteString(strings.Join(words, " "))
	b.WriteString(" (token for ")
	b.WriteString(l.Resource)
	if l.Attempts > 0 {
		fmt.Fprintf(&b, ", %s, %v", count(l.Attempts, "attempt"), redact.Round(l.Elapsed))
	}
	if l.CorrelationID != "" {
		b.WriteString(", correlation ID ")
		b.WriteString(l.CorrelationID)
	}
	b.WriteString(")")
	if l.Hint != "" {
		b.WriteString(": ")
		b.WriteString(l.Hint)
	}
	return redact.Printable(b.String())
}

// what is what happened, with how the last try and the wait for a better answer ended.
func (l Line) what() string {
	what := l.What
	for _, more := range [...]struct{ separator, text string }{
		{", ", l.CutShort}, {"; ", l.NotReady},
	} {
		if what != "" && more.text != "" {
			what += more.separator
		}
		what += more.text
	}
	return what
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}
