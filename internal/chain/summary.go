package chain

import (
	"errors"
	"strings"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// summarizer is an error that has a Summary.
type summarizer interface {
	error
	Summary() string
}

// summary is that of a source's failure, which was judged before.
func (a attempt) summary() (text string) {
	defer func() {
		if recover() != nil { // in a method of somebody else's error
			text = failure.Unvarying(a.why)
		}
	}()
	s, ok := errors.AsType[summarizer](a.err)
	if !ok {
		return failure.Unvarying(a.why)
	}
	text = s.Summary()
	if _, nested := s.(*Error); !nested && error(s) != a.own {
		text = redact.Printable(redact.Text(text))
	}
	return strings.TrimPrefix(text, failure.Prefix)
}

// Summary returns the error in one line that stays the same while the cause does: what failed, with
// the Summary of the sources that ended the walk.
func (e *Error) Summary() string {
	var last attempt
	if len(e.failed) > 0 {
		last = e.failed[len(e.failed)-1]
	}
	switch {
	case e.ended == nil && e.stopped < 0:
		var reasons []string
		for _, a := range e.failed {
			if a.err != nil {
				reasons = append(reasons,
					e.names[a.index]+": "+strings.TrimPrefix(a.summary(), e.names[a.index]+": "))
			}
		}
		return e.subject + ": no source is available: " + strings.Join(reasons, "; ")
	case e.stopped >= 0 && (e.ended == nil || last.answered):
		return e.subject + ": " + e.names[e.stopped] + " failed: " +
			strings.TrimPrefix(last.summary(), e.names[e.stopped]+": ")
	case e.stopped >= 0:
		return e.subject + ": gave up waiting for " + e.names[e.stopped] + ": " +
			failure.Unvarying(e.ended.Error())
	case e.ended == errCrowd:
		return e.subject + ": " + e.ended.Error()
	}
	return e.subject + ": gave up waiting: " + failure.Unvarying(e.ended.Error())
}

// answered reports whether the error says what the host answered before its caller left.
func (e *Error) answered() bool {
	return len(e.failed) > 0 && e.failed[len(e.failed)-1].answered
}
