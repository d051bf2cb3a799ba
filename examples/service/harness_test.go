package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/service/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// world is a service, and what it meets, in memory: nothing is sent, so that tests run in parallel,
// and in bubbles of testing/synctest.
type world struct {
	host          *identitytest.Endpoint
	vault         *standins.Vault
	database      *standins.Database
	log           *buffer
	service       *service
	public, admin http.Handler
}

// newWorld makes one that is closed with the test. The service has a credential of its own, which
// shares no token with another test's.
func newWorld(t *testing.T) *world { return newWorldWith(t, nil) }

// newWorldWith makes one with a real database, if real isn't nil.
func newWorldWith(t *testing.T, real *standins.Postgres) *world {
	t.Helper()
	w := &world{log: new(buffer)}
	options := &identitytest.Options{
		Identities: []identitytest.Identity{standins.UserAssigned("orders")},
	}
	if real != nil {
		options.Identities[0], options.Issued = standins.UserAssigned(real.Role), real.Issued
	}
	w.host = identitytest.NewIMDS(options)
	w.vault = &standins.Vault{Endpoint: w.host}
	w.database = &standins.Database{Endpoint: w.host}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.host},
		Host:          identity.HostIMDS,
		ID:            identity.ClientID(w.host.Identities()[0].ClientID),
		Logger:        log,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config{vaultURL: standins.VaultURL, vault: w.vault,
		databaseURL: standins.DatabaseURL, dial: w.database.Dial}
	if real != nil {
		cfg.databaseURL, cfg.dial = real.URL, nil
	}
	w.service, err = newService(cfg, cred, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.service.db.Close)
	w.public, w.admin = w.service.handlers()
	return w
}

// readKey has the key read once, as serve does in the background.
func (w *world) readKey(t *testing.T) {
	t.Helper()
	if err := w.service.key.read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// get is a request and its answer.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer
}

// mustServe has the service answer with the order.
func (w *world) mustServe(t *testing.T) {
	t.Helper()
	answer := get(t, w.public, "/orders/1")
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "tea") {
		t.Fatalf("%d %s, want the order; the log:\n%s", answer.Code, answer.Body, w.log)
	}
}

// buffer is one that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
