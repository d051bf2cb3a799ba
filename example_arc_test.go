package identity_test

import (
	"context"
	"fmt"
	"log"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// On a server that Azure Arc manages. The user that the service runs as must be allowed to read the
// agent's keys: on Linux as a member of the group himds, on Windows of the local group "Hybrid
// agent extension applications".
func ExampleNewCredential_azureArc() {
	defer standIn(identitytest.NewArc)() // leave out on such a server

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
	// Output: Azure Arc <nil>
}
