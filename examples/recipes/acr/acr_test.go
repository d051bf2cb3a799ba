package acr_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/recipes/acr"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// pull resolves a tag by ORAS, without any cache of its own.
func pull(t *testing.T, s *registry, credential auth.CredentialFunc) error {
	t.Helper()
	return pullFrom(t, host, s, credential)
}

func pullFrom(t *testing.T, host string, s *registry, credential auth.CredentialFunc) error {
	t.Helper()
	repository, err := remote.NewRepository(host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	repository.Client = &auth.Client{
		Client: &http.Client{Transport: s}, Credential: credential,
	}
	_, err = repository.Resolve(t.Context(), "v1")
	return err
}

// TestCredential pulls for most of a day with one exchange for each refresh token's life. The Entra
// token as a password never works, and a refresh token that is kept works for 3 hours.
func TestCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		azure := standin.New(t)
		s := newRegistry(func(token string) bool { return token == azure.Token(t, acr.Scope) })
		ours := acr.Credential(azure.Credential, &http.Client{Transport: s})
		naivePassword := auth.StaticCredential(host, auth.Credential{
			Username: "00000000-0000-0000-0000-000000000000", Password: azure.Token(t, acr.Scope),
		})
		first, err := ours(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		naiveCapture := auth.StaticCredential(host, first)
		for hour := range 12 {
			if err := pull(t, s, ours); err != nil {
				t.Errorf("hour %d: %v", hour, err)
			}
			if err := pull(t, s, naivePassword); err == nil {
				t.Errorf("hour %d: the Entra token as a password works", hour)
			}
			if err := pull(t, s, naiveCapture); (err == nil) != (hour <= 3) {
				t.Errorf("hour %d: a refresh token that was kept: %v", hour, err)
			}
			time.Sleep(time.Hour)
		}
		if s.exchanges != 4 {
			t.Errorf("%d exchanges in 12 hours, want one for each 3", s.exchanges)
		}
		synctest.Wait()
	})
}

// TestCredentialHosts: the Entra token goes to Azure's registries, and nowhere else.
func TestCredentialHosts(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	for hostport, ok := range map[string]bool{
		"contoso.azurecr.io": true, "Contoso.AzureCR.io": true, "contoso.azurecr.cn": true,
		"contoso.azurecr.us": true, "contoso.azurecr.de": true, "contoso-a1b2.azurecr.io": true,
		"contoso.eastus.geo.azurecr.io": true,
		"azurecr.io":                    false, "docker.io": false,
		"contoso.azurecr.io.example.com": false,
		"contosoazurecr.io":              false, "example.com/.azurecr.io": false, "u@x.azurecr.io": false,
		"contoso.azurecr.io:8443": false, "localhost:5000": false, "example.com#.azurecr.io": false,
		"example.com\n.azurecr.io": false, ".azurecr.io": false, "": false,
	} {
		s := newRegistry(func(string) bool { return true })
		got, err := acr.Credential(azure.Credential, &http.Client{Transport: s})(t.Context(), hostport)
		if err != nil {
			t.Errorf("%q: %v", hostport, err)
		}
		if (got.RefreshToken != "") != ok || len(s.seen) != 0 != ok || got.Password != "" {
			t.Errorf("%q: exchanged %v, hosts that got a token: %v; want %v", hostport,
				got.RefreshToken != "", s.seen, ok)
		}
	}
}

// TestOtherRegistry: a naive function has the token for whoever asks, and a client that pulls from
// another registry sends it there. Ours asks that one as nobody.
func TestOtherRegistry(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	const other = "registry.example.com"
	for name, naive := range map[string]auth.CredentialFunc{
		"as the password": func(ctx context.Context, _ string) (auth.Credential, error) {
			token, err := identity.TokenFunc(azure.Credential, acr.Scope)(ctx)
			return auth.Credential{Username: "00000000-0000-0000-0000-000000000000",
				Password: token}, err
		},
		"as the refresh token": func(ctx context.Context, _ string) (auth.Credential, error) {
			token, err := identity.TokenFunc(azure.Credential, acr.Scope)(ctx)
			return auth.Credential{RefreshToken: token}, err
		},
		"as the access token": func(ctx context.Context, _ string) (auth.Credential, error) {
			token, err := identity.TokenFunc(azure.Credential, acr.Scope)(ctx)
			return auth.Credential{AccessToken: token}, err
		},
	} {
		s := newRegistry(func(token string) bool { return token == azure.Token(t, acr.Scope) })
		_ = pullFrom(t, other, s, naive)
		if !s.seen[other] {
			t.Errorf("naive, %s: the other registry doesn't see the token", name)
		}
	}
	s := newRegistry(func(token string) bool { return token == azure.Token(t, acr.Scope) })
	ours := acr.Credential(azure.Credential, &http.Client{Transport: s})
	_ = pullFrom(t, other, s, ours)
	if len(s.seen) > 0 || s.asked == 0 {
		t.Errorf("the hosts that got a token are %v, after %d requests", s.seen, s.asked)
	}
	if err := pull(t, s, ours); err != nil {
		t.Errorf("Azure's own, afterwards: %v", err)
	}
}

// TestCredentialFails: errors say which registry and what to check, hold no token, and no redirect
// takes the token elsewhere.
func TestCredentialFails(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	for _, status := range []int{401, 403, 307, 308, 500} {
		s := newRegistry(func(string) bool { return true })
		s.refuse = status
		_, err := acr.Credential(azure.Credential, &http.Client{Transport: s})(t.Context(), host)
		if err == nil || !strings.Contains(err.Error(), "acr: exchange at "+host) {
			t.Errorf("%d: %v, want an error that names the registry", status, err)
		} else if strings.Contains(err.Error(), azure.Token(t, acr.Scope)) {
			t.Errorf("%d: the error has the token", status)
		}
		if s.seen["elsewhere.example.com"] {
			t.Errorf("%d: a redirect took the token elsewhere", status)
		}
	}
	s := newRegistry(func(string) bool { return true })
	_, err := acr.Credential(standin.Broken{}, &http.Client{Transport: s})(t.Context(), host)
	if !errors.Is(err, standin.ErrBroken) || s.exchanges != 0 {
		t.Errorf("%v, %d exchanges, want the credential's error and none", err, s.exchanges)
	}
}
