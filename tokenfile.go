package identity

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// errTokenNotPath doesn't repeat the value, which is a secret.
var errTokenNotPath = errors.New("identity: " + envTokenFile + ": is a token, not the path of a file that has one")

// maxAssertion is far above a service account's token, of about 1 KiB.
const maxAssertion = 64 << 10

// readAssertion reads the projected token. Errors never repeat a byte of it.
func readAssertion(path string) (string, error) {
	if jwtLike.MatchString(path) {
		return "", errTokenNotPath
	}
	fail := func(why string) (string, error) {
		return "", errors.New("identity: " + envTokenFile + ": " + oneLine(path) + ": " + why + ": is the service account's token projected into this pod (label azure.workload.identity/use: \"true\")?")
	}
	content, err := readFile(path, maxAssertion)
	if err != nil {
		return fail(err.Error())
	}
	assertion := strings.TrimSpace(string(content))
	switch {
	case assertion == "":
		return fail("is empty")
	case strings.ContainsFunc(assertion, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fail("contains characters that no token has")
	}
	return assertion, nil
}

// readFile reads a file of limited size. Errors don't repeat the path.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, bareFileError(err)
	case !info.Mode().IsRegular(): // reading a pipe could take for ever
		return nil, errors.New("is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bareFileError(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, bareFileError(err)
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return content, nil
}

// bareFileError is what the system said, without the path.
func bareFileError(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
