package identitygrpc

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// BenchmarkCall is what a unary call over TLS costs on loopback, with a header that is always the
// same and with ours, whose tokens are as long; and what the metadata's part of it is.
func BenchmarkCall(b *testing.B) {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)}})
	if err != nil {
		b.Fatal(err)
	}
	token, err := identity.TokenFunc(cred, scope)(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s := serve(b, true)
	s.rotate(token)
	secure := credentials.NewContextWithRequestInfo(b.Context(),
		credentials.RequestInfo{AuthInfo: credentials.TLSInfo{}})
	for name, creds := range map[string]credentials.PerRPCCredentials{
		"static header": naiveStatic(token), "ours": New(cred, scope)} {
		b.Run("metadata alone, "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := creds.GetRequestMetadata(secure, "https://example.com/x"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name, func(b *testing.B) {
			client := s.dial(b, grpc.WithPerRPCCredentials(creds))
			for b.Loop() {
				if err := call(b.Context(), client); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
