package identity

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/failure"
)

// The reasons that programs act on. All of them are found with errors.Is in whatever GetToken, an
// Azure SDK client or a chain returns.
var (
	// ErrUnavailable means that no managed identity endpoint answers here: this is a laptop or another
	// cloud, or a proxy or a gateway answers in its place. From a developer's tool it means that the
	// tool isn't installed or that nobody is logged in. Trying another kind of credential makes sense,
	// and a [Chain] does that. An endpoint that should be there and is silent has another error: one
	// that a variable names, or IMDS on a machine with the chassis asset tag of an Azure VM.
	ErrUnavailable = errors.New("no managed identity endpoint answers here")

	// ErrIdentityNotFound means that the host answers, but the requested identity isn't assigned to
	// it.
	ErrIdentityNotFound = errors.New("the requested identity is not assigned to this host")

	// ErrIdentityMismatch means that the host returned a token of another identity than the one
	// requested. The token is thrown away.
	ErrIdentityMismatch = errors.New("the host returned a token of another identity")

	// ErrThrottled means that the host answered 429 until the time or the tries of
	// CredentialOptions.Retry were spent, or that its Retry-After was longer than the time that was
	// left.
	ErrThrottled = errors.New("the host is throttling token requests")
)

// AuthenticationError is the error of GetToken, and of the other methods that need a token, when
// none could be had. Its text is one line: who was asked, what came back in the host's own words,
// how long that took, and what to check. Neither the text nor a field holds a token, the host's
// secret header, Azure Arc's key, or a service account's token.
//
// errors.Is finds [ErrUnavailable], [ErrIdentityNotFound], [ErrIdentityMismatch], [ErrThrottled],
// and the error of the caller's context. errors.As finds the errors of Go's own packages, such as
// *net.OpError and x509.UnknownAuthorityError. If a Transport or a policy of yours returns an error
// of another type, its text is repeated, and errors.Is finds it. errors.As doesn't: all callers of
// one request share the error, and the methods of its type may not be safe for that. An
// AuthenticationError never unwraps to an *azcore.ResponseError: a 404 from IMDS must not look like
// the missing blob of the call that needed the token.
type AuthenticationError struct {
	Host     Host   // that was asked, "" for a developer's tool and for a federated credential
	Endpoint string // its token endpoint, without query
	ID       ID     // the identity that was asked for; nil means the host's default
	Resource string // the resource that the token is for: the scope without "/.default"

	StatusCode int // HTTP status of the last answer, 0 if there was none
	// Code is the host's error code, such as "invalid_request"; Entra's, such as "AADSTS700082",
	// where a tool says it.
	Code          string
	Message       string // the host's description, one line, at most 300 bytes
	CorrelationID string // the host's ID of the failed request, for a support case

	// Attempts are requests sent, of which Azure Arc's challenge is one; or runs of a developer's
	// tool.
	Attempts int
	Elapsed  time.Duration // from the first request to giving up
	// RawResponse is the last answer if it was an error, nil otherwise. It has the body up to
	// 16 KiB, and its request no headers.
	RawResponse *http.Response `json:"-"`

	tool      string // who was asked where that is no host: "Azure CLI"
	reason    error  // one of the sentinels above, or nil
	cause     error  // what the transport or the caller's context said, or nil
	what      string // what happened, where the host's words don't say it
	cutShort  string // how the last try ended, where the time was up
	notReady  string // how Ready's wait for a better answer ended
	hint      string // what to check
	transient bool   // worth asking again: Ready waits
	body      string // RawResponse's body

	// The host's last answer before the caller gave up, nil if there was none. It doesn't change.
	soFar *AuthenticationError
}

// Error returns the error in one line.
func (e *AuthenticationError) Error() string { return e.line().String() }

// line is what the error says.
func (e *AuthenticationError) line() failure.Line {
	return failure.Line{
		Who:           cmp.Or(e.tool, e.Host.String()),
		StatusCode:    e.StatusCode,
		Code:          e.Code,
		Message:       e.Message,
		What:          e.what,
		CutShort:      e.cutShort,
		NotReady:      e.notReady,
		Hint:          e.hint,
		Resource:      e.Resource,
		Attempts:      e.Attempts,
		Elapsed:       e.Elapsed,
		CorrelationID: e.CorrelationID,
	}
}

// ours adds the prefix to an error of the engine or of a host, which begins with the name of a
// method, a field or a variable. It is nil for nil.
func ours(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(failure.Prefix+"%w", err)
}

// Unwrap returns the sentinel and the cause, as far as there are any.
func (e *AuthenticationError) Unwrap() []error {
	var errs []error
	if e.reason != nil {
		errs = append(errs, e.reason)
	}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}

// NonRetriable tells azcore's retry policy that asking the credential again is no use: it has done
// its own retries.
func (e *AuthenticationError) NonRetriable() {}

// Summary returns the error in one line that stays the same while the cause does, for a status, a
// condition or a group of log lines. It has what Error says, and the identity that was asked for.
// It has no times, counts, ports and IDs of requests, which are also taken out of the host's own
// words. Another status, code, message, identity or resource makes another line. If the caller has
// given up, the line says what the host had answered before. Like Error, it holds no secret.
//
// The errors of a [Chain] have this method, too. Both are found by
//
//	var summarized interface{ Summary() string }
//	if errors.As(err, &summarized) {
func (e *AuthenticationError) Summary() string {
	if e.soFar != nil {
		return e.soFar.Summary()
	}
	line := e.line()
	if inner, ok := errors.AsType[*AuthenticationError](e.cause); ok {
		line.What = strings.Replace(line.What, inner.line().Text(),
			strings.TrimPrefix(inner.Summary(), failure.Prefix), 1)
	}
	return line.Summary(inWords(e.ID))
}
