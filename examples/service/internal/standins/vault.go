package standins

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/keyless-go/identity/identitytest"
)

// VaultURL is the Vault's. Key Vault's client checks that the vault is in the domain that the
// challenge names.
const VaultURL = "https://example.vault.azure.net"

// Vault stands in for a Key Vault with one secret, whose value is new with each Version. It is a
// transport: nothing is sent.
type Vault struct {
	Endpoint *identitytest.Endpoint // whose tokens it takes
	Version  atomic.Int64
	Down     atomic.Bool // answers 503
	Reads    atomic.Int64
}

// Do implements policy.Transporter.
func (v *Vault) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	token, err := v.Endpoint.Verify(raw)
	switch {
	case v.Down.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil || token.Resource != "https://vault.azure.net":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/`+
			v.Endpoint.Identities()[0].TenantID+`", resource="https://vault.azure.net"`)
		w.WriteHeader(http.StatusUnauthorized)
	case !strings.HasPrefix(r.URL.Path, "/secrets/signing-key"):
		w.WriteHeader(http.StatusNotFound)
	default:
		v.Reads.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]string{"value": v.Secret()})
	}
	response := w.Result()
	response.Request = r
	return response, nil
}

// Secret is the value of the secret.
func (v *Vault) Secret() string { return "made up, version " + string(rune('1'+v.Version.Load())) }
