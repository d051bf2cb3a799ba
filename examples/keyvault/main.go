// Command keyvault reads secrets from Azure Key Vault with a managed identity, and tells step by
// step what happens.
//
// Without arguments it needs no Azure: it runs stand-ins for the host's identity endpoint and for
// the vault, both on loopback, and reads ten secrets from them with the real Key Vault client. With
// -vault and -secret it reads a secret of a real vault. The code that a service needs is
// readSecrets, and nothing else.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// readSecrets is what a service on Azure needs, and all of it: no key, no password, no connection
// string. A nil id means the host's own identity, nil options the client's defaults.
func readSecrets(
	ctx context.Context, vaultURL string, id identity.ID, options *azsecrets.ClientOptions,
	names ...string,
) (map[string]string, error) {
	credential, err := identity.NewCredential(&identity.CredentialOptions{ID: id})
	if err != nil {
		return nil, err
	}
	client, err := azsecrets.NewClient(vaultURL, credential, options)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for _, name := range names {
		response, err := client.GetSecret(ctx, name, "", nil) // "" is the latest version
		if err != nil {
			return nil, fmt.Errorf("reading secret %s: %w", name, err)
		}
		if response.Value == nil {
			return nil, fmt.Errorf("secret %s has no value", name)
		}
		values[name] = *response.Value
	}
	return values, nil
}

func main() { commandline.Main(run) }

// run is main with everything that it touches, but for the environment. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return commandline.Program[config]{Name: "keyvault", Parse: parse, Usage: usage,
		Run: config.run, Explain: config.explain}.Main(ctx, args, stdout, stderr)
}

func (c config) run(ctx context.Context, out io.Writer) error {
	read := readTen
	if c.vault != "" {
		read = readOne
	}
	return commandline.Within(ctx, c.Timeout, func(ctx context.Context) error {
		return read(ctx, out, c)
	})
}
