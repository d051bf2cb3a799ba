package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// The hosts that there are stand-ins for, by the names that identity.Detect gives them. It doesn't tell the legacy App
// Service from Azure ML.
const (
	hostIMDS             = string(identity.HostIMDS)
	hostAppService       = string(identity.HostAppService)
	hostServiceFabric    = string(identity.HostServiceFabric)
	hostAzureML          = string(identity.HostAzureML)
	hostAppService2017   = "appservice2017"
	hostCloudShell       = string(identity.HostCloudShell)
	hostArc              = string(identity.HostArc)
	hostWorkloadIdentity = string(identity.HostWorkloadIdentity)
)

// host is a kind of host that there is a stand-in for.
type host struct {
	name     string
	what     string // for -h, as the next
	selected string // how one of its identities is
	fake     func(*identitytest.Options) *identitytest.Endpoint
	files    bool // whether it has files, for which it needs a directory
}

var hosts = []host{
	{hostIMDS, "a virtual machine, a scale set, an AKS node", "by any ID", identitytest.NewIMDS, false},
	{hostAppService, "App Service, Functions, Container Apps", "by any ID", identitytest.NewAppService, false},
	{hostServiceFabric, "Service Fabric, over TLS", "not at all", identitytest.NewServiceFabric, false},
	{hostAzureML, "the compute of Azure Machine Learning", "by -client-id", identitytest.NewAzureML, false},
	{hostAppService2017, "App Service with the protocol of 2017", "by -client-id", identitytest.NewAppService2017, false},
	{hostCloudShell, "Cloud Shell; its tokens are the signed-in user's", "not at all", identitytest.NewCloudShell, false},
	{hostArc, "a server elsewhere that Azure Arc manages, with key files", "by any ID", identitytest.NewArc, true},
	{hostWorkloadIdentity, "Entra, for a pod in AKS with a token file, over TLS", "by -client-id", identitytest.NewWorkloadIdentity, true},
}

func findHost(name string) (host, bool) {
	for _, h := range hosts {
		if h.name == name {
			return h, true
		}
	}
	return host{}, false
}

// hostNames are all of them, as a sentence lists them.
func hostNames() string {
	var b strings.Builder
	for i, h := range hosts {
		switch {
		case i == len(hosts)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(h.name)
	}
	return b.String()
}

// identities are one of each type, with the same IDs on all hosts, as far as a host can have them.
func (h host) identities() []identitytest.Identity {
	both := []identitytest.Identity{{System: true}, {}}
	switch h.name {
	case hostCloudShell: // the user, who is neither
		return []identitytest.Identity{{ObjectID: "0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09"}}
	case hostWorkloadIdentity: // a system-assigned identity can't be federated
		return identitytest.NewIMDS(&identitytest.Options{Identities: both}).Identities()[1:]
	}
	return both
}

// endpoint makes the stand-in, which keeps its files in dir.
func (h host) endpoint(dir string) *identitytest.Endpoint {
	return h.fake(&identitytest.Options{Identities: h.identities(), Dir: dir})
}

// readers are those who may read secrets in the vault. One without a client ID is a user, whatever application is used.
func (h host) readers(endpoint *identitytest.Endpoint) []identitytest.Identity {
	all := endpoint.Identities()
	if h.name == hostCloudShell {
		all[0].ClientID = ""
	}
	return all
}

// describe says who a reader is.
func describe(id identitytest.Identity) string {
	if id.ClientID == "" {
		return "the signed-in user, object ID " + id.ObjectID
	}
	return "the " + kind(id) + " identity, client ID " + id.ClientID
}

func kind(id identitytest.Identity) string {
	if id.System {
		return "system-assigned"
	}
	return "user-assigned"
}

// standIns are an identity endpoint and a vault, on loopback, in place of Azure.
type standIns struct {
	endpoint *identitytest.Endpoint
	client   *http.Client // asks the endpoint at its address
	vault    *vault
	stop     func() // puts the environment back, too, and removes files
}

// startStandIns also sets the environment variables by which credentials find the endpoint, as the host would.
func startStandIns(h host) (_ *standIns, err error) {
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

	dir := ""
	if h.files {
		if dir, err = os.MkdirTemp("", "keyvault-"); err != nil {
			return nil, err
		}
		undo = append(undo, func() { _ = os.RemoveAll(dir) })
	}
	endpoint := h.endpoint(dir)
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
	undo = append(undo, serve(listener, endpoint))
	for _, line := range endpoint.Env(base) {
		name, value, _ := strings.Cut(line, "=")
		restore, err := setenv(name, value)
		if err != nil {
			return nil, err
		}
		undo = append(undo, restore)
	}

	vault := newVault("example.vault.azure.net", h.readers(endpoint), madeUpSecrets())
	if err := vault.start(); err != nil {
		return nil, err
	}
	undo = append(undo, vault.stop)
	return &standIns{endpoint: endpoint, client: &http.Client{Transport: transport}, vault: vault, stop: stop}, nil
}

// serve serves handler until the returned function is called, which waits for what is under way: nothing is written into
// a directory that is about to be removed.
func serve(listener net.Listener, handler http.Handler) (stop func()) {
	var open sync.WaitGroup // the connections, and what accepts them
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // what a client sees is told by the client
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Done()
			}
		},
	}
	open.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener on loopback doesn't fail by itself
		}
	})
	return func() {
		_ = server.Close()
		open.Wait()
	}
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
