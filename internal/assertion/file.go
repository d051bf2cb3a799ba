package assertion

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/smallfile"
)

// File is a file into which somebody else writes an assertion, and another one before that ends. It
// is read at each Get.
type File struct {
	path   string
	named  string // the variable or the function that the path came by
	absent string // what to check if there is no token in it
	denied string // what to check if it may not be read
}

// NewFile returns the file that FileAssertion names.
func NewFile(path string) (*File, error) {
	const named = "FileAssertion"
	if path == "" {
		return nil, errors.New(named + ": is empty: want the path of a file that has a " +
			"token")
	}
	return newFile(&File{
		path: path, named: named,
		absent: "is the directory mounted, and does what writes the token run?",
		denied: "may this process read it?",
	})
}

// NewProjectedFile returns a pod's file, which the variable AZURE_FEDERATED_TOKEN_FILE names.
func NewProjectedFile(path string) (*File, error) {
	const named = "AZURE_FEDERATED_TOKEN_FILE"
	if path == "" {
		return nil, errors.New(named + ": is empty: does the pod have the label " +
			"azure.workload.identity/use: \"true\", and does its service account exist?")
	}
	return newFile(&File{
		path: path, named: named,
		absent: "is the service account's token projected into this pod " +
			"(label azure.workload.identity/use: \"true\")?",
		denied: "may this process read it? The token is for the user in securityContext.runAsUser, " +
			"or the group in fsGroup",
	})
}

func newFile(f *File) (*File, error) {
	if redact.Token(f.path) != f.path { // which is a secret, and not repeated
		return nil, errors.New(f.named + ": is a token, not the path of a file that has " +
			"one")
	}
	return f, check.Path(f.named, f.path)
}

// Proof implements Source.
func (f *File) Proof() string { return f.path }

// Name implements Source.
func (f *File) Name() string { return "the token in " + redact.Quoted(f.path) }

// maxToken is far above a service account's token, of about 1 KiB.
const maxToken = 64 << 10

// Get implements Source. A file that isn't there or is empty may be one that is yet to be written.
func (f *File) Get(context.Context, Request) (string, error) {
	content, err := smallfile.Read(f.path, maxToken)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", f.fail(err.Error(), f.denied)
	case errors.Is(err, fs.ErrNotExist) || smallfile.IsTemporary(err):
		return "", failure.InAWhile(f.fail(err.Error(), f.absent))
	case err != nil:
		return "", f.fail(err.Error(), f.absent)
	}
	token := strings.TrimSpace(string(content))
	switch {
	case token == "": // it is being written
		return "", failure.InAWhile(f.fail("is empty", f.absent))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", f.fail("contains characters that no token has", f.absent)
	}
	return token, nil
}

// fail never repeats a byte of what is in the file.
func (f *File) fail(why, check string) error {
	return errors.New(f.named + ": " + redact.Quoted(f.path) + ": " + why + ": " + check)
}
