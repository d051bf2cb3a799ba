package identity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/detect"
)

// job is a service that runs jobs, and gives them tokens that an application can trust.
type job struct {
	name   string // in messages
	choice string // what AZURE_TOKEN_CREDENTIALS calls it
	needs  []string
	// the variables that name application and tenant; the first that is set counts
	client, tenant []string
	assertion      func(env environment) Assertion
}

const (
	envConnection = "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"
	envSecret     = "AZURE_CLIENT_SECRET"
	envCertFile   = "AZURE_CLIENT_CERTIFICATE_PATH"
)

// jobs are all of them. Azure Pipelines' tasks for Azure set the variables of a service connection.
//
// https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/azure-cli-v2
var jobs = []job{
	{name: "GitHub Actions", choice: detect.GitHubActions,
		needs:  []string{assertion.EnvGitHubURL, assertion.EnvGitHubToken},
		client: []string{envClientID}, tenant: []string{envTenantID},
		assertion: func(environment) Assertion { return GitHubActionsAssertion() }},
	{name: "Azure Pipelines", choice: detect.AzurePipelines,
		needs: []string{
			assertion.EnvPipelinesURL, assertion.EnvPipelinesToken, envConnection,
		},
		client: []string{envClientID, "AZURESUBSCRIPTION_CLIENT_ID"},
		tenant: []string{envTenantID, "AZURESUBSCRIPTION_TENANT_ID"},
		assertion: func(env environment) Assertion {
			return pipelinesAssertion(envConnection, env.getenv(envConnection))
		}},
}

// first returns the first of some variables that is set, and its value. If none is set, it returns
// the first name and "".
func (env environment) first(names []string) (name, value string) {
	for _, name := range names {
		if value := env.getenv(name); value != "" {
			return name, value
		}
	}
	return names[0], ""
}

// jobFor returns the job that this is, if the default credential is to be its application. It
// returns nil if this is no job, or if another identity was put here on purpose. A machine's own
// identity, of IMDS or Azure Arc, is that of whoever runs the jobs; the variables of other hosts
// are a pod's or an app's. named is the kind of job that AZURE_TOKEN_CREDENTIALS names, whatever
// else is set.
func jobFor(env environment, id ID, named string, anyJob bool) (*job, error) {
	for i, j := range jobs {
		if named == j.choice {
			return &jobs[i], nil
		}
	}
	host := Host(detect.On(env.machine()).Host)
	if !anyJob || host != HostIMDS && host != HostArc {
		return nil, nil
	}
	for i, j := range jobs {
		_, client := env.first(j.client)
		_, tenant := env.first(j.tenant)
		if !env.has(j.needs...) || client == "" && id == nil || tenant == "" {
			continue
		}
		for _, name := range []string{envSecret, envCertFile} {
			if env.has(name) {
				return nil, errors.New(name + ": is set in a job of " + j.name +
					", whose application needs none: azidentity would be the service principal that has it. " +
					"To be that one, put azidentity's credential into a NewChain; not to, leave the variable " +
					"unset, or set " + envTokenCredentials + "=" + j.choice)
			}
		}
		return &jobs[i], nil
	}
	return nil, nil
}

// newJobCredential makes the credential of a job's application.
func newJobCredential(
	shared *shared, j *job, o settings, env environment, byName bool,
) (*FederatedCredential, error) {
	who := application{named: j.name}
	who.tenantField, who.tenant = env.first(j.tenant)
	field, client := env.first(j.client)
	who.clientField, who.client = field, ClientID(client)
	if o.ID != nil {
		if err := validateID(o.id, o.ID); err != nil {
			return nil, err
		}
		id, ok := o.ID.(ClientID)
		if !ok {
			return nil, errors.New(o.id + ": " + j.name +
				" can't select an identity by " + selected(o.ID).Kind.String() +
				": give a ClientID, or leave ID nil " +
				"for " + strings.Join(j.client, " or "))
		}
		who.clientField, who.client = o.id, id
	}
	c, err := federatedIn(shared, env, o, who, j.assertion(env))
	if err != nil && byName {
		return nil, fmt.Errorf("%s is %s: %w", envTokenCredentials, j.choice, err)
	}
	return c, err
}
