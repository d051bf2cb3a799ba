package identity

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

// environment is all of the machine that this package looks at: its variables, which files exist,
// and what it is. Each test makes its own.
type environment struct {
	getenv    func(string) string
	exists    func(path string) bool
	forbidden func(path string) bool // whether a path exists may not be seen; nil for never
	chassis   func() string          // the machine's chassis asset tag; nil for none
	goos      string
	run       command.Runner // developers' tools
}

func processEnvironment() environment {
	return environment{
		getenv: os.Getenv,
		exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
		forbidden: func(path string) bool {
			_, err := os.Stat(path)
			return errors.Is(err, fs.ErrPermission)
		},
		chassis: chassis.Tag,
		goos:    runtime.GOOS,
		run:     command.Run,
	}
}

// The variables that more than one file reads. Those of one host alone are in its file.
const (
	envEndpoint   = "IDENTITY_ENDPOINT"
	envHeader     = "IDENTITY_HEADER"
	envThumbprint = "IDENTITY_SERVER_THUMBPRINT"
	envIMDS       = "IMDS_ENDPOINT"
	envMSI        = "MSI_ENDPOINT"
	envMSISecret  = "MSI_SECRET"
	envAuthority  = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
	envTokenFile  = "AZURE_FEDERATED_TOKEN_FILE"
	envClientID   = "AZURE_CLIENT_ID"
	envTenantID   = "AZURE_TENANT_ID"

	envTokenCredentials = "AZURE_TOKEN_CREDENTIALS"
)

// has reports whether all of the variables are set to something.
func (env environment) has(names ...string) bool {
	for _, name := range names {
		if env.getenv(name) == "" {
			return false
		}
	}
	return true
}

// onAzureVM reports whether this machine, or the one that this container runs on, is a virtual
// machine of Azure.
func (env environment) onAzureVM() bool {
	return env.chassis != nil && env.chassis() == chassis.Azure
}

// mayNotSee reports whether it can't be seen whether a path exists.
func (env environment) mayNotSee(path string) bool {
	return env.forbidden != nil && env.forbidden(path)
}

// without is an environment in which a variable is not set.
func (env environment) without(name string) environment {
	getenv := env.getenv
	env.getenv = func(n string) string {
		if n == name {
			return ""
		}
		return getenv(n)
	}
	return env
}

// endpoint reads the URL that a variable names.
func (env environment) endpoint(variable, example string) (*url.URL, error) {
	return parseEndpoint(variable, env.getenv(variable), example)
}

// endpointAndSecret reads the URL and the secret that two variables hold.
func (env environment) endpointAndSecret(
	variable, secretVariable, example string,
) (*url.URL, string, error) {
	u, err := env.endpoint(variable, example)
	if err != nil {
		return nil, "", err
	}
	secret := env.getenv(secretVariable)
	if err := validateSecret(secretVariable, secret); err != nil {
		return nil, "", err
	}
	return u, secret, nil
}

// validateSecret refuses what can't be sent in a header, without repeating it.
func validateSecret(variable, value string) error {
	switch {
	case value == "":
		return errors.New("identity: " + variable + ": is empty")
	case strings.TrimSpace(value) == "": // net/http would send it as an empty one
		return errors.New("identity: " + variable + ": is blank")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("identity: " + variable + ": contains a control character")
	}
	return nil
}

// parseEndpoint checks a URL that came out of an environment variable. Errors name the variable and
// don't repeat the value, which may contain a password.
func parseEndpoint(variable, value, example string) (*url.URL, error) {
	fail := func(why string) (*url.URL, error) {
		return nil, errors.New("identity: " + variable + ": " + why + ": want a URL such as " + example)
	}
	if around := strayWhiteSpace(value); around != "" {
		return fail(around + ", a blank or a control character")
	}
	stray := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
	if strings.ContainsFunc(value, stray) {
		return fail("contains a blank or a control character")
	}
	u, err := url.Parse(value)
	switch {
	case value == "":
		return fail("is empty")
	case err != nil:
		return fail("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fail("is neither http nor https")
	case u.User != nil:
		return fail("contains user info")
	case u.Hostname() == "":
		return fail("has no host")
	case strings.Contains(u.EscapedPath(), "@"):
		return fail("has an @ in its path")
	case u.Fragment != "":
		return fail("contains a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fail("has an impossible port")
		}
	}
	return u, nil
}

// parseHTTPS is parseEndpoint for what leaves the node.
func parseHTTPS(variable, value, example string) (*url.URL, error) {
	u, err := parseEndpoint(variable, value, example)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https":
		return nil, errors.New("identity: " + variable + ": is not https: want a URL such as " +
			example)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("identity: " + variable + ": contains a query: want a URL such as " +
			example)
	}
	return u, nil
}

// validatePath refuses a path that a line's end or a blank has got stuck to. The file would not be
// found, and the path look right.
func validatePath(variable, value string) error {
	switch {
	case strings.TrimSpace(value) != value:
		return errors.New("identity: " + variable + ": " + redact.Quoted(value) +
			" begins or ends with white space")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("identity: " + variable + ": " + redact.Quoted(value) +
			" contains a control character")
	}
	return nil
}

// strayWhiteSpace is what stands around a value that may be a secret: the white space alone,
// visibly. It is "" if there is none.
func strayWhiteSpace(value string) string {
	trimmed := strings.TrimSpace(value)
	if trimmed == value || trimmed == "" {
		return ""
	}
	before, after, _ := strings.Cut(value, trimmed)
	if before == "" {
		return "ends with " + redact.Quoted(after)
	}
	return "begins with " + redact.Quoted(before)
}
