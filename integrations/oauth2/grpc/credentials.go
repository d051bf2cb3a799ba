package identitygrpc

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
)

// Credentials are those of gRPC calls, for grpc.WithPerRPCCredentials and grpc.PerRPCCredentials.
// They are safe for concurrent use if the credential is.
type Credentials struct {
	cred  azcore.TokenCredential
	scope string
}

var _ credentials.PerRPCCredentials = (*Credentials)(nil)

// New returns credentials with cred's tokens for a scope, such as "api://orders/.default". If scope
// is "", it follows from the server's name: a call to orders.example.com:8443 has a token for
// https://orders.example.com/.default, which is of no use to any other server. Calls to a server by
// its IP address then fail. New sends nothing.
func New(cred azcore.TokenCredential, scope string) *Credentials {
	return &Credentials{cred: cred, scope: scope}
}

// GetRequestMetadata implements credentials.PerRPCCredentials. It returns at once while a token is
// held, and otherwise blocks as the credential's GetToken does, until the call's context ends. Its
// errors are statuses, see the package's documentation. It refuses a connection that isn't secure
// before it asks for a token.
func (c *Credentials) GetRequestMetadata(
	ctx context.Context, uri ...string,
) (map[string]string, error) {
	call, _ := credentials.RequestInfoFromContext(ctx)
	if err := credentials.CheckSecurityLevel(call.AuthInfo,
		credentials.PrivacyAndIntegrity); err != nil {
		return nil, &statusError{codes.Unauthenticated, "identitygrpc: no token is sent over a " +
			"connection without TLS", err}
	}
	if c.cred == nil {
		return nil, &statusError{codes.Unauthenticated, "identitygrpc", errors.New(
			"nil credential: want one, such as one of identity.NewCredential")}
	}
	scope := c.scope
	if scope == "" {
		var err error
		if scope, err = scopeOf(uri); err != nil {
			return nil, &statusError{codes.Unauthenticated, "identitygrpc", err}
		}
	}
	token, err := identity.TokenFunc(c.cred, scope)(ctx)
	if err != nil {
		return nil, &statusError{codeOf(ctx, err), "identitygrpc: no token for " + scope, err}
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: it is true, so that gRPC
// refuses channels without TLS when they are made.
func (c *Credentials) RequireTransportSecurity() bool { return true }

// String keeps what the credential holds out of logs.
func (c *Credentials) String() string { return "identitygrpc.Credentials for " + c.scope }
