package identity

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const thumbprintSize = sha1.Size

// pin makes a transport that talks only to the owner of a certificate with the thumbprint, which is read anew for each
// connection. Where it can't see to that it is an error, never a transport without the check.
func pin(own policy.Transporter, thumbprint func() ([]byte, error)) (*http.Client, error) {
	const field = "identity: CredentialOptions.Transport: "
	const instead = ": leave Transport nil, or give an *http.Client whose Transport is nil or a plain *http.Transport"
	client := &http.Client{}
	switch own := own.(type) {
	case nil:
		client.Transport = nodeClient.Transport
	case *http.Client:
		*client = *own
	default:
		return nil, fmt.Errorf("%s%T: the server's certificate has to be pinned, which needs an *http.Client%s", field, own, instead)
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	base, ok := client.Transport.(*http.Transport)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s*http.Client over %T: the server's certificate has to be pinned, which needs an *http.Transport%s", field, client.Transport, instead)
	case base == nil:
		return nil, errors.New(field + "*http.Client over a nil *http.Transport" + instead)
	}
	// A clone, because its connections are not the other's, which were made without the check. And cloned before anything is
	// read of it: net/http may be completing the other at its first use, and Clone waits for that.
	transport := base.Clone()
	config := transport.TLSClientConfig
	switch {
	//lint:ignore SA1019 DialTLS is deprecated, but would be used
	case base.DialTLSContext != nil || base.DialTLS != nil:
		return nil, errors.New(field + "its DialTLS would make connections without the pinned certificate" + instead)
	case config != nil && (config.VerifyConnection != nil || config.VerifyPeerCertificate != nil):
		return nil, errors.New(field + "its TLSClientConfig verifies certificates by a function of its own, which the pinned one would replace" + instead)
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.InsecureSkipVerify = true // nobody has signed it; VerifyConnection is called all the same
	config.VerifyConnection = func(state tls.ConnectionState) error {
		want, err := thumbprint()
		if err != nil {
			return &pinError{strings.TrimPrefix(err.Error(), "identity: ")}
		}
		return checkPin(state, want)
	}
	config.ClientSessionCache = nil
	config.NextProtos = nil
	config.EncryptedClientHelloConfigList = nil
	transport.TLSClientConfig = config
	transport.DisableKeepAlives = true // each connection is checked, by what the variable says then
	// HTTP/1.1 only: another protocol's implementation may come with a dialler of its own.
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	//lint:ignore SA1019 Dial is deprecated, but would be used
	if transport.DialContext == nil && transport.Dial == nil {
		// As net/http itself does, except with GOOS=js: without a dialler it would let the browser fetch, and check.
		transport.DialContext = (&net.Dialer{}).DialContext
	}
	transport.RegisterProtocol("http", refusePlain{}) // should a policy change the URL
	client.Transport = transport
	client.CheckRedirect = refuseRedirect // it would carry the secret to a server that nobody has pinned
	return client, nil
}

// refusePlain is for requests that no certificate would protect.
type refusePlain struct{}

func (refusePlain) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &pinError{"a request over plain http, where no certificate can be checked, was not sent"}
}

// checkPin compares the thumbprint of the server's certificate.
//
// SHA-1 is the platform's choice: it is how Service Fabric names the certificate, and it offers no other name. What an
// impostor would have to do, finding a second certificate to a given thumbprint, is still far out of reach; it is making
// two alike that is broken, and signatures with it. Nothing else here uses SHA-1, which TestDependencies checks. Hence
// the exception from GODEBUG=fips140=only for this one call: TLS itself, and all else, stays within the FIPS module, but
// that this server is the right one rests on a hash that FIPS 140-3 no longer approves for security.
func checkPin(state tls.ConnectionState, want []byte) error {
	if len(state.PeerCertificates) == 0 {
		return &pinError{"the server showed no certificate"}
	}
	var got [sha1.Size]byte
	fips140.WithoutEnforcement(func() { got = sha1.Sum(state.PeerCertificates[0].Raw) })
	if subtle.ConstantTimeCompare(got[:], want) != 1 {
		return &pinError{fmt.Sprintf("the server's certificate has the thumbprint %X, not that in %s: is another program listening there?", got, envThumbprint)}
	}
	return nil
}

// pinError means that the server isn't the one whose certificate was pinned.
type pinError struct{ text string }

func (e *pinError) Error() string { return e.text }

// NonRetriable: asking an impostor again doesn't make it the real one.
func (e *pinError) NonRetriable() {}
