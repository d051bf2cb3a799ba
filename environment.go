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
	"github.com/keyless-go/identity/internal/detect"
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

// machine is the part of it that says which host this is.
func (env environment) machine() detect.Machine {
	return detect.Machine{Getenv: env.getenv, Exists: env.exists, Forbidden: env.forbidden,
		Chassis: env.chassis, GOOS: env.goos}
}

// The variables that more than one file reads. Those of one host alone are in its file.
const (
	envEndpoint   = detect.EnvEndpoint
	envHeader     = detect.EnvHeader
	envThumbprint = detect.EnvThumbprint
	envIMDS       = detect.EnvIMDS
	envMSI        = detect.EnvMSI
	envMSISecret  = detect.EnvMSISecret
	envAuthority  = detect.EnvAuthority
	envTokenFile  = detect.EnvTokenFile
	envClientID   = detect.EnvClientID
	envTenantID   = detect.EnvTenantID

	envTokenCredentials = detect.EnvTokenCredentials
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
