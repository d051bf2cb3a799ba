package identity

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"runtime"

	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/command"
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
	return check.URL(variable, env.getenv(variable), example)
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
	if err := check.Secret(secretVariable, secret); err != nil {
		return nil, "", err
	}
	return u, secret, nil
}
