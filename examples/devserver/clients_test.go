package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// withoutHosts takes away the variables by which a host is found, so that the machine's own don't
// decide.
func withoutHosts(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT",
		"IDENTITY_HEADER",
		"IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET",
		"AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID",
	} {
		t.Setenv(name, "")
	}
}

// start serves the handler on loopback, and sets the variables by which programs find it, and no
// others.
func (f fixture) start(t *testing.T, p protocol) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	withoutHosts(t)
	address := strings.TrimPrefix(server.URL, "http://")
	lines := startUp{config: config{protocols: []protocol{p}, hostName: "127.0.0.1"}, address: address,
		secret: f.secret}.variables()
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
}

// get is what a program does that runs on Azure. Its cache is its own.
func get(t *testing.T, id identity.ID) (azcore.AccessToken, error) {
	t.Helper()
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ID: id, ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{vault + "/.default"}})
}

// TestThisLibrary: its own credential gets the developer's token by either protocol.
func TestThisLibrary(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t)
			f.start(t, p)
			token, err := get(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token.Token != f.developer.token.Token || !token.ExpiresOn.Equal(f.expires) {
				t.Errorf("got %+v, want the developer's token until %v", token, f.expires)
			}
		})
	}
}

// TestThisLibraryRefused: what the developer has to do is in the error, after one request.
func TestThisLibraryRefused(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t, "accepted")
			f.start(t, p)
			check := func(id identity.ID, status int, is error, want string) {
				t.Helper()
				_, err := get(t, id)
				e, ok := errors.AsType[*identity.AuthenticationError](err)
				if !ok || e.Attempts != 1 || e.StatusCode != status || !strings.Contains(err.Error(), want) ||
					is != nil && !errors.Is(err, is) {
					t.Errorf("ID %v: got %v, want one with status %d and %q after 1 attempt", id, err, status,
						want)
				}
			}
			check(identity.ClientID(nobody), 400, identity.ErrIdentityNotFound,
				"leave the ID out on this machine")
			// The developer accepts it, this library doesn't: it looks whose token it is.
			check(identity.ClientID("accepted"), 200, identity.ErrIdentityMismatch, cliClient)
			f.developer.err = errors.New("run az login")
			check(nil, 424, nil, "run az login")
		})
	}
}

// TestManyClients is for the race detector.
func TestManyClients(t *testing.T) {
	f := newFixture(t, nobody)
	f.start(t, imds)
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			if _, err := get(t, nil); err != nil {
				t.Error(err)
			}
			r := good(appService)
			set("client_id", nobody)(r)
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("status %d, want 200", w.Code)
			}
		})
	}
	clients.Wait()
	if n := len(f.developer.scopes()); n != 100 {
		t.Errorf("the credential was asked %d times, want 100", n)
	}
}
