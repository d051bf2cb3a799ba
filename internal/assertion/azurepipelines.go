package assertion

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/redact"
)

// The variables of a job of Azure Pipelines. The second one is there only if a step asks for it.
const (
	EnvPipelinesURL   = "SYSTEM_OIDCREQUESTURI"
	EnvPipelinesToken = "SYSTEM_ACCESSTOKEN"
)

// AzurePipelines is the endpoint that a job of Azure Pipelines gets the tokens of a service
// connection from. They end after some minutes.
//
// https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create
type AzurePipelines struct {
	job
	connection string // the ID of the service connection
}

// NewAzurePipelines returns the endpoint that the variables name, for a service connection, asked
// by client, nil for the default one. field is what the connection's ID came by. An error names
// the field or the variable that is wrong.
func NewAzurePipelines(
	field, connection string, getenv func(string) string, client policy.Transporter,
) (*AzurePipelines, error) {
	if err := check.Word(field, connection); err != nil {
		return nil, err
	}
	s := &AzurePipelines{job{
		name: "Azure Pipelines' OIDC endpoint", getenv: getenv,
		endpoint: EnvPipelinesURL, secret: EnvPipelinesToken, field: "oidcToken",
		example: "https://dev.azure.com/fabrikam/1/_apis/distributedtask/hubs/build/plans/2/jobs/3/" +
			"oidctoken",
	}.connected(client), connection}
	s.hint = s.check
	_, _, err := s.here()
	return s, err
}

const mapToken = "add \"env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)\" to the step"

func (s *AzurePipelines) here() (*url.URL, string, error) {
	switch secret := s.getenv(EnvPipelinesToken); {
	case s.getenv(EnvPipelinesURL) == "":
		return nil, "", errors.New(EnvPipelinesURL +
			": is empty: is this a job of Azure Pipelines?")
	case secret == "":
		return nil, "", errors.New(EnvPipelinesToken + ": is empty: " + mapToken)
	case strings.HasPrefix(secret, "$("):
		return nil, "", errors.New(EnvPipelinesToken + ": has the name of a variable " +
			"that Azure Pipelines doesn't know: " + mapToken)
	}
	return s.place()
}

// check is what to check after an answer of that status.
func (s *AzurePipelines) check(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNonAuthoritativeInfo,
		http.StatusFound:
		return "is " + EnvPipelinesToken + " this job's $(System.AccessToken), and may the pipeline " +
			"use the service connection?"
	case http.StatusNotFound:
		return "is " + redact.Quoted(s.connection) + " the ID of a service connection of this project, " +
			"and does an input of this step's task name that connection?"
	case http.StatusBadRequest, http.StatusMethodNotAllowed:
		return "is " + EnvPipelinesURL + " as Azure Pipelines has set it?"
	}
	return ""
}

// Name implements Source.
func (s *AzurePipelines) Name() string { return s.name }

// Proof implements Source.
func (s *AzurePipelines) Proof() string { return s.proof(s.connection) }

// Get implements Source. The endpoint knows one audience only.
func (s *AzurePipelines) Get(ctx context.Context, _ Request) (string, error) {
	u, secret, err := s.here()
	if err != nil {
		return "", err
	}
	parameters := url.Values{"api-version": {"7.1"}, "serviceConnectionId": {s.connection}}
	return s.ask(ctx, http.MethodPost, u, parameters, http.Header{
		"Accept":        {"application/json"},
		"Authorization": {"Bearer " + secret},
		// or a token that is refused leads to a page where people sign in
		"X-Tfs-Fedauthredirect": {"Suppress"},
	}, secret)
}
