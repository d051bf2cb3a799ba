package mongodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"github.com/keyless-go/identity/examples/recipes/mongodb"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// TestOptions logs in, works on when the token has ended, and logs in with the new one. What keeps
// the first token can't.
func TestOptions(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s := startServer(t, func(token string) bool { return token == azure.Token(t, mongodb.Scope) })
	o, err := mongodb.Options(uri, azure.Credential, mongodb.Scope)
	if err != nil {
		t.Fatal(err)
	}
	captured := azure.Token(t, mongodb.Scope)
	ours, naive := s.client(t, o), s.client(t, options.Client().ApplyURI(uri).SetAuth(
		options.Credential{AuthMechanism: "MONGODB-OIDC", OIDCMachineCallback: func(
			context.Context, *options.OIDCArgs,
		) (*options.OIDCCredential, error) {
			return &options.OIDCCredential{AccessToken: captured}, nil
		}}))
	for _, client := range []*mongo.Client{ours, naive} {
		if err := client.Ping(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	azure.Rotate(t, mongodb.Scope)
	if err := ours.Ping(t.Context(), nil); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
	if logins := s.logins.Load(); logins != 3 {
		t.Errorf("%d logins, want 3: each client's, and ours anew", logins)
	}
	if err := naive.Ping(t.Context(), nil); err == nil {
		t.Error("naive, after its token ended: no error")
	} else if strings.Contains(fmt.Sprintf("%+v", err), captured) {
		t.Error("the driver's error has the token: say so in docs/recipes.md")
	}
}

// naiveCallback has the flaw of the driver's own ENVIRONMENT:azure (v2.10): it escapes what it asks
// for in the variable that it asks for the next time. The driver's own can't be run here: it sends
// to IMDS's real address.
func naiveCallback(
	resource string, send func(*http.Request) (*http.Response, error),
) options.OIDCCallback {
	return func(ctx context.Context, _ *options.OIDCArgs) (*options.OIDCCredential, error) {
		resource = url.QueryEscape(resource)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://fake.invalid"+
			"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+resource, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Metadata", "true")
		answer, err := send(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		var token struct {
			Value string `json:"access_token"`
		}
		err = json.NewDecoder(answer.Body).Decode(&token)
		return &options.OIDCCredential{AccessToken: token.Value}, err
	}
}

// TestNaiveCallback gets its first token, and no second one that the server would take.
func TestNaiveCallback(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	resource := strings.TrimSuffix(mongodb.Scope, "/.default")
	var ended atomic.Value
	ended.Store("")
	var last atomic.Value
	s := startServer(t, func(token string) bool {
		last.Store(token)
		return token != ended.Load() && standin.Audience(token) == resource
	})
	client := s.client(t, options.Client().ApplyURI(uri).SetAuth(options.Credential{
		AuthMechanism:       "MONGODB-OIDC",
		OIDCMachineCallback: naiveCallback(resource, azure.Endpoint.Do),
	}))
	if err := client.Ping(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ended.Store(last.Load())
	if err := client.Ping(t.Context(), nil); err == nil {
		t.Error("after the token ended: no error")
	}
	sent := azure.Endpoint.Requests()
	if len(sent) < 2 {
		t.Fatalf("%d requests for a token, want two", len(sent))
	}
	for i, want := range []string{resource, "https%3A%2F%2Fossrdbms-aad.database.windows.net"} {
		if got := sent[i].URL.Query().Get("resource"); got != want {
			t.Errorf("request %d for %q, want %q", i+1, got, want)
		}
	}
}

// TestOptionsFail: a credential's error reaches the caller.
func TestOptionsFail(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(string) bool { return true })
	o, err := mongodb.Options(uri, standin.Broken{}, mongodb.Scope)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client(t, o).Ping(t.Context(), nil); !errors.Is(err, standin.ErrBroken) {
		t.Errorf("%v, want the credential's error", err)
	}
}

// asked is a credential that says how it was asked.
type asked struct{}

func (asked) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, fmt.Errorf("asked for %q, CAE %v", o.Scopes, o.EnableCAE)
}

// TestOptionsAsk as Ready does, whose token the driver then has.
func TestOptionsAsk(t *testing.T) {
	t.Parallel()
	o, err := mongodb.Options(uri, asked{}, mongodb.Scope)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("asked for %q, CAE true", []string{mongodb.Scope})
	if _, err := o.Auth.OIDCMachineCallback(t.Context(), nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
