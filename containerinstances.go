package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/transport"
)

// containerInstances is the token service of a Windows container group. It seems to be made from
// Service Fabric's: it answers in the same way, but without TLS, and it has a selector.
//
// https://learn.microsoft.com/azure/container-instances/container-instances-managed-identity#managed-identity-on-windows-containers
type containerInstances struct{ variableHost }

func newContainerInstances(env environment, options settings) (anyHost, error) {
	const by = "give the identity's principal ID, as an ObjectID"
	if err := options.onlySelects(HostContainerInstances, by, ObjectID("")); err != nil {
		return nil, err
	}
	s := &containerInstances{variableHost{is: HostContainerInstances, env: env, id: options.ID}}
	return s.checked(s)
}

// Call: the api-version is in the endpoint's own query, and stays.
func (s *containerInstances) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	const example = "http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0"
	endpoint, secret, err := s.env.endpointAndSecret(envEndpoint, envHeader, example)
	if err != nil {
		return acquire.Call{}, err
	}
	// The api-version is the one part of a query that errors show, so nothing else may stand there.
	version := endpoint.Query().Get("api-version")
	if strings.ContainsFunc(version, notInVersion) {
		return acquire.Call{}, errors.New(envEndpoint +
			": its api-version has characters that no version has: want a URL such as " + example)
	}
	if endpoint.Scheme != "https" && !check.IsNearby(endpoint.Hostname()) {
		return acquire.Call{}, errors.New(envEndpoint +
			": is plain http, and neither a private address nor this machine: the secret of " +
			envHeader + " is not sent there: want a URL such as " + example)
	}
	selector, value := selected(s.id).Parameter("", "principalId", "")
	return acquire.Call{
		Method: http.MethodGet,
		URL:    transport.WithQuery(endpoint, selector, value, "resource", r.Resource),
		Header: transport.Header("Secret", secret),
		Secret: secret,
	}, nil
}

// Proof implements acquire.Proves.
func (s *containerInstances) Proof() string { return s.env.getenv(envHeader) }

func notInVersion(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '.' && r != '-'
}

// NotAssigned: 404 DefaultIdentityNotDefined for want of a system-assigned identity. Service
// Fabric's code for an identity that it doesn't know has the same status.
func (s *containerInstances) NotAssigned(status int, said failure.Said) bool {
	return status == http.StatusNotFound &&
		(said.Code == "DefaultIdentityNotDefined" || said.Code == "ManagedIdentityNotFound")
}

func (s *containerInstances) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return s.silentHint(envEndpoint) + " Windows containers in a virtual network can't reach it"
	case s.NotAssigned(status, said) && s.id != nil:
		return "is " + inWords(s.id) +
			" the principal ID of an identity that is assigned to this container group?"
	case s.NotAssigned(status, said):
		return "has this container group a system-assigned identity? " +
			"Set CredentialOptions.ID to the ObjectID of a user-assigned one"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the endpoint refused " + envHeader + ": was the variable changed?"
	}
	return ""
}
