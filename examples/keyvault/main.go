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
	"errors"
	"flag"
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
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return 0
	}
	if err == nil {
		err = c.run(ctx, stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "keyvault: "+c.explain(err))
		return 1
	}
	return 0
}

func (c config) run(ctx context.Context, out io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	read := readTen
	if c.vault != "" {
		read = readOne
	}
	err := read(limited, out, c)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // Ctrl-C: what failed because of it says less
		return context.Cause(ctx)
	case limited.Err() != nil:
		return &timeoutError{err}
	}
	return err
}
