package identity

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/smallfile"
	"github.com/keyless-go/identity/internal/transport"
)

// identityBinding is AKS's proxy in front of Entra, by which many clusters share one identity. It
// speaks Entra's protocol under the same path.
//
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
type identityBinding struct {
	proxy      *url.URL
	serverName string // SNI, "" for the proxy's own host
	caFile     string // "" for none; the cluster replaces its content
	given      []byte // the certificates of the variable, nil for none

	mu     sync.Mutex // guards the rest; not held while sending
	caData []byte     // what the client was made with
	client *http.Client
}

const (
	envTokenProxy = "AZURE_KUBERNETES_TOKEN_PROXY"
	envCAFile     = "AZURE_KUBERNETES_CA_FILE"
	envCAData     = "AZURE_KUBERNETES_CA_DATA"
	envSNIName    = "AZURE_KUBERNETES_SNI_NAME"
)

// newIdentityBinding returns nil where the variables name no proxy.
func newIdentityBinding(env environment) (*identityBinding, error) {
	if !env.has(envTokenProxy) {
		for _, name := range []string{envCAFile, envCAData, envSNIName} {
			if env.has(name) {
				return nil, errors.New("identity: " + envTokenProxy + ": is empty, but " + name +
					" is set, which belongs to it")
			}
		}
		return nil, nil
	}
	proxy, err := check.HTTPS(envTokenProxy, env.getenv(envTokenProxy), "https://10.0.0.1")
	if err != nil {
		return nil, err
	}
	if env.has(envCAFile, envCAData) {
		return nil, errors.New("identity: " + envCAFile + ": is set, and so is " + envCAData +
			": want one of the two")
	}
	b := &identityBinding{proxy: proxy, serverName: env.getenv(envSNIName),
		caFile: env.getenv(envCAFile)}
	if err := check.Path(envCAFile, b.caFile); err != nil {
		return nil, err
	}
	if b.serverName != "" {
		if err := check.Word(envSNIName, b.serverName); err != nil {
			return nil, err
		}
	}
	switch {
	case env.has(envCAData):
		b.given = []byte(env.getenv(envCAData))
		if err := b.trust(b.given); err != nil {
			return nil, fmt.Errorf("identity: %s: %w", envCAData, err)
		}
	case b.caFile == "":
		b.client = transport.NewInternet(nil, b.serverName)
	}
	return b, nil
}

// trust makes a client of certificates in PEM.
func (b *identityBinding) trust(pem []byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("has no certificate in PEM")
	}
	b.caData, b.client = pem, transport.NewInternet(roots, b.serverName)
	return nil
}

// Do implements policy.Transporter.
func (b *identityBinding) Do(req *http.Request) (*http.Response, error) {
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
func (b *identityBinding) current() (*http.Client, error) {
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
		return nil, fmt.Errorf("%s: %s: %w", envCAFile, redact.Quoted(b.caFile), err)
	}
	return b.client, nil
}
