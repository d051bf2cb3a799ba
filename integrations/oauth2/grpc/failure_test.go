package identitygrpc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// failing is a credential on a virtual machine whose IMDS answers with a status, and which tries
// once.
func failing(tb testing.TB, code int) *identity.Credential {
	tb.Helper()
	ep := identitytest.NewIMDS(nil)
	ep.Enqueue(identitytest.Response{Status: code, For: time.Hour})
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host: identity.HostIMDS, ClientOptions: azcore.ClientOptions{Transport: ep,
			Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// naive is what is written by hand: the token in the metadata, the error as it is.
type naive struct{ cred azcore.TokenCredential }

func (n naive) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := identity.TokenFunc(n.cred, scope)(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (naive) RequireTransportSecurity() bool { return true }

// TestCodes: what the caller of an RPC sees of a credential that fails, however the credentials are
// given to gRPC. The naive ones have a code that says something else.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	for name, tt := range map[string]struct {
		cred       azcore.TokenCredential
		want       codes.Code
		dial, call codes.Code // of the naive one
	}{
		"an outage": {failing(t, http.StatusServiceUnavailable), codes.Unavailable,
			codes.Unauthenticated, codes.Internal},
		"throttled": {failing(t, http.StatusTooManyRequests), codes.Unavailable,
			codes.Unauthenticated, codes.Internal},
		"a refusal": {failing(t, http.StatusBadRequest), codes.Unauthenticated,
			codes.Unauthenticated, codes.Internal},
		// A credential that asks by gRPC itself has such errors; this code isn't for clients' use.
		"another call's status": {always(status.Error(codes.NotFound, "no such secret")),
			codes.Unauthenticated, codes.Internal, codes.Internal},
		"another call's outage": {always(status.Error(codes.Aborted, "conflict")),
			codes.Unauthenticated, codes.Internal, codes.Internal},
		"nothing known": {always(errors.New("no")), codes.Unauthenticated,
			codes.Unauthenticated, codes.Internal},
	} {
		ours, theirs := New(tt.cred, scope), naive{tt.cred}
		for way, err := range map[string]error{
			"dial": call(t.Context(), s.dial(t, grpc.WithPerRPCCredentials(ours))),
			"call": call(t.Context(), s.dial(t), grpc.PerRPCCredentials(ours)),
		} {
			ae, known := errors.AsType[*identity.AuthenticationError](err)
			if status.Code(err) != tt.want ||
				!strings.Contains(err.Error(), "no token for "+scope+": ") {
				t.Errorf("%s, %s: got %v, want %v", name, way, err, tt.want)
			}
			_, own := tt.cred.(*identity.Credential)
			if own != known || own && ae.Host != identity.HostIMDS {
				t.Errorf("%s, %s: the credential's own error isn't in it: %v", name, way, err)
			}
		}
		err := call(t.Context(), s.dial(t, grpc.WithPerRPCCredentials(theirs)))
		if got := status.Code(err); got != tt.dial {
			t.Errorf("%s: the naive credentials, given to NewClient: %v, want %v", name, got, tt.dial)
		}
		err = call(t.Context(), s.dial(t), grpc.PerRPCCredentials(theirs))
		if got := status.Code(err); got != tt.call {
			t.Errorf("%s: the naive credentials, given to a call: %v, want %v", name, got, tt.call)
		}
	}
	if n := s.seen(); n != 0 {
		t.Errorf("%d calls came to the server, without a token", n)
	}
}

// always is a credential with one error.
type alwaysError struct{ err error }

func always(err error) azcore.TokenCredential { return alwaysError{err} }

func (a alwaysError) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, a.err
}

// TestDeadline: a call ends with its context while the host says nothing, and has that code. The
// naive credentials have another one.
func TestDeadline(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	cred := hanging{make(chan struct{}, 1000)}
	client := s.dial(t)
	// during repeats a call until its context ends while a token is asked for, and not before.
	during := func(creds credentials.PerRPCCredentials,
		try func(context.Context, grpc.CallOption) error) (err error) {
		for len(cred.asked) == 0 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err = try(ctx, grpc.PerRPCCredentials(creds))
			cancel()
		}
		<-cred.asked
		return err
	}
	unary := func(ctx context.Context, option grpc.CallOption) error {
		return call(ctx, client, option)
	}
	err := during(New(cred, scope), unary)
	if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("unary: got %v", err)
	}
	err = during(New(cred, scope), func(ctx context.Context, option grpc.CallOption) error {
		_, err := client.FullDuplexCall(ctx, option)
		return err
	})
	if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stream: got %v", err)
	}
	err = during(naive{cred}, unary)
	if code := status.Code(err); code != codes.Internal {
		t.Errorf("the naive credentials: %v: this test shows nothing", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-cred.asked
		cancel()
	}()
	err = call(ctx, client, grpc.PerRPCCredentials(New(cred, scope)))
	if status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}

// TestRetry: gRPC's retry policy covers an outage, and asks for a token each time. WaitForReady
// alone doesn't wait for a token.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	outage, err := failing(t, http.StatusServiceUnavailable).GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{scope}})
	if err == nil {
		t.Fatal(outage.ExpiresOn)
	}
	policy := grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.002s",
		"backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
	down := func(times int) *fake {
		f := &fake{token: "first"}
		for range times {
			f.errs = append(f.errs, err)
		}
		return f
	}
	for _, tt := range []struct {
		name  string
		down  int
		creds func(azcore.TokenCredential) credentials.PerRPCCredentials
		want  codes.Code
		asked int
	}{
		{"up after 3", 3, ours, codes.OK, 4},
		{"longer than the policy", 4, ours, codes.Unavailable, 4},
		{"naive", 3, func(c azcore.TokenCredential) credentials.PerRPCCredentials { return naive{c} },
			codes.Unauthenticated, 1},
	} {
		cred := down(tt.down)
		client := s.dial(t, policy, grpc.WithPerRPCCredentials(tt.creds(cred)))
		err, asked := call(t.Context(), client), len(cred.asked())
		if status.Code(err) != tt.want || asked != tt.asked {
			t.Errorf("%s: asked %d times: %v", tt.name, asked, err)
		}
	}
	cred := down(1)
	client := s.dial(t, grpc.WithPerRPCCredentials(New(cred, scope)))
	err = call(t.Context(), client, grpc.WaitForReady(true))
	if status.Code(err) != codes.Unavailable || len(cred.asked()) != 1 {
		t.Errorf("WaitForReady: asked %d times: %v", len(cred.asked()), err)
	}
}

func ours(cred azcore.TokenCredential) credentials.PerRPCCredentials { return New(cred, scope) }
