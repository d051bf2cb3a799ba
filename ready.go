package identity

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/chain"
)

// readyPoll is how often Ready looks again. It costs no request while a cool-down lasts, and that
// is at least as long.
const readyPoll = 500 * time.Millisecond

// Ready returns nil once a valid token is held for each of the scopes. It sends no request for a
// scope that has one already. It waits through start-up and unavailability, and has no limit of its
// own: it blocks until ctx ends, and then returns the last failure, in which errors.Is finds
// ctx.Err(). It also waits for workload identity's token file, and for a federated credential that
// Entra doesn't find yet. What waiting can't mend, such as an identity that isn't assigned, a
// certificate that isn't accepted, or an empty scope, it returns at once. It is safe for concurrent
// use, and meant for start-up and for readiness probes.
func (c *Credential) Ready(ctx context.Context, scopes ...string) error {
	return ready(ctx, c, scopes)
}

// ready is Ready for any credential of this package.
func ready(ctx context.Context, cred azcore.TokenCredential, scopes []string) error {
	if len(scopes) == 0 {
		return errors.New("identity: Ready: no scope: " +
			"want at least one such as https://vault.azure.net/.default")
	}
	for _, scope := range scopes {
		if err := readyFor(ctx, cred, scope); err != nil {
			return err
		}
	}
	return nil
}

func readyFor(ctx context.Context, cred azcore.TokenCredential, scope string) error {
	ask := askFunc("Ready", cred, scope)
	var last error // the last one that may pass
	for {
		_, err := ask(ctx, "")
		switch {
		case !passes(err): // nil, too
			return err
		case ctx.Err() != nil && last == nil:
			return err
		case ctx.Err() != nil:
			return unready(last, ctx.Err())
		}
		last = err
		timer := time.NewTimer(readyPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Passing reports whether err may pass by itself, so that asking again is worth it;
// [Credential.Ready] waits over the same errors. It knows the errors of this package's credentials,
// also inside the error of an Azure SDK client or a driver. For any other error, and for nil, it is
// false. An outage passes, also where nothing answers yet, and so does the end of a caller's
// context. An identity that isn't assigned, a mistake in a scope, and a refusal of Entra's that
// stays do not pass.
//
// An Azure SDK client whose context ends while it waits for a token returns the context's error
// alone, with nothing of this package in it: ask errors.Is for [context.DeadlineExceeded], too.
func Passing(err error) bool {
	if e, ok := errors.AsType[*chain.Error](err); ok {
		return e.Passes() // it judges those of its sources
	}
	e, ok := errors.AsType[*AuthenticationError](err)
	return ok && e.transient
}

// passes is Passing for an error of a credential of this package itself.
func passes(err error) bool {
	switch e := err.(type) {
	case *AuthenticationError:
		return e.transient
	case *chain.Error:
		return e.Passes()
	}
	return false
}

// unready is such an error for a caller who waited for it to pass, until cause ended the wait.
func unready(err, cause error) error {
	note := "not ready when the context ended: " + cause.Error()
	switch e := err.(type) {
	case *AuthenticationError:
		e.cause = errors.Join(cause, e.cause)
		e.notReady = note
	case *chain.Error:
		e.Waited(note, cause)
	}
	return err
}

// askFunc asks cred for a scope's token as Azure SDK clients ask, with the claims of a challenge or
// "". what names the caller in errors.
func askFunc(
	what string, cred azcore.TokenCredential, scope string,
) func(ctx context.Context, claims string) (azcore.AccessToken, error) {
	usual := clientOptions(scope, "") // made once: azcore's policy, too, has one slice for all calls
	return func(ctx context.Context, claims string) (azcore.AccessToken, error) {
		if cred == nil {
			return azcore.AccessToken{}, errors.New("identity: " + what +
				": nil credential: want one, such as one of NewCredential")
		}
		options := usual
		options.Claims = claims
		token, err := cred.GetToken(ctx, options)
		if err == nil && token.Token == "" {
			err = errors.New("identity: " + what + ": the credential returned an empty token")
		}
		return token, err
	}
}
