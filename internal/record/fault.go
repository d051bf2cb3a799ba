package record

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// Fault is why there was no answer, or no more of it.
type Fault struct {
	Kind FaultKind `json:"kind"`
	Text string    `json:"text,omitempty"` // the error's
	// Connected says that there was a connection. Without one nobody may be there.
	Connected bool `json:"connected,omitempty"`
}

// FaultKind is what a credential tells one fault from another by.
type FaultKind string

// The kinds.
const (
	Refused          FaultKind = "refused"
	Reset            FaultKind = "reset"
	Unreachable      FaultKind = "unreachable"
	NoSuchHost       FaultKind = "no such host"
	Cut              FaultKind = "cut"     // the connection ended within an answer
	Ended            FaultKind = "ended"   // or before one
	Waiting          FaultKind = "waiting" // nothing had come when the time was up
	TimedOut         FaultKind = "timed out"
	UnknownAuthority FaultKind = "unknown authority"
	OtherName        FaultKind = "another host's certificate"
	WrongTime        FaultKind = "certificate not in its time"
	Refusing         FaultKind = "not to be repeated" // the client's own refusal
	Other            FaultKind = "other"
)

// kinds are by what each is known, and what stands for it in a replay.
var kinds = []struct {
	kind FaultKind
	is   func(error) bool
	err  error
}{
	{Waiting, func(err error) bool {
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	}, nil},
	{Refused, isErrno(syscall.ECONNREFUSED), syscall.ECONNREFUSED},
	{Reset, isErrno(syscall.ECONNRESET), syscall.ECONNRESET},
	{Unreachable, func(err error) bool {
		return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
	}, syscall.EHOSTUNREACH},
	{NoSuchHost, isA[*net.DNSError], &net.DNSError{Err: "no such host", IsNotFound: true}},
	{UnknownAuthority, isA[x509.UnknownAuthorityError], x509.UnknownAuthorityError{}},
	{OtherName, isA[x509.HostnameError], x509.HostnameError{Certificate: &x509.Certificate{}}},
	{WrongTime, isA[x509.CertificateInvalidError],
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}},
	{UnknownAuthority, isA[*tls.CertificateVerificationError], x509.UnknownAuthorityError{}},
	{Cut, is(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF},
	{Ended, is(io.EOF), io.EOF},
	{TimedOut, isTimeout, timeout{}},
	{Refusing, isA[interface {
		error
		NonRetriable()
	}], nonRetriable{}},
}

// KindOf tells what kind of fault an error is.
func KindOf(err error) FaultKind {
	for _, k := range kinds {
		if k.is(err) {
			return k.kind
		}
	}
	return Other
}

// Err is the error of a fault, with its text, in which errors.Is and errors.As find what makes its
// kind. Of Waiting it is nil: that takes until the request ends.
func (f *Fault) Err() error {
	for _, k := range kinds {
		if k.kind == f.Kind {
			if k.err == nil {
				return nil
			}
			return &played{f.Text, k.err}
		}
	}
	return errors.New(f.Text)
}

// played is an error as it was recorded.
type played struct {
	text string
	kind error
}

func (e *played) Error() string { return e.text }
func (e *played) Unwrap() error { return e.kind }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isErrno(target syscall.Errno) func(error) bool { return is(target) }

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

type nonRetriable struct{}

func (nonRetriable) Error() string { return "not to be repeated" }
func (nonRetriable) NonRetriable() {}
