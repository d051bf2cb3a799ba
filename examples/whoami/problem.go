package main

import (
	"fmt"
	"io"
)

// problem is why there is no token.
type problem struct {
	Kind    string `json:"kind"`
	Message string `json:"message"` // the library's line, as a service has it in its log
	// "" if Message says it all: something was wrong before anything could be asked
	Missing string `json:"missing,omitempty"`
	Advice  string `json:"advice,omitempty"`

	asked, whom string // for print
}

// The kinds, as -json has them. The first four are the library's errors of those names.
const (
	unavailable      = "unavailable"
	identityNotFound = "identityNotFound"
	identityMismatch = "identityMismatch"
	throttled        = "throttled"
	timedOut         = "timeout" // -timeout was up
	// an endpoint that should be there, because a variable names it, say, is silent
	noAnswer = "noAnswer"
	notSent  = "notSent" // what a request needs is missing: a pod's token file
	refused  = "refused" // the host answers, and has another reason
	// only the developer's tools were asked: nobody is logged in, or a tool has another reason
	noLogin    = "noLogin"
	toolFailed = "toolFailed"
	invalid    = "invalid" // an option or a variable is wrong
)

// refusal is the library's of an option or a variable.
func refusal(err error) *problem { return &problem{Kind: invalid, Message: err.Error()} }

// print says it in five lines: what was asked for, of whom, what came back, what is missing, what
// to do. It is one line if nothing could be asked. None of them has a line break: they are the
// library's and ours, and IDs that the library has let pass.
func (p *problem) print(out io.Writer) {
	if p.Missing == "" {
		_, _ = fmt.Fprintln(out, "whoami: "+p.Message)
		return
	}
	_, _ = fmt.Fprintf(out, `whoami: no token: asked for %s
  of       %s
  got      %s
  missing  %s
  do       %s
`, p.asked, p.whom, p.Message, p.Missing, p.Advice)
}
