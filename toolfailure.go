package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/tokencache"
)

func (s *toolSource) failure(r tokencache.Request, start time.Time) *failure.Failure {
	return &failure.Failure{Line: failure.Line{
		Who: s.name, Resource: r.Resource, Elapsed: time.Since(start),
	}}
}

// explain says what a failed run means. What the tool has printed to its standard output is never
// looked at: it may be a token. Of the rest only what says that the tool is absent, or that nobody
// is logged in with it, makes it unavailable: a failure must not turn into another identity.
func (s *toolSource) explain(
	f *failure.Failure, r tokencache.Request, err error, said complaint.Complaint, limit time.Duration,
) {
	exit, exited := errors.AsType[*command.ExitError](err)
	output, printed := errors.AsType[*printedError](err)
	switch {
	case errors.Is(err, command.ErrNotOnPath),
		exited && exit.NoSuchProgram() && !s.raced(said): // az's script can't find its Python
		f.Reason, f.Verdict = failure.Unavailable, failure.Later
		f.What = s.program + " is not installed, or not on PATH"
		f.Hint = "install it from " + s.install + " and run " + s.login
	case errors.Is(err, context.DeadlineExceeded):
		f.What = fmt.Sprintf("%s did not answer within %v and was ended", s.program, redact.Round(limit))
		f.Verdict, f.Waited = failure.Later, limit
		r.Claims = "" // the caller's business
		f.Hint = "does " + s.line(r) +
			" work in a terminal? If it only takes longer, set ProcessTimeout"
	case printed:
		f.What, f.Hint = output.what, output.hint
	case !exited:
		f.What = "can't run " + s.program + ": " + redact.Line(redact.Text(err.Error()))
	default:
		s.explainExit(f, r, exit, said)
	}
}

// explainExit says what the end of a tool means that has run and failed.
func (s *toolSource) explainExit(
	f *failure.Failure, r tokencache.Request, exit *command.ExitError, said complaint.Complaint,
) {
	number := failure.EntraNumber(said.Reason)
	code := strings.TrimPrefix(number, "AADSTS")
	// What an assertion's times say passes in a pod, where another one is written. A tool logs in
	// with the one that it has.
	meaning, _ := failure.EntraMeaning(number)
	passes := meaning.Verdict != failure.Never && meaning.Topic != failure.AboutExpiry
	f.Code, f.Message = number, complaint.BothEnds(redact.Text(said.Reason))
	login, loggedOut := s.loginAsked(r.Variant, said), s.loggedOut(said)
	switch {
	case r.Claims != "" && !passes && !s.raced(said) &&
		(number != "" || !unreachable(said.Reason)):
		f.What = moreOfTheLogin
		f.Hint = "run " + login + " and try again"
		if strings.Contains(said.Whole, "unknown flag") {
			f.Hint = "update " + s.program +
				", which doesn't know about that, to 1.18.1 or later"
		}
	case passes:
		f.Verdict = failure.Later
		f.Hint = "Entra refused: https://login.microsoftonline.com/error?code=" + code +
			" says what that means. It may pass by itself"
	case number != "":
		f.Hint = "Entra refused: https://login.microsoftonline.com/error?code=" + code +
			" says what that means; "
		if said.Login != "" {
			f.Hint += s.program + " asks for " + login
		} else {
			f.Hint += "if the login has expired, run " + login
		}
	case loggedOut != "":
		if loggedOut == s.login { // not that of a tool that this one asks
			loggedOut = s.loginTo(r.Variant)
		}
		f.Reason, f.Verdict = failure.Unavailable, failure.Later
		f.What, f.Hint = "nobody is logged in", "run "+loggedOut
	case s.raced(said):
		f.Verdict = failure.Later
		f.Hint = "was another " + s.program + " at work? If it stays like this, run " + login
	case untrusted(said.Reason):
		f.Hint = "does a proxy intercept TLS here? Then " + s.program +
			" needs the proxy's certificate"
	case unreachable(said.Reason):
		f.Verdict = failure.Later
		f.Hint = "can " + s.program +
			" reach Entra from here? Check the network and the variables HTTPS_PROXY and NO_PROXY"
	case f.Message == "":
		f.What = fmt.Sprintf("%s ended with %v and without a word", s.program, exit)
	case said.Login != "":
		f.Hint = "run " + login
	default:
		for _, advice := range s.advice {
			if strings.Contains(said.Reason, advice[0]) {
				f.Hint = advice[1]
			}
		}
	}
}

// raced reports whether a run may have failed because another process was writing the tool's cache,
// or because the system's broker of tokens was busy. Where Entra has answered it was neither.
func (s *toolSource) raced(said complaint.Complaint) bool {
	return failure.EntraNumber(said.Reason) == "" && containsAny(said.Whole, s.races...)
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

// moreOfTheLogin is why a claims challenge fails.
const moreOfTheLogin = "the resource wants more of the login than there is, such as a second factor"

// loginTo is the command that logs in to the tenant that a token was wanted of.
func (s *toolSource) loginTo(v tokencache.Variant) string {
	if tenant := cmp.Or(v.Tenant, s.tenants.own); tenant != "" {
		return s.login + " " + s.tool.tenant + " " + tenant
	}
	return s.login
}

// loginAsked is the command that the tool asks for, and for want of one, that of the tenant.
func (s *toolSource) loginAsked(v tokencache.Variant, said complaint.Complaint) string {
	tenant := cmp.Or(v.Tenant, s.tenants.own)
	switch {
	case said.Login == "" || said.Login == s.login:
		return said.Logout + s.loginTo(v)
	case tenant != "" && !strings.Contains(said.Login, " "+s.tool.tenant+" "):
		return said.Logout + said.Login + " " + s.tool.tenant + " " + tenant
	}
	return said.Logout + said.Login
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
