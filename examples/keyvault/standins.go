package main

import (
	"net/http"

	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// readers are those who may read secrets in the vault. One without a client ID is a user, whatever
// application is used.
func readers(h standins.Host, endpoint *identitytest.Endpoint) []identitytest.Identity {
	all := endpoint.Identities()
	if h.Name == standins.CloudShell {
		all[0].ClientID = ""
	}
	return all
}

// describe says who a reader is.
func describe(id identitytest.Identity) string {
	if id.ClientID == "" {
		return "the signed-in user, object ID " + id.ObjectID
	}
	return "the " + standins.Kind(id) + " identity, client ID " + id.ClientID
}

// standIns are an identity endpoint and a vault, on loopback, in place of Azure.
type standIns struct {
	endpoint *identitytest.Endpoint
	client   *http.Client // asks the endpoint at its address
	vault    *standins.Vault
	stop     func() // puts the environment back, too, and removes files
}

// startStandIns also sets the environment variables by which credentials find the endpoint, as the
// host would.
func startStandIns(h standins.Host) (*standIns, error) {
	host, err := standins.Start(h)
	if err != nil {
		return nil, err
	}
	vault := standins.NewVault("example.vault.azure.net", readers(h, host.Endpoint),
		standins.MadeUpSecrets())
	if err := vault.Start(); err != nil {
		host.Stop()
		return nil, err
	}
	stop := func() {
		vault.Stop()
		host.Stop()
	}
	return &standIns{endpoint: host.Endpoint, client: host.Client, vault: vault, stop: stop}, nil
}
