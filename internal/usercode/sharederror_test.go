package usercode

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
)

// TestShare: what Go's own packages make stays as it is, so that programs find it.
func TestShare(t *testing.T) {
	t.Parallel()
	_, noFile := os.Open("/nonexistent")
	//lint:ignore SA1007 a URL that is none is what this is about
	_, noURL := url.Parse("http://[")
	for _, err := range []error{
		io.EOF, syscall.ECONNRESET, noFile, noURL, os.ErrDeadlineExceeded, net.ErrClosed,
		&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
		&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{},
			Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		x509.UnknownAuthorityError{}, x509.SystemRootsError{Err: io.EOF},
		x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"},
		fmt.Errorf("a: %w, %w", io.EOF, errors.Join(syscall.EPIPE, io.ErrUnexpectedEOF)),
	} {
		if got, changed := share(err); changed ||
			fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", err, err) {
			t.Errorf("%T: %v has become %T: %v", err, err, got, got)
		}
	}
	// Of a package whose path has no dot, such as main.
	foreign := struct{ error }{fmt.Errorf("x: %w", &net.DNSError{Err: "e"})}
	got, changed := share(errors.Join(foreign, io.EOF))
	if dns, ok := errors.AsType[*net.DNSError](got); ok || dns != nil { // it doesn't unwrap
		t.Errorf("got %v of an error that doesn't unwrap", dns)
	}
	if !changed || !errors.Is(got, io.EOF) || !errors.Is(got, foreign) ||
		got.Error() != "x: lookup : e\nEOF" {
		t.Errorf("got %#v", got)
	}
}

// countingError writes to itself in each of its methods, which the race detector notices when two
// goroutines call them.
type countingError struct{ calls int }

func (e *countingError) Error() string { e.calls++; return fmt.Sprint("call ", e.calls) }
func (e *countingError) Unwrap() error { e.calls++; return syscall.ECONNREFUSED }
func (e *countingError) Is(error) bool { e.calls++; return false }
func (e *countingError) As(any) bool   { e.calls++; return false }

// countingAddr does so as an address.
type countingAddr struct{ calls *int }

func (countingAddr) Network() string  { return "tcp" }
func (a countingAddr) String() string { *a.calls++; return fmt.Sprint("call ", *a.calls) }

// listError can't be compared.
type listError []error

func (listError) Error() string     { return "several" }
func (l listError) Unwrap() []error { return l }

// TestShareOfOthers: wherever the object of another is, none of its methods is called any more.
func TestShareOfOthers(t *testing.T) {
	t.Parallel()
	foreign := &countingError{}
	for name, err := range map[string]error{
		"itself":             foreign,
		"wrapped":            fmt.Errorf("outer: %w", foreign),
		"joined":             errors.Join(syscall.EPIPE, foreign),
		"in a standard type": &net.OpError{Op: "dial", Err: foreign},
		"as an address": &net.OpError{Op: "dial", Addr: countingAddr{&foreign.calls},
			Err: syscall.ECONNREFUSED},
		"not comparable": listError{foreign},
	} {
		shared := Share(err)
		calls := foreign.calls
		_ = fmt.Sprintf("%v %+v", shared, shared)
		if _, ok := errors.AsType[*countingError](shared); ok ||
			!errors.Is(shared, syscall.ECONNREFUSED) || name == "itself" && !errors.Is(shared, err) {
			t.Errorf("%s: errors.As finds the object, or errors.Is not what it wraps: %v", name, shared)
		}
		for _, inner := range shared.(interface{ Unwrap() []error }).Unwrap() {
			_ = inner.Error()
		}
		if foreign.calls != calls {
			t.Errorf("%s: the use of the shared error has called its methods %d times", name,
				foreign.calls-calls)
		}
	}
}
