// Package binding sends an exchange through AKS's proxy in front of Entra.
//
// With identity bindings many clusters share one identity, and a proxy of the cluster's stands
// where Entra would. It speaks Entra's protocol under the same path, and has a certificate of the
// cluster's own authority. Variables of the pod say where it is ([New]); [Proxy] is the Transport
// that trusts that authority, and nothing else.
//
// The package knows neither tokens nor retries. A Proxy may be used by several goroutines at once,
// and holds no lock while it sends.
package binding

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/smallfile"
	"github.com/keyless-go/identity/internal/transport"
)

// Proxy is AKS's proxy in front of Entra.
//
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
type Proxy struct {
	url        *url.URL
	serverName string // SNI, "" for the proxy's own host
	caFile     string // "" for none; the cluster replaces its content
	given      []byte // the certificates of the variable, nil for none

	mu     sync.Mutex // guards the rest; not held while sending
	caData []byte     // what the client was made with
	client *http.Client
}

// The variables that say where it is.
const (
	EnvProxy   = detect.EnvTokenProxy
	EnvCAFile  = detect.EnvCAFile
	EnvCAData  = detect.EnvCAData
	EnvSNIName = detect.EnvSNIName
)

// New reads the variables. It returns nil where they name no proxy.
func New(getenv func(string) string) (*Proxy, error) {
	has := func(name string) bool { return getenv(name) != "" }
	if !has(EnvProxy) {
		for _, name := range []string{EnvCAFile, EnvCAData, EnvSNIName} {
			if has(name) {
				return nil, errors.New(EnvProxy + ": is empty, but " + name +
					" is set, which belongs to it")
			}
		}
		return nil, nil
	}
	proxy, err := check.HTTPS(EnvProxy, getenv(EnvProxy), "https://10.0.0.1")
	if err != nil {
		return nil, err
	}
	if has(EnvCAFile) && has(EnvCAData) {
		return nil, errors.New(EnvCAFile + ": is set, and so is " + EnvCAData +
			": want one of the two")
	}
	b := &Proxy{url: proxy, serverName: getenv(EnvSNIName),
		caFile: getenv(EnvCAFile)}
	if err := check.Path(EnvCAFile, b.caFile); err != nil {
		return nil, err
	}
	if b.serverName != "" {
		if err := check.Word(EnvSNIName, b.serverName); err != nil {
			return nil, err
		}
	}
	switch {
	case has(EnvCAData):
		b.given = []byte(getenv(EnvCAData))
		if err := b.trust(b.given); err != nil {
			return nil, fmt.Errorf("%s: %w", EnvCAData, err)
		}
	case b.caFile == "":
		b.client = transport.NewInternet(nil, b.serverName)
	}
	return b, nil
}

// URL is where the proxy takes what Entra would at that address.
func (b *Proxy) URL(entra *url.URL) *url.URL { return b.url.JoinPath(entra.EscapedPath()) }

// Proof is what the proxy is known by, beside its address: Credentials that differ in it share no
// token.
func (b *Proxy) Proof() string {
	return b.serverName + "\n" + b.caFile + "\n" + string(b.given)
}

// trust makes a client of certificates in PEM.
func (b *Proxy) trust(pem []byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("has no certificate in PEM")
	}
	b.caData, b.client = pem, transport.NewInternet(roots, b.serverName)
	return nil
}

// Do implements policy.Transporter.
func (b *Proxy) Do(req *http.Request) (*http.Response, error) {
	client, err := b.current()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := client.Do(req)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown && b.caFile != "" {
		// the file follows the cluster's authority within a minute or so
		return nil, failure.InAWhile(err)
	}
	return resp, err
}

// current is the client that trusts what the file says now. A file that is empty is being replaced:
// the old content is good for as long.
func (b *Proxy) current() (*http.Client, error) {
	if b.caFile == "" {
		return b.client, nil
	}
	pem, err := smallfile.Read(b.caFile, transport.MaxBody)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
	case b.client != nil && (len(pem) == 0 || bytes.Equal(pem, b.caData)):
		return b.client, nil
	case len(pem) == 0:
		err = errors.New("is empty")
	default:
		err = b.trust(pem)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", EnvCAFile, redact.Quoted(b.caFile), err)
	}
	return b.client, nil
}
