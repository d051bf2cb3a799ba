package commandline

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/keyless-go/identity"
)

// Federation is what -application and -assertion say: an application that has no secret, and where
// the assertion comes from that proves to Entra who asks.
type Federation struct {
	Application identity.ClientID
	kind, value string // of the assertion: what stands before and behind the colon
}

// The kinds of -assertion.
const (
	ofIdentity  = "identity"
	ofFile      = "file"
	ofGitHub    = "github"
	ofPipelines = "pipelines"
)

// AddTo adds the two flags.
func (f *Federation) AddTo(flags *flag.FlagSet) {
	flags.String("application", "", "")
	flags.String("assertion", ofIdentity, "")
}

// Asked reports whether there is an application. Without one there is no assertion.
func (f *Federation) Asked() bool { return f.Application != "" }

// OfIdentity reports whether the assertion is the token of this machine's own identity.
func (f *Federation) OfIdentity() bool { return f.kind == ofIdentity }

// Read is called when the flags have been parsed.
func (f *Federation) Read(flags *flag.FlagSet) error {
	given := Given(flags)
	application, assertion := flags.Lookup("application").Value.String(),
		flags.Lookup("assertion").Value.String()
	switch {
	case given["application"] && application == "":
		return errors.New("-application is empty: want the client ID of an application")
	case !given["application"] && given["assertion"]:
		return errors.New("-assertion is for -application")
	case !given["application"]:
		return nil
	}
	f.Application = identity.ClientID(application)
	var colon bool
	f.kind, f.value, colon = strings.Cut(assertion, ":")
	// Behind a colon some have a value, and the others no colon.
	wants, known := map[string]bool{
		ofIdentity: false, ofFile: true, ofGitHub: false, ofPipelines: true,
	}[f.kind]
	if !known || wants != colon || wants && f.value == "" {
		return fmt.Errorf("-assertion %q: want identity, file:PATH, github or pipelines:ID", assertion)
	}
	return nil
}

// String says in words where the assertion comes from.
func (f *Federation) String() string {
	switch f.kind {
	case ofFile:
		return "the token in " + f.value
	case ofGitHub:
		return "GitHub's token for this job"
	case ofPipelines:
		return "Azure Pipelines' token for the service connection " + f.value
	}
	return "the token of this machine's identity"
}

// Credential makes the application's credential in a tenant. Where the assertion is a token of this
// machine's own identity, own has the options for that.
func (f *Federation) Credential(
	tenant string, own *identity.CredentialOptions, options *identity.FederatedCredentialOptions,
) (*identity.FederatedCredential, error) {
	var assertion identity.Assertion
	switch f.kind {
	case ofFile:
		assertion = identity.FileAssertion(f.value)
	case ofGitHub:
		assertion = identity.GitHubActionsAssertion()
	case ofPipelines:
		assertion = identity.AzurePipelinesAssertion(f.value)
	case ofIdentity:
		credential, err := identity.NewCredential(own)
		if err != nil {
			return nil, err
		}
		assertion = identity.CredentialAssertion(credential)
	}
	return identity.NewFederatedCredential(tenant, f.Application, assertion, options)
}
