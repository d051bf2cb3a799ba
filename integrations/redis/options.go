package identityredis

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/redis/internal/login"
)

// Scope is what tokens for Azure Managed Redis and Azure Cache for Redis are for. Pass it to
// identity.Credential's Ready to have the token before the first connection.
const Scope = login.Scope

// Options are for what the defaults don't fit. nil has the defaults.
type Options struct {
	// Scope is what to ask for a token for; "" means [Scope].
	Scope string
	// User is the user name; "" means the object ID that the token names, which is what Azure wants.
	// Set it if the tokens can't be read.
	User string
}

func newSource(cred azcore.TokenCredential, options *Options) *login.Source {
	s := &login.Source{Package: "identityredis", Credential: cred}
	if options != nil {
		s.Scope, s.User = options.Scope, options.User
	}
	return s
}

// CredentialsProvider returns a function for CredentialsProviderContext of go-redis's options: each
// new connection logs in with the token of that moment. It blocks as cred's GetToken does, until
// the context of the command for which the connection is made ends. Its error is cred's. It is safe
// for concurrent use if cred is. options may be nil.
//
// A connection isn't told of later tokens, and the server ends it with the token that it logged in
// with: set ConnMaxLifetime, as [Configure] does. Nothing here can see whether the connection has
// TLS.
func CredentialsProvider(
	cred azcore.TokenCredential, options *Options,
) func(context.Context) (username, password string, err error) {
	source := newSource(cred, options)
	return func(ctx context.Context) (string, string, error) {
		got, err := source.Get(ctx)
		return got.User, got.Token.Token, err
	}
}
