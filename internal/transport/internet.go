package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/keyless-go/identity/internal/lazy"
)

// Internet is the client for Entra of all credentials that need no other: see [NewInternet].
func Internet() *http.Client { return internet.Get() }

var internet = lazy.Value[*http.Client]{
	Make: func() *http.Client { return NewInternet(nil, "") },
}

// NewInternet makes a client for Entra, or for what stands before it. It has the proxy and the
// certificates of the system and TLS 1.2 or later, as azcore's own default client has them, which
// azcore doesn't hand out. Redirects are refused: they would carry the assertion elsewhere. No
// connection is kept, because there is one request in hours.
//
// roots are the authorities that are trusted, nil for the system's. serverName is the name that the
// certificate is for, "" for the one in the URL.
func NewInternet(roots *x509.CertPool, serverName string) *http.Client {
	return &http.Client{
		CheckRedirect: refuseRedirect,
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: serverName,
			},
			TLSHandshakeTimeout:    10 * time.Second,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}
