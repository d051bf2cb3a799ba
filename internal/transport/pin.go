package transport

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// ParseThumbprint reads the SHA-1 of a certificate, which a variable has, in the spellings in which
// tools show one. An error names the variable.
func ParseThumbprint(variable, value string) ([]byte, error) {
	if value == "" {
		return nil, errors.New(variable + ": is empty: want 40 hexadecimal digits")
	}
	digits := strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, value)
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != sha1.Size {
		return nil, errors.New(variable + ": is no SHA-1 thumbprint of a certificate: want 40 hexadecimal digits")
	}
	return sum, nil
}

// Pin makes a client that talks only to the owner of a certificate with the thumbprint, which is
// read anew for each connection. own is the user's Transport, nil for the default. variable is
// where the thumbprint comes from, for errors. Where Pin can't see to the check it returns an
// error, never a client without it.
func Pin(
	own policy.Transporter, variable string, thumbprint func() ([]byte, error),
) (*http.Client, error) {
	client := &http.Client{}
	switch own := own.(type) {
	case nil:
		client.Transport = Node.Transport
	case *http.Client:
		*client = *own
	default:
		return nil, fmt.Errorf(
			"%T: the server's certificate has to be pinned, which needs an *http.Client%s", own, instead)
	}
	base, err := pinnable(client)
	if err != nil {
		return nil, err
	}
	// Cloned before anything is read of it: net/http may be completing the other at its first use,
	// and Clone waits for that. The clone's connections are not the other's, which were made
	// without the check.
	transport := base.Clone()
	config := transport.TLSClientConfig
	switch {
	//lint:ignore SA1019 DialTLS is deprecated, but would be used
	case base.DialTLSContext != nil || base.DialTLS != nil:
		return nil, errors.New(
			"its DialTLS would make connections without the pinned certificate" + instead)
	case config != nil && (config.VerifyConnection != nil || config.VerifyPeerCertificate != nil):
		return nil, errors.New("its TLSClientConfig verifies certificates by a function of its own, " +
			"which the pinned one would replace" + instead)
	}
	if config == nil {
		config = &tls.Config{}
	}
	transport.TLSClientConfig = config
	closeOtherWays(transport)
	config.InsecureSkipVerify = true // nobody has signed it; VerifyConnection is called all the same
	config.VerifyConnection = func(state tls.ConnectionState) error {
		want, err := thumbprint()
		if err != nil {
			return &pinError{err.Error()}
		}
		return checkPin(state, want, variable)
	}
	client.Transport = transport
	// it would carry the secret to a server that nobody has pinned
	client.CheckRedirect = refuseRedirect
	return client, nil
}

// instead ends what is said of a Transport that can't be pinned.
const instead = ": leave Transport nil, or give an *http.Client whose Transport is nil or a plain " +
	"*http.Transport"

// pinnable finds the *http.Transport below a client.
func pinnable(client *http.Client) (*http.Transport, error) {
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	base, ok := client.Transport.(*http.Transport)
	switch {
	case !ok:
		return nil, fmt.Errorf("*http.Client over %T: the server's certificate has to be pinned, "+
			"which needs an *http.Transport%s", client.Transport, instead)
	case base == nil:
		return nil, errors.New("*http.Client over a nil *http.Transport" + instead)
	}
	return base, nil
}

// closeOtherWays takes out of a transport what could make a connection without the check.
func closeOtherWays(transport *http.Transport) {
	config := transport.TLSClientConfig
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.ClientSessionCache = nil
	config.NextProtos = nil
	config.EncryptedClientHelloConfigList = nil
	transport.DisableKeepAlives = true // each connection is checked, by what the variable says then
	// HTTP/1.1 only: another protocol's implementation may come with a dialler of its own.
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	//lint:ignore SA1019 Dial is deprecated, but would be used
	if transport.DialContext == nil && transport.Dial == nil {
		// As net/http itself does, except with GOOS=js: without a dialler it would let the browser
		// fetch, and check.
		transport.DialContext = (&net.Dialer{}).DialContext
	}
	transport.RegisterProtocol("http", refusePlain{}) // should a policy change the URL
}

// refusePlain is for requests that no certificate would protect.
type refusePlain struct{}

func (refusePlain) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &pinError{
		"a request over plain http, where no certificate can be checked, was not sent"}
}

// checkPin compares the thumbprint of the server's certificate.
//
// SHA-1 is the platform's choice: it is how Service Fabric names the certificate, and it offers no
// other name. What an impostor would have to do, finding a second certificate to a given
// thumbprint, is still far out of reach; it is making two alike that is broken, and signatures with
// it. Nothing else here uses SHA-1, which TestDependencies checks. Hence the exception from
// GODEBUG=fips140=only for this one call: TLS itself, and all else, stays within the FIPS module,
// but that this server is the right one rests on a hash that FIPS 140-3 no longer approves for
// security.
func checkPin(state tls.ConnectionState, want []byte, variable string) error {
	if len(state.PeerCertificates) == 0 {
		return &pinError{"the server showed no certificate"}
	}
	var got [sha1.Size]byte
	fips140.WithoutEnforcement(func() { got = sha1.Sum(state.PeerCertificates[0].Raw) })
	if subtle.ConstantTimeCompare(got[:], want) != 1 {
		return &pinError{fmt.Sprintf("the server's certificate has the thumbprint %X, not that in %s: "+
			"is another program listening there?", got, variable)}
	}
	return nil
}

// pinError means that the server isn't the one whose certificate was pinned.
type pinError struct{ text string }

func (e *pinError) Error() string { return e.text }

// NonRetriable: asking an impostor again doesn't make it the real one.
func (e *pinError) NonRetriable() {}
