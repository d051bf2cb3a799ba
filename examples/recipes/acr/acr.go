// Package acr pulls from and pushes to Azure Container Registry with a managed identity, by ORAS. A
// registry takes no token of Entra's as a password: it exchanges one for its own refresh token,
// from which clients get what each repository takes.
package acr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Scope is the same in all clouds.
const Scope = "https://containerregistry.azure.net/.default"

// registry are the hosts that may get an Entra token: Azure's, on the usual port.
var registry = regexp.MustCompile(`(?i)^([a-z0-9-]+\.)+azurecr\.(io|cn|us|de)$`)

// Credential is for an auth.Client of ORAS. Other hosts than Azure's registries get nothing, so
// that they are asked anonymously. A registry's refresh token is kept until 5 minutes before its
// end; callers that need one at the same time may each make an exchange, which hurts nobody. client
// sends the exchange; nil means http.DefaultClient.
func Credential(cred azcore.TokenCredential, client *http.Client) auth.CredentialFunc {
	if client == nil {
		client = http.DefaultClient
	}
	stay := *client
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	entra := identity.TokenFunc(cred, Scope)
	var mu sync.Mutex // not held over an exchange
	held := map[string]refreshToken{}
	return func(ctx context.Context, hostport string) (auth.Credential, error) {
		host := strings.ToLower(hostport)
		if !registry.MatchString(host) {
			return auth.EmptyCredential, nil
		}
		mu.Lock()
		token, ok := held[host]
		mu.Unlock()
		if ok && time.Until(token.expires) > 5*time.Minute {
			return auth.Credential{RefreshToken: token.value}, nil
		}
		access, err := entra(ctx)
		if err != nil {
			return auth.EmptyCredential, err
		}
		if token, err = exchange(ctx, &stay, host, access); err != nil {
			return auth.EmptyCredential, fmt.Errorf("acr: exchange at %s: %w", host, err)
		}
		mu.Lock()
		held[host] = token
		mu.Unlock()
		return auth.Credential{RefreshToken: token.value}, nil
	}
}

type refreshToken struct {
	value   string
	expires time.Time
}

// exchange has no token in its errors, and none of the registry's text, which might quote one.
func exchange(
	ctx context.Context, client *http.Client, host, access string,
) (token refreshToken, err error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {access}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/oauth2/exchange",
		strings.NewReader(form.Encode()))
	if err != nil {
		return token, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(r)
	if err != nil {
		return token, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return token, fmt.Errorf("%d: has the identity a role on the registry, such as AcrPull?",
			answer.StatusCode)
	}
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 1<<20)).Decode(&body); err != nil {
		return token, fmt.Errorf("the answer isn't JSON: %T", err)
	}
	parts := strings.Split(body.RefreshToken, ".")
	if len(parts) != 3 {
		return token, fmt.Errorf("the refresh token has %d parts, want 3", len(parts))
	}
	var claims struct{ Exp int64 }
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return token, fmt.Errorf("the refresh token's end can't be read")
	}
	return refreshToken{body.RefreshToken, time.Unix(claims.Exp, 0)}, nil
}
