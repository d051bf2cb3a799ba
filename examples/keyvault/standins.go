package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// The hosts that there are stand-ins for, by the names that identity.Detect gives them.
const (
	hostIMDS       = string(identity.HostIMDS)
	hostAppService = string(identity.HostAppService)
)

// newEndpoint makes an identity endpoint with one identity of each type.
func newEndpoint(host string) (*identitytest.Endpoint, error) {
	options := &identitytest.Options{Identities: []identitytest.Identity{{System: true}, {}}}
	switch host {
	case hostIMDS:
		return identitytest.NewIMDS(options), nil
	case hostAppService:
		return identitytest.NewAppService(options), nil
	}
	return nil, fmt.Errorf("there is no stand-in for host %q", host)
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
	vault    *vault
	stop     func() // puts the environment back, too
}

// startStandIns also sets the environment variables by which credentials find the endpoint, as the host would.
func startStandIns(host string) (_ *standIns, err error) {
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

	endpoint, err := newEndpoint(host)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	undo = append(undo, serve(listener, endpoint))
	for _, line := range endpoint.Env("http://" + listener.Addr().String()) {
		name, value, _ := strings.Cut(line, "=")
		restore, err := setenv(name, value)
		if err != nil {
			return nil, err
		}
		undo = append(undo, restore)
	}
	// A host that is recognised by a file, as Azure Arc is, comes before IMDS.
	if d := identity.Detect(); string(d.Host) != host {
		return nil, fmt.Errorf("this is %s (%s), which hides a stand-in for %s: try -host %s", d.Host, d.Reason, host, hostAppService)
	}

	vault := newVault("example.vault.azure.net", endpoint.Identities(), madeUpSecrets())
	if err := vault.start(); err != nil {
		return nil, err
	}
	undo = append(undo, vault.stop)
	return &standIns{endpoint: endpoint, vault: vault, stop: stop}, nil
}

// serve serves handler until the returned function is called.
func serve(listener net.Listener, handler http.Handler) (stop func()) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // what a client sees is told by the client
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener on loopback doesn't fail by itself
		}
	}()
	return func() {
		_ = server.Close()
		<-done
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
