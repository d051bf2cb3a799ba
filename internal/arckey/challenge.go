package arckey

import (
	"net/http"
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
)

// Realm finds the realm of a Basic challenge, which is the path of a key. The agent sends it
// without quotes.
func Realm(h http.Header) (string, bool) {
	for _, challenge := range h.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		name, realm, ok := strings.Cut(strings.TrimSpace(parameters), "=")
		if !ok || !strings.EqualFold(scheme, "Basic") ||
			!strings.EqualFold(strings.TrimSpace(name), "realm") {
			continue
		}
		realm = strings.TrimSpace(realm)
		if quoted, ok := strings.CutPrefix(realm, `"`); ok {
			if inside, _, ok := strings.Cut(quoted, `"`); ok {
				return inside, inside != ""
			}
		}
		if at := furtherParameter.Get().FindStringIndex(realm); at != nil {
			realm = strings.TrimSpace(realm[:at[0]])
		}
		return realm, strings.Trim(realm, ", ") != ""
	}
	return "", false
}

// furtherParameter is where another parameter begins, as distinct from a comma in a path.
var furtherParameter = lazy.Regexp{Expr: `,\s*[A-Za-z0-9_-]+\s*=`}
