package identity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// healthPage writes what any credential of this library holds. There is no secret in it.
func healthPage(cred identity.Reporter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(cred.Statuses())
	})
}

// A health page of whichever credential the program uses, here the default one: on a laptop it has
// the developer's tool.
func ExampleReporter() {
	defer standIn(identitytest.NewAppService)() // leave out: this is Azure

	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(context.Background(), "https://vault.azure.net/.default"); err != nil {
		log.Fatal(err)
	}
	page := httptest.NewRecorder()
	healthPage(cred).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/healthz", nil))

	var statuses []identity.Status
	if err := json.Unmarshal(page.Body.Bytes(), &statuses); err != nil {
		log.Fatal(err)
	}
	host := statuses[0] // the developer's tools come after it
	for _, r := range host.Resources {
		mean := r.AcquisitionTime / time.Duration(max(r.Acquisitions, 1))
		fmt.Println(host.Host, r.Resource, "ends in", time.Until(r.ExpiresOn).Round(time.Hour))
		fmt.Println(r.Acquisitions, "acquisition, in less than 5 s:", mean < 5*time.Second)
	}
	// Output:
	// App Service https://vault.azure.net ends in 24h0m0s
	// 1 acquisition, in less than 5 s: true
}
