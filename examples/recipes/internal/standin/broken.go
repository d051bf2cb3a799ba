package standin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// ErrBroken is Broken's.
var ErrBroken = errors.New("no token today")

// Broken is a credential that fails.
type Broken struct{}

// GetToken implements azcore.TokenCredential.
func (Broken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, ErrBroken
}

// Audience is whom a token is for, "" if that can't be read.
func Audience(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(payload)
	var claims struct{ Aud string }
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	return claims.Aud
}
