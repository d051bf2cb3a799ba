// Package mongodb connects to Azure Cosmos DB for MongoDB vCore (Azure DocumentDB) with a managed
// identity, by MongoDB's own driver; with another scope also to Atlas. A connection lives on until
// the server asks for another token, which the driver then gets of the same function. The server
// takes the user from the token.
package mongodb

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Scope is Cosmos DB's in the public cloud.
const Scope = "https://ossrdbms-aad.database.windows.net/.default"

// Options are for mongo.Connect. The URI has neither a user nor a mechanism, and TLS, without which
// others could read the token on its way; mongodb+srv has it:
//
//	mongodb+srv://NAME.global.mongocluster.cosmos.azure.com
//
// The driver gives the callback at most a minute, waits 100 ms before each call but the first, and
// keeps the token until the server refuses it.
func Options(
	uri string, cred azcore.TokenCredential, scope string,
) (*options.ClientOptions, error) {
	o := options.Client().ApplyURI(uri)
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.TLSConfig == nil || o.TLSConfig.InsecureSkipVerify {
		return nil, errors.New("mongodb: anybody could read the token on its way: " +
			"set tls=true, and leave tlsInsecure out")
	}
	return o.SetAuth(options.Credential{
		AuthMechanism: "MONGODB-OIDC",
		OIDCMachineCallback: func(
			ctx context.Context, _ *options.OIDCArgs,
		) (*options.OIDCCredential, error) {
			token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
				Scopes: []string{scope}, EnableCAE: true,
			})
			if err != nil {
				return nil, err
			}
			return &options.OIDCCredential{
				AccessToken: token.Token, ExpiresAt: &token.ExpiresOn,
			}, nil
		},
	}), nil
}
