package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/smallfile"
	"github.com/keyless-go/identity/internal/token"
)

// errTokenNotPath doesn't repeat the value, which is a secret.
var errTokenNotPath = errors.New("identity: " + envTokenFile +
	": is a token, not the path of a file that has one")

// maxAssertion is far above a service account's token, of about 1 KiB.
const maxAssertion = 64 << 10

// readAssertion reads the projected token. Errors never repeat a byte of it.
func readAssertion(path string) (string, error) {
	fail := func(why, check string) error {
		return errors.New("identity: " + envTokenFile + ": " + redact.Quoted(path) + ": " + why + ": " +
			check)
	}
	const projected = "is the service account's token projected into this pod " +
		"(label azure.workload.identity/use: \"true\")?"
	content, err := smallfile.Read(path, maxAssertion)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", fail(err.Error(),
			"may this process read it? The token is for the user in securityContext.runAsUser, "+
				"or the group in fsGroup")
	case errors.Is(err, fs.ErrNotExist) || smallfile.IsTemporary(err):
		return "", failure.InAWhile(fail(err.Error(), projected))
	case err != nil:
		return "", fail(err.Error(), projected)
	}
	assertion := strings.TrimSpace(string(content))
	switch {
	case assertion == "": // it is being written
		return "", failure.InAWhile(fail("is empty", projected))
	case strings.ContainsFunc(assertion, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", fail("contains characters that no token has", projected)
	}
	return assertion, nil
}

// presented is what a service account's token says of itself, for who compares it with the
// federated credential: its issuer, subject and audience, which are no secrets. It is "" if there
// is no such token.
func presented(path string) string {
	assertion, err := readAssertion(path)
	if err != nil {
		return ""
	}
	segments := strings.Split(assertion, ".")
	if len(segments) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer   token.Text      `json:"iss"`
		Subject  token.Text      `json:"sub"`
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	audiences := []string{token.TextOf(claims.Audience)}
	var several []string
	if json.Unmarshal(claims.Audience, &several) == nil {
		audiences = several
	}
	var shown []string
	for _, claim := range [][2]string{{"iss", string(claims.Issuer)}, {"sub", string(claims.Subject)},
		{"aud", strings.Join(audiences, " ")}} {
		if claim[1] != "" {
			shown = append(shown, claim[0]+" "+redact.Quoted(redact.Conceal(claim[1], assertion)))
		}
	}
	return strings.Join(shown, ", ")
}

// exchangeAudience is the audience that a service account's token must have in a cloud, which
// Entra's host name tells.
//
// hashicorp/terraform-provider-azurerm#28059 and hashicorp/terraform-provider-azuread#1755 have
// what happens without it.
func exchangeAudience(authority string) string {
	const public = "api://AzureADTokenExchange"
	authority = strings.ToLower(authority)
	for _, cloud := range []struct{ domain, suffix string }{
		{".microsoftonline.us", "USGov"},
		{".chinacloudapi.cn", "China"},
		{".microsoftonline.cn", "China"},
		{".eaglex.ic.gov", "USNat"},
		{".microsoft.scloud", "USSec"},
	} {
		if strings.HasSuffix(authority, cloud.domain) {
			return public + cloud.suffix
		}
	}
	return public
}
