package identityoauth2

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"golang.org/x/oauth2"
)

const scope = "https://api.example.com/.default"

// onIMDS is a credential of a fake virtual machine.
func onIMDS(tb testing.TB, ep *identitytest.Endpoint) *identity.Credential {
	tb.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host: identity.HostIMDS, ClientOptions: azcore.ClientOptions{Transport: ep}})
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// credFunc is a credential of a test's own.
type credFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f credFunc) GetToken(
	ctx context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return f(ctx, o)
}

// hanging is a credential whose host says nothing.
func hanging() credFunc {
	return func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
		<-ctx.Done()
		return azcore.AccessToken{}, ctx.Err()
	}
}

// api is a service, and the transport to it: it refuses tokens that have ended, and remembers all.
type api struct {
	mu     sync.Mutex
	tokens []string
	ends   []time.Time // of the tokens
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Request: r,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return resp, nil
	}
	end := endOf(token)
	if time.Now().Before(end) {
		resp.StatusCode = http.StatusOK
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tokens) == 0 || a.tokens[len(a.tokens)-1] != token {
		a.tokens, a.ends = append(a.tokens, token), append(a.ends, end)
	}
	return resp, nil
}

// endOf reads the claim exp.
func endOf(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims struct{ Exp int64 }
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return time.Time{}
	}
	return time.Unix(claims.Exp, 0)
}

// client is what oauth2.NewClient makes of a source, with the service in place of the network.
func (a *api) client(ctx context.Context, source oauth2.TokenSource) *http.Client {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: a})
	return oauth2.NewClient(ctx, source)
}

// get asks the service, and returns what went wrong.
func get(ctx context.Context, client *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// naiveRealEnd is a source as it is written by hand, whose Expiry is the token's real end.
type naiveRealEnd struct {
	ctx  context.Context
	cred azcore.TokenCredential
}

func (n naiveRealEnd) Token() (*oauth2.Token, error) {
	t, err := n.cred.GetToken(n.ctx,
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.Token, Expiry: t.ExpiresOn}, nil
}

// naiveStatic is a source of one captured token.
func naiveStatic(tb testing.TB, cred azcore.TokenCredential) oauth2.TokenSource {
	tb.Helper()
	t, err := naiveRealEnd{tb.Context(), cred}.Token()
	if err != nil {
		tb.Fatal(err)
	}
	return oauth2.StaticTokenSource(t)
}
