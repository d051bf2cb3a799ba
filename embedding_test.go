package identity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// embedding is a user's credential that has the methods of one of this package's.
type embedding struct{ *identity.AzureCLICredential }

func (embedding) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	panic("at the user's")
}

// TestChainOfEmbedding: what embeds a credential of ours is somebody else's, by its name, and with
// what its methods do.
func TestChainOfEmbedding(t *testing.T) {
	t.Parallel()
	cred, err := identity.NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]azcore.TokenCredential{
		"value":   embedding{cred},
		"pointer": &embedding{cred},
	} {
		chain, err := identity.NewChain([]azcore.TokenCredential{source}, nil)
		if err == nil {
			_, err = chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"scope"}})
		}
		want := "identity_test.embedding: it panicked: at the user's"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", name, err, want)
		}
	}
}
