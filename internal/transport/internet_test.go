package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestInternet: a server of the authorities that are trusted and of the name that was asked for is
// talked to, from TLS 1.2 on, over a connection that isn't kept, and where it leads is not
// followed.
func TestInternet(t *testing.T) {
	t.Parallel()
	pair := newLeaf(t, func(c *x509.Certificate) {
		c.DNSNames, c.IsCA, c.BasicConstraintsValid = []string{"a.example"}, true, true
	})
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, tt := range []struct {
		name   string
		client *http.Client
		newest uint16 // of the server
		want   string // in the error, "" for an answer
	}{
		{name: "trusted", client: NewInternet(roots, "a.example")},
		{name: "another name", client: NewInternet(roots, "b.example"), want: "a.example"},
		{name: "nobody's", client: NewInternet(x509.NewCertPool(), "a.example"), want: "authority"},
		{name: "the system's", client: Internet(), want: "certificate"},
		{name: "TLS 1.1", client: NewInternet(roots, "a.example"), newest: tls.VersionTLS11,
			want: "protocol version"},
	} {
		for _, status := range []int{200, 302, 307, 308} {
			s := serve(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10,
				MaxVersion: tt.newest}, true, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			resp, err := get(t, tt.client, s.URL)
			switch got := s.arrivals(); {
			case tt.want != "":
				if err == nil || !strings.Contains(err.Error(), tt.want) || len(got) != 0 {
					t.Errorf("%s: got %v, and %d requests arrived, want %q", tt.name, err, len(got), tt.want)
				}
			case err != nil || resp.StatusCode != status || len(got) != 1 || !got[0].Closes:
				t.Errorf("%s, %d: got %v, %v; the server saw %+v", tt.name, status, resp, err, got)
			}
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	if _, err := get(t, NewInternet(roots, ""), "https"+plain.URL[4:]); err == nil {
		t.Error("it talks to a server without TLS")
	}
}
