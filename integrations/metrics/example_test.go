package identitymetrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitymetrics "github.com/keyless-go/identity/integrations/metrics"
)

// A monitoring system for which there is no package here reads the Set itself.
func ExampleSet() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS, // leave out on Azure, and the fake of a VM, too
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(context.Background(), "https://vault.azure.net/.default"); err != nil {
		log.Fatal(err)
	}
	set := identitymetrics.NewSet(cred)
	for _, series := range set.Read().Series {
		fmt.Printf("%s %s: %d requests, %d failures\n", series.Host, series.Resource,
			series.Requests, series.Failures)
	}
	// Output: imds https://vault.azure.net: 1 requests, 0 failures
}
