package identitygrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitygrpc "github.com/keyless-go/identity/integrations/oauth2/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// A call to a server of your own, which takes tokens for the application api://orders.
func Example() {
	address, roots, stop := startServer() // stands for the server
	defer stop()

	cred, err := identity.NewCredential(&identity.CredentialOptions{ // on Azure: nil
		Host:          identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})),
		grpc.WithPerRPCCredentials(identitygrpc.New(cred, "api://orders/.default")))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.GetStatus())
	// Output:
	// authorized: true
	// SERVING
}

// startServer starts a gRPC server on loopback. A real one checks the token: its signature, its
// issuer and audience, and what its bearer may do.
func startServer() (address string, roots *x509.CertPool, stop func()) {
	certified := httptest.NewTLSServer(nil) // for its certificate
	certified.Close()
	roots = x509.NewCertPool()
	roots.AddCert(certified.Certificate())

	server := grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&certified.TLS.Certificates[0])),
		grpc.UnaryInterceptor(func(
			ctx context.Context, r any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
		) (any, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			fmt.Println("authorized:", strings.HasPrefix(strings.Join(md["authorization"], ""), "Bearer "))
			return handler(ctx, r)
		}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	return listener.Addr().String(), roots, server.Stop
}
