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
