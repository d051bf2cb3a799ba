package failure

import (
	"errors"
	"fmt"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/usercode"
)

// ErrAborted is the Cause where an acquisition never returned: a panic in the user's code is
// recovered, as net/http would in the caller's goroutine, and a runtime.Goexit (testing.T.FailNow
// in a fake) ends the goroutine of the acquisition only.
var ErrAborted = errors.New(
	"the request for a token was aborted by the Transport or a policy in CredentialOptions")

// Aborted is the failure of an acquisition whose goroutine has ended.
func Aborted() *Failure {
	return &Failure{Line: Line{What: ErrAborted.Error()}, Cause: ErrAborted}
}

// Panicked is the failure of an acquisition that has panicked with p. Its text has none of the
// secrets.
func Panicked(p any, secrets ...string) *Failure {
	said := "something that can't be printed"
	// Its own methods may do anything.
	usercode.Shielded(func() { said = redact.Line(redact.Text(fmt.Sprint(p), secrets...)) })
	f := Aborted()
	f.What += ", which panicked: " + said
	return f
}
