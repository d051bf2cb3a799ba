package identity

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// jwtOf is a token with the given claims, a JSON object. Its signature is none.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}

// TestEndsBeyondAllYears: whatever a host says, the token is renewed.
func TestEndsBeyondAllYears(t *testing.T) {
	for _, expiresOn := range []string{"32503680000", "253402300799", `"9999-12-31T23:59:59Z"`} {
		t.Run(expiresOn, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, always(200, `{"access_token":"t","expires_on":`+expiresOn+`}`))
				if tk, _ := mustToken(t, cred); time.Until(tk.RefreshOn) > 24*time.Hour {
					t.Errorf("renewed in %v: a role that was granted meanwhile would never show",
						time.Until(tk.RefreshOn))
				}
			})
		})
	}
}

func TestAcceptedStatuses(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusAccepted} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for _, env := range []environment{nowhere(), appServiceAt()} {
					mustToken(t, credentialAt(t, env, always(status, grantBody("t", time.Hour))))
				}
			})
		})
	}
}
