package failure

import (
	"regexp"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
)

// Summary is the line without what differs from one failure of the same cause to the next: times,
// counts, ports, IDs of requests. who is the identity that was asked for, "" for the host's
// default.
func (l Line) Summary(who string) string {
	own := l
	own.Attempts, own.CorrelationID = 0, ""
	own.Message = cutMessage(without(Unvarying(l.Message), l.CorrelationID), l.Message)
	own.What, own.CutShort, own.NotReady = without(Unvarying(l.What), l.CorrelationID), "", ""
	own.Hint = without(Unvarying(l.Hint), l.CorrelationID)
	if strings.HasPrefix(l.Hint, SoFar) {
		own.Hint = ""
	}
	if who != "" {
		own.Resource += " of " + who
	}
	return own.String()
}

// SoFar begins what an error of a caller who gave up says of the host. A summary leaves it out.
const SoFar = "so far the host answered: "

// without takes an ID out of a text, where it is a word.
func without(text, id string) string {
	if id == "" || !strings.Contains(text, id) {
		return text
	}
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(id)+`\b`).ReplaceAllString(text, "…")
}

// slack is by how much what varies in a message may change its length before it is cut.
const slack = 44

// cutMessage cuts a message shorter that was cut after redact.MaxLine bytes. The place of that
// first cut depends on the length of what varies; the place of this one doesn't.
func cutMessage(text, original string) string {
	if len(original) >= redact.MaxLine-len("…") && strings.HasSuffix(original, "…") &&
		len(text) > redact.MaxLine-slack {
		return strings.ToValidUTF8(text[:redact.MaxLine-slack], "") + "…"
	}
	return text
}
