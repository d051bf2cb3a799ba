package identity_test

import (
	"encoding/json"
	"log"
	"net/http"

	"github.com/keyless-go/identity"
)

// healthPage writes what any credential of this library holds. There is no secret in it.
func healthPage(cred identity.Reporter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(cred.Statuses())
	})
}

// A health page of whichever credential the program uses, here the default one: on a laptop it also
// has the developer's tools.
func ExampleReporter() {
	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /healthz", healthPage(cred))
	log.Fatal(http.ListenAndServe("127.0.0.1:8081", nil))
}
