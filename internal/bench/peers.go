package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"cloud.google.com/go/auth"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/keyless-go/identity"
	"golang.org/x/oauth2"
)

// The names of those who are compared, as the tables and the flags of takeTurns have them.
const (
	ours       = "identity"
	theLimit   = "limit"
	azIdentity = "azidentity"
	msal       = "MSAL Go"
	awsCache   = "aws-sdk-go-v2"
	gcpCache   = "cloud.google.com/go/auth"
	xOAuth2    = "x/oauth2"
)

// peers are all but the limit, in the order of the tables.
var peers = []string{ours, azIdentity, msal, awsCache, gcpCache, xOAuth2}

// asker returns a token for a scope. AWS's, Google's and oauth2's caches hold one token each, so
// that for them the scope is whose cache is asked.
type asker func(ctx context.Context, scope string) (token string, err error)

// newAsker makes a fresh credential of a peer that asks the App Service of the environment. MSAL's
// and azidentity's cache is the process's.
func newAsker(name string, transport *fake) (asker, error) {
	switch name {
	case ours:
		cred, err := newOurs(transport)
		return azcoreAsker(cred), err
	case azIdentity:
		cred, err := newAzidentity(transport)
		return azcoreAsker(cred), err
	case msal:
		client, err := newMSAL(transport)
		return func(ctx context.Context, scope string) (string, error) {
			r, err := client.AcquireToken(ctx, scope)
			return r.AccessToken, err
		}, err
	case awsCache:
		return eachOwn(func(p provider) asker {
			cache := aws.NewCredentialsCache(awsProvider(p))
			return func(ctx context.Context, _ string) (string, error) {
				c, err := cache.Retrieve(ctx)
				return c.SessionToken, err
			}
		}), nil
	case gcpCache:
		return eachOwn(func(p provider) asker {
			cache := auth.NewCachedTokenProvider(gcpProvider(p), nil)
			return func(ctx context.Context, _ string) (string, error) {
				t, err := cache.Token(ctx)
				if err != nil {
					return "", err
				}
				return t.Value, nil
			}
		}), nil
	case xOAuth2:
		return eachOwn(func(p provider) asker {
			cache := oauth2.ReuseTokenSource(nil, oauth2Provider(p))
			return func(context.Context, string) (string, error) {
				t, err := cache.Token()
				if err != nil {
					return "", err
				}
				return t.AccessToken, nil
			}
		}), nil
	}
	return nil, fmt.Errorf("no peer %q", name)
}

func azcoreAsker(cred azcore.TokenCredential) asker {
	return func(ctx context.Context, scope string) (string, error) {
		t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		return t.Token, err
	}
}

// newOurs and its like ask by socket when transport is nil.
func newOurs(transport *fake) (*identity.Credential, error) {
	var o identity.CredentialOptions
	if transport != nil {
		o.Transport = transport
	}
	return identity.NewCredential(&o)
}

func newAzidentity(transport *fake) (*azidentity.ManagedIdentityCredential, error) {
	var o azidentity.ManagedIdentityCredentialOptions
	if transport != nil {
		o.Transport = transport
	}
	return azidentity.NewManagedIdentityCredential(&o)
}

func newMSAL(transport *fake) (managedidentity.Client, error) {
	if transport == nil {
		return managedidentity.New(managedidentity.SystemAssigned())
	}
	return managedidentity.New(managedidentity.SystemAssigned(),
		managedidentity.WithHTTPClient(transport))
}

// provider is what stands behind AWS's, Google's and oauth2's caches: it brings a token and its
// end.
type provider func(ctx context.Context) (token string, expires time.Time, err error)

// madeUp brings a token at once.
func madeUp(context.Context) (string, time.Time, error) {
	return "token", time.Now().Add(24 * time.Hour), nil
}

type awsProvider provider

func (p awsProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	token, expires, err := p(ctx)
	return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: token,
		Source: "bench", CanExpire: true, Expires: expires}, err
}

type gcpProvider provider

func (p gcpProvider) Token(ctx context.Context) (*auth.Token, error) {
	token, expires, err := p(ctx)
	return &auth.Token{Value: token, Expiry: expires}, err
}

type oauth2Provider provider

func (p oauth2Provider) Token() (*oauth2.Token, error) {
	token, expires, err := p(context.Background())
	return &oauth2.Token{AccessToken: token, Expiry: expires}, err
}

// bareClient has the connection policy of the library's: no proxy, no redirect, no connection kept.
var bareClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: 64 << 10},
}

// bareGet is the least that an acquisition can be: one request, and reading its JSON.
func bareGet(
	ctx context.Context, endpoint, resource string,
) (token string, expires time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		endpoint+"?api-version=2019-08-01&resource="+url.QueryEscape(resource), nil)
	if err != nil {
		return "", time.Time{}, err
	}
	req.Header.Set("X-Identity-Header", "header")
	resp, err := bareClient.Do(req)
	if err != nil {
		return "", time.Time{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var t struct {
		AccessToken string `json:"access_token"`
		ExpiresOn   int64  `json:"expires_on,string"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil {
		return "", time.Time{}, err
	}
	if resp.StatusCode != http.StatusOK || t.AccessToken == "" {
		return "", time.Time{}, fmt.Errorf("the fake answers %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return t.AccessToken, time.Unix(t.ExpiresOn, 0), err
}
