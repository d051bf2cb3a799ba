package standins

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/keyless-go/identity/identitytest"
)

// StandIn is an identity endpoint on loopback, in place of a host's.
type StandIn struct {
	Endpoint *identitytest.Endpoint
	Client   *http.Client // asks the endpoint at its address
	Stop     func()       // puts the environment back, too, and removes files
}

// Start also sets the environment variables by which credentials find the endpoint, as the host
// would.
func Start(h Host) (*StandIn, error) {
	dir := ""
	if h.files {
		var err error
		if dir, err = os.MkdirTemp("", "standin-"); err != nil {
			return nil, err
		}
	}
	remove := func() {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	s, err := StartEndpoint(h.Endpoint(dir))
	if err != nil {
		remove()
		return nil, err
	}
	stop := s.Stop
	s.Stop = func() {
		stop()
		remove()
	}
	return s, nil
}

// StartEndpoint serves an endpoint that has no files, Entra's for one, and sets its variables.
func StartEndpoint(endpoint *identitytest.Endpoint) (_ *StandIn, err error) {
	var undo []func()
	stop := func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base, transport := "http://"+listener.Addr().String(), &http.Transport{DisableKeepAlives: true}
	if config := endpoint.TLSConfig(); config != nil {
		base, listener = "https://"+listener.Addr().String(), tls.NewListener(listener, config)
		trusted := x509.NewCertPool()
		trusted.AddCert(config.Certificates[0].Leaf)
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
	}
	undo = append(undo, Serve(listener, endpoint))
	for _, line := range endpoint.Env(base) {
		name, value, _ := strings.Cut(line, "=")
		restore, err := setenv(name, value)
		if err != nil {
			return nil, err
		}
		undo = append(undo, restore)
	}
	return &StandIn{Endpoint: endpoint, Client: &http.Client{Transport: transport}, Stop: stop}, nil
}

// StartEntra starts the token endpoint of Entra besides, for an application in a tenant that trusts
// the identities of the host.
func (s *StandIn) StartEntra(application, tenant string) (*StandIn, error) {
	return StartEndpoint(identitytest.NewEntra(&identitytest.Options{
		Identities:           []identitytest.Identity{{ClientID: application, TenantID: tenant}},
		FederatedCredentials: s.Endpoint.FederatedCredentials(),
	}))
}

// setenv sets a variable of this process and returns how to put it back.
func setenv(name, value string) (restore func(), err error) {
	old, was := os.LookupEnv(name)
	if err := os.Setenv(name, value); err != nil {
		return nil, err
	}
	return func() {
		if was {
			_ = os.Setenv(name, old)
		} else {
			_ = os.Unsetenv(name)
		}
	}, nil
}
