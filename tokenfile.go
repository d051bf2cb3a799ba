package identity

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/smallfile"
)

// tokenFile is the projected token as a source of assertions.
type tokenFile string

func (f tokenFile) Get(context.Context, assertion.Request) (string, error) {
	return readAssertion(string(f))
}

func (f tokenFile) Proof() string { return string(f) }
func (f tokenFile) Name() string  { return "the token in " + redact.Quoted(string(f)) }

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
