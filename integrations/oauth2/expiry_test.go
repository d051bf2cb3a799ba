package identityoauth2

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"golang.org/x/oauth2"
)

func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		left, refresh, want time.Duration // refresh 0: there is none
	}{
		"fresh":                     {24 * time.Hour, 12 * time.Hour, 12*time.Hour + 10*time.Second},
		"due":                       {12 * time.Hour, -time.Second, 11 * time.Second},
		"due in half a second":      {12 * time.Hour, time.Second / 2, 11 * time.Second},
		"just before the end":       {5 * time.Second, -time.Hour, 5 * time.Second},
		"without RefreshOn":         {time.Hour, 0, 30*time.Minute + 10*time.Second},
		"a short one":               {30 * time.Second, 15 * time.Second, 25 * time.Second},
		"RefreshOn at the end":      {time.Minute, time.Minute, time.Minute},
		"RefreshOn behind the end":  {time.Minute, time.Hour, time.Minute},
		"no RefreshOn, nearly over": {time.Second, 0, time.Second},
	} {
		token := azcore.AccessToken{ExpiresOn: now.Add(tt.left)}
		if tt.refresh != 0 {
			token.RefreshOn = now.Add(tt.refresh)
		}
		got := expiry(token, now)
		if got.Sub(now.Round(0)).Round(time.Millisecond) != tt.want {
			t.Errorf("%s: got %v, want %v", name, got.Sub(now), tt.want)
		}
		// Who got it and looks whether it is valid finds it so, unless oauth2's own 10 s say otherwise.
		valid := (&oauth2.Token{AccessToken: "x", Expiry: got}).Valid()
		if want := tt.left > early; valid != want {
			t.Errorf("%s: valid: got %v, want %v", name, valid, want)
		}
	}
}
