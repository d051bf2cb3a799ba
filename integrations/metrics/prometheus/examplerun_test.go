package identityprometheus_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// TestExample: the page of the Example, whose credential finds a stand-in by its variables.
func TestExample(t *testing.T) {
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS"} {
		t.Setenv(name, "") // which counts as unset
	}
	identitytest.NewAppService(nil).Start(t)
	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	page := metricsPage(cred)
	if err := cred.Ready(t.Context(), vault+"/.default"); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	const want = `azure_identity_requests_total{cae="",credential="",host="appservice",identity="",` +
		`resource="https://vault.azure.net",tenant=""} 1` + "\n"
	if !strings.Contains(answer.Body.String(), want) {
		t.Errorf("no %s in\n%s", want, answer.Body)
	}
}
