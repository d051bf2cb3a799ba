package main

import (
	"os"
	"testing"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/service/internal/standins"
)

// TestPostgres: a real server takes the token as the password. When it takes another one only, new
// connections have that, and open ones live on.
func TestPostgres(t *testing.T) {
	t.Parallel()
	if os.Getenv("IDENTITY_TEST_POSTGRES") == "" {
		t.Skip("IDENTITY_TEST_POSTGRES names no PostgreSQL server, such as " +
			"postgres://postgres:PASSWORD@127.0.0.1:5432/postgres; .ci/run starts one")
	}
	real, _, err := standins.StartPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(real.Stop)
	w := newWorldWith(t, real)
	w.readKey(t)
	w.mustServe(t)

	_, changed, err := w.service.cred.(*identity.Credential).Refresh(t.Context(), databaseScope)
	if err != nil || !changed {
		t.Fatalf("another token: %v, %v", changed, err)
	}
	w.mustServe(t)
	w.service.db.Reset() // closes the connections
	w.mustServe(t)
	if n := w.service.db.Stat().NewConnsCount(); n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
}
