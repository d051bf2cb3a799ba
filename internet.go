package identity

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// newInternetClient is for Entra: the proxy and the certificates of the system and TLS 1.2 or later, as azcore's own
// default client has them, which azcore doesn't hand out. Redirects are refused: they would carry the assertion
// elsewhere. No connection is kept, because there is one request in hours.
func newInternetClient(roots *x509.CertPool, serverName string) *http.Client {
	return &http.Client{
		CheckRedirect: refuseRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: serverName},
			TLSHandshakeTimeout:    10 * time.Second,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

var internetClient = newInternetClient(nil, "")
