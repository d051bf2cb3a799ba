package record

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		recorded, value string
		want            bool
	}{
		{"2018-02-01", "2018-02-01", true},
		{"2018-02-01", "2019-08-01", false},
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{GUID(1), "7f3c9a21-5b6d-4e8f-9a0b-1c2d3e4f5a6b", true},
		{GUID(1), "", false},
		{"SECRET-1", "anything", true},
		{"SECRET", "anything", false},
		{"Basic KEY-1", "Basic abc", true},
		{"Basic KEY-1", "Bearer abc", false},
		{"Basic KEY-1", "Basic ", false},
		{"https://host-1.example/.default", "https://contoso.example/.default", true},
		{"https://host-1.example/.default", "https://contoso.example/", false},
		{"https://host-1.example/.default", "https:///.default", false},
		{"/a/" + GUID(1) + "/resourcegroups/NAME-2/x", "/a/b/resourcegroups/c/x", true},
		{"/a/" + GUID(1) + "/resourcegroups/NAME-2/x", "/a/b/resourcegroups/c/y", false},
		{"NAME-1:NAME-2", "a:b", true},
		{"NAME-1:NAME-2", "a:", false},
		{"NAME-1:NAME-2", "ab", false},
		{"eyJh.eyJi." + Signature, "a token", true},
		{"eyJh.eyJi.c2ln", "a token", false},
	} {
		if got := Matches(tt.recorded, tt.value); got != tt.want {
			t.Errorf("Matches(%q, %q): %t, want %t", tt.recorded, tt.value, got, tt.want)
		}
	}
}

// TestShifted: times move, whatever their form, and nothing else does.
func TestShifted(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	token := func(exp string) string {
		claims := encode([]byte(`{"exp":` + exp + `,"oid":"a","n":1700000000}`))
		return "eyJhbGciOiJub25lIn0." + claims + "." + Signature
	}
	for was, want := range map[string]string{
		`{"expires_on":"1700000000","in":"3600"}`:        `{"expires_on":"1700003600","in":"3600"}`,
		`{"expires_on":1700000000,"a":[1.50,null]}`:      `{"expires_on":1700003600,"a":[1.50,null]}`,
		`{"expires_on":"01/02/2026 15:04:05 +00:00"}`:    `{"expires_on":"1/2/2026 16:04:05 +00:00"}`,
		`{"not_before":"2026-01-02T15:04:05Z"}`:          `{"not_before":"2026-01-02T16:04:05Z"}`,
		`{"expires_on":"soon","n":"1700000000"}`:         `{"expires_on":"soon","n":"1700000000"}`,
		`{"access_token":"` + token("1700000000") + `"}`: `{"access_token":"` + token("1700003600") + `"}`,
		`{"a":1,"a":2}`:     `{"a":1,"a":2}`,
		`{"exp":1700000000`: `{"exp":1700000000`,
		`1700000000 exp`:    `1700000000 exp`,
		"":                  "",
	} {
		if got := Shifted(was, time.Hour); got != want {
			t.Errorf("Shifted(%s)\n got %s\nwant %s", was, got, want)
		}
	}
}

// TestFaults: what makes a fault's kind is in the error that is played, with the text.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		kind FaultKind
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, Refused},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, Reset},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, Unreachable},
		{&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}, NoSuchHost},
		{x509.UnknownAuthorityError{}, UnknownAuthority},
		{x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}}, WrongTime},
		{fmt.Errorf("a: %w", io.ErrUnexpectedEOF), Cut},
		{io.EOF, Ended},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, TimedOut},
		{nonRetriable{}, Refusing},
		{errors.New("other"), Other},
	} {
		if got := KindOf(tt.err); got != tt.kind {
			t.Errorf("KindOf(%v): %s, want %s", tt.err, got, tt.kind)
		}
		f := Fault{Kind: tt.kind, Text: "as recorded"}
		played := f.Err()
		if played == nil || played.Error() != "as recorded" || KindOf(played) != tt.kind {
			t.Errorf("%s: %v is played, of kind %s", tt.kind, played, KindOf(played))
		}
	}
	if got := KindOf(context.DeadlineExceeded); got != Waiting || (&Fault{Kind: Waiting}).Err() != nil {
		t.Errorf("a try that waited to its end is %s", got)
	}
}

// TestPlayer: the same request is answered in the order of the record, and then as the last time.
func TestPlayer(t *testing.T) {
	t.Parallel()
	const at = "http://127.0.0.1/metadata/identity/oauth2/token?"
	of := func(query string, status int) Exchange {
		return Exchange{Request: Request{Method: "GET", URL: at + query,
			Header: Header{"Metadata": {"true"}}}, Answer: &Answer{Status: status}}
	}
	p, err := NewPlayer(&Record{Exchanges: []Exchange{of("resource=a", 503), of("resource=b", 1),
		of("resource=a", 200)}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, query, metadata string) (*Exchange, error) {
		r, err := http.NewRequest(method, at+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Metadata", metadata)
		return p.Next(r, r.URL.Path, nil)
	}
	for i, want := range []int{503, 200, 200, 200} {
		if got, err := ask("GET", "resource=a", "true"); err != nil || got.Answer.Status != want {
			t.Errorf("request %d: %v, %v, want %d", i+1, got, err, want)
		}
	}
	for _, tt := range []struct{ method, query, metadata, want string }{
		{"POST", "resource=a", "true", "the method, which is GET"},
		{"GET", "resource=c", "true", "the query's resource, which is "},
		{"GET", "resource=a&client_id=1", "true", "the query's client_id, which it doesn't have"},
		{"GET", "", "true", "the query's resource"},
		{"GET", "resource=a", "false", "the header Metadata"},
		{"GET", "resource=a", "", "the header Metadata"},
	} {
		got, err := ask(tt.method, tt.query, tt.metadata)
		if err == nil || !strings.Contains(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), "the record has no answer to "+tt.method) {
			t.Errorf("%s %q: %v, %v, want an error with %q", tt.method, tt.query, got, err, tt.want)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "no record of whoami -record",
		`{"format":2}`:             "a record of format 2, want 1",
		`{"format":1,"unknown":1}`: "unknown field",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%s): %v, want an error with %q", text, err, want)
		}
	}
}
