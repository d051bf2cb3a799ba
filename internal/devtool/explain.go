package devtool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

func (c *Client) failure(r acquire.Request, start time.Time) *failure.Failure {
	return &failure.Failure{Line: failure.Line{
		Who: c.Name, Resource: r.Resource, Elapsed: time.Since(start),
	}}
}

// printedError is what is wrong with the output of a run that ended well.
type printedError struct{ what, hint string }

func (e *printedError) Error() string { return e.what }

// explain says what a failed run means. What the tool has printed to its standard output is never
// looked at: it may be a token. Of the rest only what says that the tool is absent, or that nobody
// is logged in with it, makes it unavailable: a failure must not turn into another identity.
func (c *Client) explain(
	f *failure.Failure, r acquire.Request, err error, said complaint, limit time.Duration,
) {
	exit, exited := errors.AsType[*command.ExitError](err)
	output, printed := errors.AsType[*printedError](err)
	switch {
	case errors.Is(err, command.ErrNotOnPath),
		exited && exit.NoSuchProgram() && !c.raced(said): // az's script can't find its Python
		f.Reason, f.Verdict = failure.Unavailable, failure.Later
		f.What = c.Program + " is not installed, or not on PATH"
		f.Hint = "install it from " + c.install + " and run " + c.login
	case errors.Is(err, context.DeadlineExceeded):
		f.What = fmt.Sprintf("%s did not answer within %v and was ended", c.Program, redact.Round(limit))
		f.Verdict, f.Waited = failure.Later, limit
		r.Claims = "" // the caller's business
		f.Hint = "does " + c.line(r) +
			" work in a terminal? If it only takes longer, set ProcessTimeout"
	case printed:
		f.What, f.Hint = output.what, output.hint
	case !exited:
		f.What = "can't run " + c.Program + ": " + redact.Line(redact.Text(err.Error()))
	default:
		c.explainExit(f, r, exit, said)
	}
}

// explainExit says what the end of a tool means that has run and failed.
func (c *Client) explainExit(
	f *failure.Failure, r acquire.Request, exit *command.ExitError, said complaint,
) {
	number := failure.EntraNumber(said.reason)
	code := strings.TrimPrefix(number, "AADSTS")
	// What an assertion's times say passes in a pod, where another one is written. A tool logs in
	// with the one that it has.
	meaning, _ := failure.EntraMeaning(number)
	passes := meaning.Verdict != failure.Never && meaning.Topic != failure.AboutExpiry
	f.Code, f.Message = number, bothEnds(redact.Text(said.reason))
	login, loggedOut := c.loginAsked(r.Tenant, said), c.loggedOut(said.reason)
	switch {
	case r.Claims != "" && !passes && !c.raced(said) &&
		(number != "" || !unreachable(said.reason)):
		f.What = moreOfTheLogin
		f.Hint = "run " + login + " and try again"
		if strings.Contains(said.whole, "unknown flag") {
			f.Hint = "update " + c.Program +
				", which doesn't know about that, to 1.18.1 or later"
		}
	case passes:
		f.Verdict = failure.Later
		f.Hint = "Entra refused: https://login.microsoftonline.com/error?code=" + code +
			" says what that means. It may pass by itself"
	case number != "":
		f.Hint = "Entra refused: https://login.microsoftonline.com/error?code=" + code +
			" says what that means; "
		if said.login != "" {
			f.Hint += c.Program + " asks for " + login
		} else {
			f.Hint += "if the login has expired, run " + login
		}
	case loggedOut != "":
		if loggedOut == c.login { // not that of a tool that this one asks
			loggedOut = c.loginTo(r.Tenant)
		}
		f.Reason, f.Verdict = failure.Unavailable, failure.Later
		f.What, f.Hint = "nobody is logged in", "run "+loggedOut
	case c.raced(said):
		f.Verdict = failure.Later
		f.Hint = "was another " + c.Program + " at work? If it stays like this, run " + login
	case untrusted(said.reason):
		f.Hint = "does a proxy intercept TLS here? Then " + c.Program +
			" needs the proxy's certificate"
	case unreachable(said.reason):
		f.Verdict = failure.Later
		f.Hint = "can " + c.Program +
			" reach Entra from here? Check the network and the variables HTTPS_PROXY and NO_PROXY"
	case f.Message == "":
		f.What = fmt.Sprintf("%s ended with %v and without a word", c.Program, exit)
	case said.login != "":
		f.Hint = "run " + login
	default:
		for _, advice := range c.advice {
			if strings.Contains(said.reason, advice[0]) {
				f.Hint = advice[1]
			}
		}
	}
}

// raced reports whether a run may have failed because another process was writing the tool's cache,
// or because the system's broker of tokens was busy. Where Entra has answered it was neither.
func (c *Client) raced(said complaint) bool {
	return failure.EntraNumber(said.reason) == "" && containsAny(said.whole, c.races...)
}

// unreachable reports whether the reason is the way to Entra, as Python's and Go's clients say it.
func unreachable(reason string) bool {
	return containsAny(reason, "Max retries exceeded", "Failed to establish a new connection",
		"Connection aborted", "Read timed out", "dial tcp", "read tcp", "write tcp", "proxyconnect",
		"no such host", "connection refused", "connection reset by peer", "i/o timeout", `": EOF`,
		"unexpected EOF", "Client.Timeout exceeded", "TLS handshake timeout") || untrusted(reason)
}

// untrusted reports whether it is a certificate on that way, which doesn't pass by itself.
func untrusted(reason string) bool {
	return containsAny(reason, "CERTIFICATE_VERIFY_FAILED", "x509: ")
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// line is what is run, as it can be copied into any shell.
func (c *Client) line(r acquire.Request) string {
	words := append([]string{c.Program}, c.arguments(c.query(r))...)
	for i, word := range words {
		if strings.Contains(word, " ") {
			words[i] = `"` + word + `"`
		}
	}
	return strings.Join(words, " ")
}
