package identity_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/keyless-go/identity"
)

// readiness answers 204 once the tokens are there. It sends no request while they are, and answers
// sooner than the probe's timeoutSeconds, which is 1 by default.
func readiness(cred *identity.Credential) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 900*time.Millisecond)
		defer cancel()
		if err := cred.Ready(ctx, "https://vault.azure.net/.default",
			"https://storage.azure.com/.default"); err != nil {
			// There is no secret in it, and kubectl describe pod shows it.
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// A readiness check for Kubernetes: traffic comes once the identity's tokens are there.
func ExampleCredential_Ready_readinessProbe() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /readyz", readiness(cred))
	log.Fatal(http.ListenAndServe(":8080", nil))
}
