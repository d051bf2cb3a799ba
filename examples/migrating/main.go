// Command migrating gets a token as a program does that uses azidentity, and then as the same
// program does with this library: before.go and after.go are the two. Both ask one stand-in for App
// Service on loopback, so that it needs no Azure, and it says whether they are the same identity.
//
// chain.go is for programs that keep azidentity's ChainedTokenCredential.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// config is what such a program is told: nothing, or a managed identity's client ID, or an
// application and where the token is that it trusts.
type config struct {
	tenantID, clientID string
	tokenFile          string
	assertion          func(ctx context.Context, audience string) (string, error)
	options            azcore.ClientOptions
}

func main() { commandline.Main(run) }

// run is main with everything that it touches, but for the environment. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := commandline.New("migrating")
	err := commandline.Parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(stdout, "Gets a token of a stand-in's managed identity by azidentity, and "+
			"then by this library.\n\nUsage:\n  migrating    no flags, and no Azure needed")
		return 0
	}
	if err == nil {
		err = compare(ctx, stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "migrating: "+commandline.OneLine(err.Error()))
		return 1
	}
	return 0
}

// compare asks by both, on one App Service, which repeats its token as the real one does.
func compare(ctx context.Context, out io.Writer) error {
	host, err := standins.StartEndpoint(identitytest.NewAppService(
		&identitytest.Options{HostCache: true}))
	if err != nil {
		return err
	}
	defer host.Stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var tokens [2]string
	for i, library := range []struct {
		name string
		make func(config) (azcore.TokenCredential, error)
	}{{"azidentity", before}, {"identity", after}} {
		cred, err := library.make(config{})
		if err != nil {
			return err
		}
		token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
			Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
		})
		if err != nil {
			return err
		}
		whose, err := identity.PrincipalOf(token.Token)
		if err != nil {
			return err
		}
		tokens[i] = token.Token
		_, _ = fmt.Fprintf(out, "%-11s is client ID %s\n", library.name, whose.ClientID)
	}
	if tokens[0] != tokens[1] {
		return errors.New("the two have another token each")
	}
	_, _ = fmt.Fprintln(out, "both have the same token")
	return nil
}
