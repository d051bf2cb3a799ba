// Command identity is the smallest program that gets a token with this library. Its size is
// measured.
package main

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

func main() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		panic(err)
	}
	token, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	fmt.Println(token.ExpiresOn, err)
}
