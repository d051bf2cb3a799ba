package identitygrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// naiveStatic are credentials with one token, such as oauth.TokenSource makes of an
// oauth2.StaticTokenSource.
type naiveStatic string

func (n naiveStatic) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(n)}, nil
}

func (naiveStatic) RequireTransportSecurity() bool { return true }

// TestRotation: calls and streams have the token of the day, and an open stream lives on. What
// captures a token fails as soon as another one is due.
func TestRotation(t *testing.T) {
	t.Parallel()
	s, cred := serve(t, true), &fake{token: "first"}
	client := s.dial(t, grpc.WithPerRPCCredentials(New(cred, scope)))
	plain := s.dial(t)
	static := s.dial(t, grpc.WithPerRPCCredentials(naiveStatic("first")))
	captured := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer first")
	for name, err := range map[string]error{
		"ours":                        call(t.Context(), client),
		"ours, of a call":             call(t.Context(), plain, grpc.PerRPCCredentials(New(cred, scope))),
		"naive: captured at start":    call(t.Context(), static),
		"naive: metadata of the past": call(captured, plain),
	} {
		if err != nil {
			t.Errorf("%s, the first token: %v", name, err)
		}
	}
	open, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(open); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"second", "third"} {
		s.rotate(token)
		cred.rotate(token)
		if err := call(t.Context(), client); err != nil {
			t.Errorf("unary, %s: %v", token, err)
		}
		if err := ping(open); err != nil {
			t.Errorf("the open stream, %s: %v", token, err)
		}
		another, err := client.FullDuplexCall(t.Context())
		if err == nil {
			err = ping(another)
		}
		if err != nil {
			t.Errorf("a new stream, %s: %v", token, err)
		}
		for name, err := range map[string]error{
			"captured": call(t.Context(), static), "metadata": call(captured, plain)} {
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("naive, %s, %s: %v: this test shows nothing", name, token, err)
			}
		}
	}
}

// TestInsecure: no token leaves over a connection without TLS, and none is asked for.
func TestInsecure(t *testing.T) {
	t.Parallel()
	s, cred := serve(t, false), &fake{token: "first"}
	ours := New(cred, scope)
	if !ours.RequireTransportSecurity() {
		t.Error("no transport security is required")
	}
	if conn, err := grpc.NewClient(s.address, grpc.WithPerRPCCredentials(ours),
		grpc.WithTransportCredentials(insecure.NewCredentials())); err == nil {
		conn.Close()
		t.Error("NewClient took them without TLS")
	}
	none := grpc.WithTransportCredentials(insecure.NewCredentials())
	bare := pb.NewTestServiceClient(s.conn(t, none))
	ofLocal := pb.NewTestServiceClient(s.conn(t,
		grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithPerRPCCredentials(ours)))
	for name, err := range map[string]error{
		"insecure, of a call":            call(t.Context(), bare, grpc.PerRPCCredentials(ours)),
		"plain TCP as local credentials": call(t.Context(), ofLocal),
	} {
		if err == nil || !strings.Contains(err.Error(), "insecure connection") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Both are gRPC's own refusals. Ours is for transports that don't look.
	for name, ctx := range map[string]context.Context{
		"outside a call": t.Context(),
		"integrity only": credentials.NewContextWithRequestInfo(t.Context(), credentials.RequestInfo{
			AuthInfo: weak{credentials.CommonAuthInfo{SecurityLevel: credentials.IntegrityOnly}}}),
	} {
		if _, err := ours.GetRequestMetadata(ctx, "https://example.com/x"); err == nil ||
			status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "without TLS") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(cred.asked()); n != 0 || s.seen() != 0 {
		t.Errorf("%d tokens were asked for, %d calls came to the server", n, s.seen())
	}
}

type weak struct{ credentials.CommonAuthInfo }

func (weak) AuthType() string { return "weak" }

// TestScope: the scope that was given, or that of the server's name.
func TestScope(t *testing.T) {
	t.Parallel()
	s, cred := serve(t, true), &fake{token: "first"}
	named := credentials.NewTLS(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12})
	client := pb.NewTestServiceClient(s.conn(t, grpc.WithTransportCredentials(named),
		grpc.WithAuthority("example.com:8443"), grpc.WithPerRPCCredentials(New(cred, ""))))
	if err := call(t.Context(), client); err != nil {
		t.Error(err)
	}
	if err := call(t.Context(), s.dial(t), grpc.PerRPCCredentials(New(cred, scope))); err != nil {
		t.Error(err)
	}
	if got := cred.asked(); !slices.Equal(got, []string{"https://example.com/.default", scope}) {
		t.Errorf("asked for %q", got)
	}
	err := call(t.Context(), s.dial(t), grpc.PerRPCCredentials(New(cred, "")))
	if status.Code(err) != codes.Unauthenticated ||
		!strings.Contains(err.Error(), "is called by its address") {
		t.Errorf("by its address: got %v", err)
	}
	for uri, want := range map[string]string{
		"https://orders.example.com/shop.Orders":      "https://orders.example.com/.default",
		"https://orders.example.com:8443/shop.Orders": "https://orders.example.com/.default",
		"https://10.0.0.1/shop.Orders":                "",
		"https://[::1]:8443/shop.Orders":              "",
		"https:///shop.Orders":                        "",
		"https://a@orders.example.com/shop.Orders":    "",
		"http://orders.example.com/shop.Orders":       "",
		"https://a b/shop.Orders":                     "",
		"":                                            "",
	} {
		if got, err := scopeOf([]string{uri}); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", uri, got, err)
		}
	}
	if _, err := scopeOf(nil); err == nil {
		t.Error("no URI has a scope")
	}
}

// holder is a credential that is a value, so that printing what holds it prints its token.
type holder struct{ token string }

func (holder) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, nil
}

// TestCanary: no token in an error, and nothing of the credential in a log.
func TestCanary(t *testing.T) {
	t.Parallel()
	const canary = "eyJ0eXAi.canary.token"
	s, cred := serve(t, true), &fake{token: canary}
	ours, printed := New(cred, scope), New(holder{canary}, scope)
	refused := call(t.Context(), s.dial(t, grpc.WithPerRPCCredentials(ours)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := call(ctx, s.dial(t, grpc.WithPerRPCCredentials(ours)))
	ofNil := call(t.Context(), s.dial(t), grpc.PerRPCCredentials(New(nil, scope)))
	if refused == nil || ended == nil || !strings.Contains(fmt.Sprint(ofNil), "nil credential") {
		t.Errorf("no error: %v, %v, %v", refused, ended, ofNil)
	}
	text := fmt.Sprintf("%v %+v %s %q %+v", printed, printed, printed, printed,
		errors.Join(refused, ended, ofNil))
	if strings.Contains(text, canary) || len(cred.asked()) == 0 {
		t.Errorf("got %s", text)
	}
}
