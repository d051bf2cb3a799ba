package transport

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestCleanKeepsTheCause: a secret that is in the URL alone goes with the URL, and whoever looks
// for the certificate's error finds it. One in the cause takes the cause with it.
func TestCleanKeepsTheCause(t *testing.T) {
	t.Parallel()
	const secret = "k3y-of-the-endpoint"
	unknown := x509.UnknownAuthorityError{}
	for _, tt := range []struct {
		name, url string
		cause     error
		keeps     bool // the cause
		wraps     bool // the URL
	}{
		{"no secret", "https://localhost/", unknown, true, true},
		{"in the URL", "https://localhost/?a=" + secret, unknown, true, false},
		{"in the cause", "https://localhost/", errors.Join(unknown, errors.New(secret)), false, false},
	} {
		err := clean(&url.Error{Op: "Get", URL: tt.url, Err: tt.cause}, []string{secret})
		_, keeps := errors.AsType[x509.UnknownAuthorityError](err)
		_, wraps := errors.AsType[*url.Error](err)
		if keeps != tt.keeps || wraps != tt.wraps || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, with the cause: %t, with the URL: %t", tt.name, err, keeps, wraps)
		}
	}
}

// TestBoundedFollowsNoRedirect: the secret would go along. A client that has a rule of its own
// keeps it, and the user's is not changed.
func TestBoundedFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	sent := 0
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"https://elsewhere/"}},
			Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
	})}
	req, err := http.NewRequest("GET", "https://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Bounded(client).Do(req)
	if err != nil || resp.StatusCode != 302 || sent != 1 || client.CheckRedirect != nil {
		t.Errorf("got %v, %v after %d requests", resp, err, sent)
	}
}
