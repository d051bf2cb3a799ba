package assertion

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// maxAssertion is far above a service account's token, of about 1 KiB, and an Entra token with many
// groups in it.
const maxAssertion = 64 << 10

// Check refuses what can't be an assertion now, before it is sent. Entra would refuse it, too, with
// less to say of it. Neither a signature nor a beginning is looked at: the one is Entra's business,
// the other often is a moment ahead of this machine's clock.
func Check(s Source, assertion string, now time.Time) error {
	fail := func(what string) error { return errors.New(s.Name() + ": the assertion " + what) }
	switch {
	case strings.TrimSpace(assertion) == "":
		return failure.InAWhile(fail("is empty"))
	case len(assertion) > maxAssertion:
		return fail(fmt.Sprintf("is larger than %d bytes", maxAssertion))
	case strings.ContainsFunc(assertion, func(r rune) bool { return !inJWT(r) }),
		!token.ClaimsOf(assertion).Readable:
		return fail("is no JWT")
	}
	end, dated := token.UnixDate(string(token.ClaimsOf(assertion).Exp))
	if dated && !now.Before(end) {
		return failure.InAWhile(fail("ended at " + end.UTC().Format(time.RFC3339) + ", " +
			redact.Round(now.Sub(end)).String() + " ago: is this machine's clock right?"))
	}
	return nil
}

// inJWT reports whether a JWT has such a character.
func inJWT(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r == '-' || r == '_' || r == '.'
}
