package assertion

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// The variables that GitHub sets in a job with the permission id-token: write.
const (
	EnvGitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	EnvGitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// GitHubActions is the endpoint that a job of GitHub Actions gets its tokens from. They end after
// some minutes.
//
// https://docs.github.com/actions/reference/security/oidc
type GitHubActions struct{ job }

// NewGitHubActions returns the endpoint that the variables name, asked by client, nil for the
// default one. An error names the variable that is wrong.
func NewGitHubActions(
	getenv func(string) string, client policy.Transporter,
) (*GitHubActions, error) {
	s := &GitHubActions{job{
		name: "GitHub Actions' OIDC endpoint", getenv: getenv,
		endpoint: EnvGitHubURL, secret: EnvGitHubToken, field: "value",
		example: "https://run-actions-1-azure-eastus.actions.githubusercontent.com/1/idtoken/2/3",
		hint:    gitHubHint,
	}.connected(client)}
	_, _, err := s.here()
	return s, err
}

// here is where the endpoint is. What is missing is missing for one reason.
func (s *GitHubActions) here() (*url.URL, string, error) {
	for _, name := range []string{EnvGitHubURL, EnvGitHubToken} {
		if s.getenv(name) == "" {
			return nil, "", errors.New(name + ": is empty: GitHub sets it in jobs with " +
				"\"permissions: id-token: write\", which the workflow that calls this one must have, too, " +
				"and not for pull requests from forks")
		}
	}
	return s.place()
}

func gitHubHint(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "has the job \"permissions: id-token: write\", is it still running, and is " +
			EnvGitHubToken + " its own?"
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		return "is " + EnvGitHubURL + " as GitHub has set it?"
	}
	return ""
}

// Name implements Source.
func (s *GitHubActions) Name() string { return s.name }

// Proof implements Source.
func (s *GitHubActions) Proof() string { return s.proof("") }

// Get implements Source.
func (s *GitHubActions) Get(ctx context.Context, r Request) (string, error) {
	u, secret, err := s.here()
	if err != nil {
		return "", err
	}
	return s.ask(ctx, http.MethodGet, u, url.Values{"audience": {r.Audience}}, http.Header{
		"Accept":        {"application/json; api-version=2.0"},
		"Authorization": {"bearer " + secret},
	}, secret)
}
