package identity

import (
	"time"

	"github.com/keyless-go/identity/internal/token"
)

// grant is a token as a host granted it.
type grant struct {
	token     string
	expiresOn time.Time     // by the wall clock, UTC
	refreshIn time.Duration // from the time of the answer; 0 if the host didn't say
	ofUser    bool          // a person's, on a host whose tokens should be a managed identity's
}

func grantFrom(t token.Token) grant {
	return grant{token: t.Value, expiresOn: t.ExpiresOn, refreshIn: t.RefreshIn}
}
