package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/identitytest"
)

// TestTokenFuncSharesReadysToken: on hosts whose tokens differ by EnableCAE, what Ready has warmed
// serves it in an outage.
func TestTokenFuncSharesReadysToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked []policy.TokenRequestOptions
		ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
		cred := credentialAt(t, environmentAt(ep, "https://entra.example"), ep,
			func(o *CredentialOptions) { o.Host = HostWorkloadIdentity })
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Minute)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		password := TokenFunc(sourceFunc(func(ctx context.Context, o policy.TokenRequestOptions) (
			azcore.AccessToken, error) {
			asked = append(asked, o)
			return cred.GetToken(ctx, o)
		}), vaultScope)
		if got, err := password(t.Context()); err != nil || got == "" {
			t.Errorf("got %q, %v, want the token that Ready has warmed", got, err)
		}
		if len(asked) != 1 || !asked[0].EnableCAE || len(asked[0].Scopes) != 1 ||
			asked[0].Scopes[0] != vaultScope {
			t.Errorf("asked for %+v", asked)
		}
	})
}

// TestTokenFuncFails by what the credential says, and by what it must not say.
func TestTokenFuncFails(t *testing.T) {
	t.Parallel()
	own := errors.New("own")
	for name, tt := range map[string]struct {
		cred azcore.TokenCredential
		want string
	}{
		"nil": {nil, "identity: TokenFunc: nil credential: want one, such as one of NewCredential"},
		"an empty token": {tokenFunc(""),
			"identity: TokenFunc: the credential returned an empty token"},
		"its own": {sourceFunc(func(context.Context, policy.TokenRequestOptions) (
			azcore.AccessToken, error) {
			return azcore.AccessToken{}, own
		}), "own"},
	} {
		got, err := TokenFunc(tt.cred, vaultScope)(t.Context())
		if got != "" || err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %q, %v, want %s", name, got, err, tt.want)
		}
	}
}

// TestPassing agrees with Ready, also about what others have wrapped.
func TestPassing(t *testing.T) {
	for name, tt := range map[string]struct {
		ep   func(ep *identitytest.Endpoint)
		id   ID
		want bool
	}{
		"an outage": {func(ep *identitytest.Endpoint) {
			ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		}, nil, true},
		"nobody there": {func(ep *identitytest.Endpoint) {
			ep.Enqueue(identitytest.Response{Err: errNobodyListens, For: time.Hour})
		}, nil, true},
		"not assigned": {func(*identitytest.Endpoint) {}, ClientID(guid), false},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			tt.ep(ep)
			cred := onIMDS(t, ep, func(o *CredentialOptions) { o.ID = tt.id })
			for what, source := range map[string]azcore.TokenCredential{
				"a credential": cred, "a chain": mustChain(t, nil, cred, cred),
			} {
				_, err := TokenFunc(source, vaultScope)(t.Context())
				if got := Passing(err); got != tt.want {
					t.Errorf("%s: %v is passing: %v, want %v", what, err, got, tt.want)
				}
				if got := Passing(fmt.Errorf("can't connect: %w", err)); got != tt.want {
					t.Errorf("%s: when wrapped it is passing: %v, want %v", what, got, tt.want)
				}
				if passes(err) != tt.want {
					t.Errorf("%s: Ready knows better", what)
				}
			}
		})
	}
	_, scope := TokenFunc(onIMDS(t, identitytest.NewIMDS(nil)), "")(t.Context())
	_, none := TokenFunc(nil, vaultScope)(t.Context())
	for _, err := range []error{nil, errors.New("x"), context.DeadlineExceeded, scope, none} {
		if Passing(err) {
			t.Errorf("%v is passing", err)
		}
	}
}

// TestPassingOfClients: an SDK client whose context ends says so and nothing else, which Passing's
// comment and docs/operations.md tell of. Once azcore says more they can go.
func TestPassingOfClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		client := azruntime.NewPipeline("m", "v1.0.0", azruntime.PipelineOptions{
			PerRetry: []policy.Policy{
				azruntime.NewBearerTokenPolicy(onIMDS(t, ep), []string{vaultScope}, nil),
			},
		}, &policy.ClientOptions{Transport: ep})
		ask := func(ctx context.Context) error {
			req, err := azruntime.NewRequest(ctx, http.MethodGet, "https://example.vault.azure.net")
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Do(req)
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := ask(ctx); Passing(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the context's end: %v, passing %v", err, Passing(err))
		}
		if err := ask(t.Context()); !Passing(err) {
			t.Errorf("of an outage: %v isn't passing", err)
		}
		if err := ep.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPrincipalOf(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewIMDS(&identitytest.Options{
		Identities: []identitytest.Identity{{}}})
	token, err := TokenFunc(onIMDS(t, ep), armScope)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	is := ep.Identities()[0]
	want := Principal{ObjectID: is.ObjectID, ClientID: is.ClientID, TenantID: is.TenantID,
		ResourceID: is.ResourceID, Name: "id-1"}
	if got, err := PrincipalOf(token); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, nobody := range []string{"", "opaque-token-0123456789", jwtOf(`{"iss":"i"}`)} {
		if got, err := PrincipalOf(nobody); err == nil || got != (Principal{}) {
			t.Errorf("%q: got %+v, %v, want an error", nobody, got, err)
		}
	}
}
