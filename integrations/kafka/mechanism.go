package identitykafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyless-go/identity/integrations/kafka/internal/eventhubs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// Mechanism returns OAUTHBEARER, for a client whose other options are its own. It can't tell
// whether the client uses TLS: see that it does. The client asks it for each connection and
// re-authentication. It blocks as the credential's GetToken does, or up to 2 s longer, until the
// client is closed.
func (a *Auth) Mechanism() sasl.Mechanism { return mechanism{a} }

type mechanism struct{ auth *Auth }

func (mechanism) Name() string { return "OAUTHBEARER" }

// Authenticate implements sasl.Mechanism.
func (m mechanism) Authenticate(
	ctx context.Context, broker string,
) (sasl.Session, []byte, error) {
	inner := oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, err := m.auth.source.Token(ctx, broker)
		return oauth.Auth{Token: token, Extensions: m.auth.extensions}, err
	})
	s, first, err := inner.Authenticate(ctx, broker)
	if err != nil {
		return nil, nil, err
	}
	return &session{Session: s, auth: m.auth, broker: broker}, first, nil
}

// session is one authentication.
type session struct {
	sasl.Session
	auth   *Auth
	broker string
}

// Challenge implements sasl.Session. A challenge is the broker's refusal. The client would send
// another message and return the answer to that, which needn't repeat why, so this ends it here.
func (s *session) Challenge(challenge []byte) (bool, []byte, error) {
	if len(challenge) == 0 {
		return s.Session.Challenge(challenge)
	}
	return false, nil, s.auth.source.Refused(fmt.Errorf("%s: %w: %s",
		s.broker, kerr.SaslAuthenticationFailed, eventhubs.Words(string(challenge))))
}

// Explain returns err, which a client has returned, with more to it if a broker has refused a
// token: what the token was for, whose it was, and what to check. Any other error, and nil, it
// returns as it is. In the result errors.Is finds what it finds in err.
func (a *Auth) Explain(err error) error {
	if !errors.Is(err, kerr.SaslAuthenticationFailed) {
		return err
	}
	return a.source.Refused(err)
}
