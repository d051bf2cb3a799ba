package identitygrpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const scope = "api://orders/.default"

// server is a real gRPC server on loopback, which takes one token: a call with another one, or
// without, is Unauthenticated. A call to its unary method does nothing, and its stream answers each
// message.
type server struct {
	pb.UnimplementedTestServiceServer
	address string
	roots   *x509.CertPool // nil: it has no TLS

	mu    sync.Mutex
	token string
	calls int // that came, good or not
}

// serve starts one with the token "first". Its certificate is for example.com and 127.0.0.1.
func serve(tb testing.TB, secure bool) *server {
	tb.Helper()
	s := &server{token: "first"}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(func(
			ctx context.Context, r any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
		) (any, error) {
			if err := s.check(ctx); err != nil {
				return nil, err
			}
			return handler(ctx, r)
		}),
		grpc.StreamInterceptor(func(
			srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
		) error {
			if err := s.check(stream.Context()); err != nil {
				return err
			}
			return handler(srv, stream)
		}),
	}
	if secure {
		certified := httptest.NewTLSServer(nil) // for its certificate
		certified.Close()
		s.roots = x509.NewCertPool()
		s.roots.AddCert(certified.Certificate())
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.address = listener.Addr().String()
	real := grpc.NewServer(options...)
	pb.RegisterTestServiceServer(real, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		real.Serve(listener)
	}()
	tb.Cleanup(func() {
		real.Stop()
		<-done
	})
	return s
}

func (s *server) check(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+s.token {
		return status.Error(codes.Unauthenticated, "the server refuses the token")
	}
	return nil
}

// rotate makes the server take another token, and no other.
func (s *server) rotate(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

func (s *server) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *server) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) {
	return &pb.Empty{}, nil
}

func (s *server) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// dial connects to the server, over TLS.
func (s *server) dial(tb testing.TB, options ...grpc.DialOption) pb.TestServiceClient {
	tb.Helper()
	options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: s.roots, MinVersion: tls.VersionTLS12})))
	return pb.NewTestServiceClient(s.conn(tb, options...))
}

func (s *server) conn(tb testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.address, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// call is a unary call, its error alone.
func call(ctx context.Context, client pb.TestServiceClient, options ...grpc.CallOption) error {
	_, err := client.EmptyCall(ctx, &pb.Empty{}, options...)
	return err
}

// ping sends a message over a stream, and waits for the answer.
func ping(stream pb.TestService_FullDuplexCallClient) error {
	if err := stream.Send(&pb.StreamingOutputCallRequest{}); err != nil && err != io.EOF {
		return err
	}
	_, err := stream.Recv()
	return err
}

// fake is a credential that a test tells what to return.
type fake struct {
	mu     sync.Mutex
	token  string
	errs   []error // those that come first
	scopes []string
}

func (f *fake) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scopes = append(f.scopes, strings.Join(o.Scopes, " "))
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: f.token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (f *fake) rotate(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
}

func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.scopes
}

// hanging is a credential whose host says nothing.
type hanging struct{ asked chan struct{} }

func (h hanging) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return azcore.AccessToken{}, ctx.Err()
}
