package identity

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const otherGUID = "99999999-2222-3333-4444-555555555555"

// TestMismatchIsAnError: through the whole of GetToken, and the token is not kept.
func TestMismatchIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tokenOfAnother := jwtOf(`{"appid":"another"}`)
		cred := onIMDS(t, always(200, grantBody(tokenOfAnother, time.Hour)), func(o *CredentialOptions) {
			o.ID = ClientID(guid)
		})
		for range 2 {
			e, _ := mustFail(t, cred)
			want := "identity: IMDS: 200: the host returned a token of another identity " +
				"(token for https://vault.azure.net, 1 attempt, 0s): asked for client ID " + guid +
				", got the token of another: is the identity assigned, and does this host support " +
				"selecting one?"
			if diff := cmp.Diff(want, e.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if !errors.Is(e, ErrIdentityMismatch) || errors.Is(e, ErrIdentityNotFound) ||
				errors.Is(e, ErrUnavailable) {
				t.Errorf("sentinels are off: %v", e)
			}
			if e.RawResponse != nil {
				t.Error("RawResponse has the body with the token")
			}
			time.Sleep(time.Minute)
		}
	})
}
