package devtool

import (
	"encoding/json"
	"strings"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/lazy"
	"github.com/keyless-go/identity/internal/redact"
)

// complaint is what a tool that failed has written to its standard error. That is text for people:
// warnings, a traceback of Python's, JSON by the line, a dump of Entra's answer.
type complaint struct {
	whole  string // without the colors of a terminal; it may hold secrets
	reason string // why it failed, in its own words, of any length
	login  string // the command that it asks for, "" for none
	logout string // what it asks for before that, with a word of ours behind it
}

var (
	// terminalEscape is what colors a text. Both tools are told to leave that out.
	terminalEscape = lazy.Regexp{Expr: `\x1b\[[0-9;?]*[A-Za-z]`}
	// supportIDs are what Entra writes behind its text for its own support. They differ each time.
	supportIDs = lazy.Regexp{Expr: `\s*\b(?:(?:Trace|Correlation) ID: \S+|Timestamp: \S+(?: ` +
		`\d\d:\d\d:\d\d\S*)?)`}
	// pythonObject is Python's text for an object that has none. Its address differs each time.
	pythonObject = lazy.Regexp{Expr: `<[\w.]+ object at 0x[0-9a-fA-F]+>(?:: |, )?`}
)

const (
	// errorMark is how both tools begin the line that has their reason.
	errorMark = "ERROR:"
	// unexpected is how az begins when it has no text for what happened: the reason is at the end
	// of the traceback.
	unexpected = "ERROR: The command failed with an unexpected error"
	traceback  = "Traceback (most recent call last):"
)

// complaintIn reads what the tool has complained of. The reason has its secrets concealed. It takes
// time in proportion to the length of the text.
func (t *Tool) complaintIn(stderr string) complaint {
	c := complaint{whole: terminalEscape.Get().ReplaceAllString(stderr, "")}
	// Before anything is taken out of the text: that could be the name by which a value is known
	// to be secret. And once more when it is shown, because the reason may have been JSON in JSON.
	reason, advice := t.split(redact.Text(c.whole))
	if c.login = commandIn(reason+"\n"+advice, &t.asks); c.login != "" &&
		strings.Contains(advice, "\naz logout") {
		c.logout = "az logout, then "
	}
	c.reason = reasonIn(reason)
	return c
}

// reasonIn picks the reason out of a text that may begin with warnings, and may be a Python
// traceback of any length.
func reasonIn(text string) string {
	begin := lineWith(text, errorMark)
	last := strings.LastIndex(text, traceback)
	switch {
	case begin >= 0 && !strings.HasPrefix(text[begin:], unexpected):
		text, _, _ = strings.Cut(text[begin:], traceback)
	case last >= 0:
		if raised := raisedIn(text[last+len(traceback):]); raised != "" {
			text = raised
		} else {
			text = text[max(begin, 0):last]
		}
	case begin >= 0:
		text = text[begin:]
	}
	text = responseIn(text)
	text = supportIDs.Get().ReplaceAllString(text, "")
	return strings.TrimSpace(pythonObject.Get().ReplaceAllString(text, ""))
}

// lineWith is where the first line is that begins with a mark, -1 if there is none.
func lineWith(text, mark string) int {
	if strings.HasPrefix(text, mark) {
		return 0
	}
	if i := strings.Index(text, "\n"+mark); i >= 0 {
		return i + 1
	}
	return -1
}

// raisedIn is the exception behind the frames of a traceback, which are indented. az writes whom to
// tell behind it.
func raisedIn(trace string) string {
	var raised strings.Builder
	for line := range strings.Lines(trace) {
		frame := strings.TrimLeft(line, " \t\r\n") != line
		switch {
		case raised.Len() == 0 && frame:
		case strings.HasPrefix(line, "To check existing issues"),
			strings.HasPrefix(line, "To open a new issue"):
			return raised.String()
		default:
			raised.WriteString(line)
		}
	}
	return raised.String()
}

// responseIn puts what Entra said in the place of a dump of its response, as azd and its Go
// libraries write it:
//
//	failed to authenticate: POST https://login.microsoftonline.com/…/token
//	--------------------------------------------------------------------------------
//	RESPONSE 400: 400 Bad Request
//	--------------------------------------------------------------------------------
//	{"error": "invalid_grant", "error_description": "AADSTS…"}
func responseIn(text string) string {
	const rule = "--------"
	head, dump, found := strings.Cut(text, "\n"+rule)
	if !found || !strings.Contains(dump, "RESPONSE ") {
		return text
	}
	begin := strings.Index(dump, "{")
	if begin < 0 {
		return text
	}
	var body json.RawMessage
	if json.NewDecoder(strings.NewReader(dump[begin:])).Decode(&body) != nil {
		return text
	}
	f := failure.Read(nil, string(body), func(text string) string { return redact.Text(text) })
	if !f.Structured || f.Message == "" {
		return text
	}
	return head + ", " + f.Code + ": " + f.Message
}

// bothEnds is redact.Line for a text whose reason may be at its end: of one that is too long the
// middle is left out.
func bothEnds(text string) string {
	const gap = " … "
	text = redact.Printable(text)
	if len(text) <= redact.MaxLine {
		return text
	}
	half := (redact.MaxLine - len(gap)) / 2
	return redact.Printable(strings.ToValidUTF8(text[:half], "") + gap +
		strings.ToValidUTF8(text[len(text)-half:], ""))
}

// options are those of the command that logs in. Nothing is taken for an option's value that a
// shell would read more into: the command is shown for people to copy.
const options = `(?: --?[a-z][a-z-]*(?:[ =](?:"[A-Za-z0-9._:/+=-]+"|[A-Za-z0-9._:/+=-]+))?)*`

// commandIn is the command by which a tool asks to be logged in, such as
//
//	az login --tenant "…" --scope "https://vault.azure.net/.default"
//
// A plain az login would not do for a resource that wants a second factor. Of several it is the
// most exact, which is the longest.
func commandIn(text string, asks *lazy.Regexp) string {
	longest := ""
	for _, command := range asks.Get().FindAllString(text, -1) {
		if command = strings.TrimRight(command, "."); len(command) > len(longest) &&
			len(command) <= redact.MaxLine {
			longest = command
		}
	}
	return redact.Text(longest)
}
