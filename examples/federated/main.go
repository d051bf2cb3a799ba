// Command federated reads a secret of another company's Key Vault without any secret of its own: a
// managed identity vouches for an application, which the other company has let into its tenant.
//
// Without arguments it needs no Azure: it runs stand-ins for the host's identity endpoint, for
// Entra and for the vault on loopback. With -vault it does the same for real. The code that a
// service needs is readSecret, and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// readSecret is what a service needs. tenant is the one that the vault is in, application the
// client ID of an application that is in that tenant and trusts the managed identity.
func readSecret(
	ctx context.Context, tenant string, application identity.ClientID, managed identity.ID,
	vaultURL, name string, options *azsecrets.ClientOptions,
) (string, error) {
	vouches, err := identity.NewCredential(&identity.CredentialOptions{ID: managed})
	if err != nil {
		return "", err
	}
	credential, err := identity.NewFederatedCredential(tenant, application,
		identity.CredentialAssertion(vouches), nil)
	if err != nil {
		return "", err
	}
	client, err := azsecrets.NewClient(vaultURL, credential, options)
	if err != nil {
		return "", err
	}
	response, err := client.GetSecret(ctx, name, "", nil) // "" is the latest version
	if err != nil {
		return "", fmt.Errorf("reading secret %s: %w", name, err)
	}
	if response.Value == nil {
		return "", fmt.Errorf("secret %s has no value", name)
	}
	return *response.Value, nil
}

func main() { commandline.Main(run) }

// run is main with everything that it touches, but for the environment. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return commandline.Program[config]{Name: "federated", Parse: parse, Usage: usage,
		Run: config.run, Explain: explain}.Main(ctx, args, stdout, stderr)
}

func (c config) run(ctx context.Context, out io.Writer) error {
	read := readStandIn
	if c.vault != "" {
		read = readReal
	}
	return commandline.Within(ctx, c.Timeout, func(ctx context.Context) error {
		return read(ctx, out, c)
	})
}

// explain is the error in one line. The library's own has all that is to be known; the SDK's have
// many lines.
func explain(_ config, err error) string {
	if e, ok := errors.AsType[*identity.AuthenticationError](err); ok {
		return e.Error()
	}
	return commandline.OneLine(err.Error())
}
