package identitytest

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// gitHubActions is what a job of GitHub Actions gets its tokens from:
// https://docs.github.com/actions/concepts/security/openid-connect
type gitHubActions struct {
	*headerSecret
	lifetime time.Duration
}

const (
	gitHubIssuer     = "https://token.actions.githubusercontent.com"
	gitHubRepository = "octo-org/octo-repo"
	gitHubSubject    = "repo:" + gitHubRepository + ":ref:refs/heads/main"

	// workflowLifetime: tokens of GitHub and of Azure Pipelines end 5 minutes after their issue, and
	// say that they began 10 minutes before it.
	workflowLifetime = 5 * time.Minute
	workflowBackdate = 10 * time.Minute
)

// gitHubPath is that of one job.
var gitHubPath = "/" + guidOf("run") + "/idtoken/" + guidOf("plan") + "/" + guidOf("job")

// NewGitHubActions returns a fake of the endpoint from which a job of GitHub Actions with the
// permission id-token: write gets its tokens. The job is one on the branch main of
// octo-org/octo-repo. Options.Identities[0] is the application that the workflow names in
// AZURE_CLIENT_ID and AZURE_TENANT_ID. It panics if options has no meaning: see [Options]; and if
// an Identity is system-assigned.
//
// It refuses another method than GET (405), a wrong secret or one that isn't sent as a bearer token
// (401), a query without the api-version that is in the URL, and a parameter that is given twice
// (400). A token is for the audience that is asked for, or else for the owner's page on GitHub.
//
// What the real endpoint says with a refusal is documented nowhere. With 401 it is silent, as here;
// the message of other ones is a guess.
//
// A client learns the address and the secret from the environment, so set it from [Endpoint.Env],
// also when the Endpoint is its transport; [Endpoint.Start] does that by itself. For the exchange
// of the tokens there is [NewEntra].
func NewGitHubActions(options *Options) *Endpoint {
	o := options.copied()
	o.HostCache = false
	o.Lifetime = cmp.Or(o.Lifetime, workflowLifetime)
	o.Identities = applications("NewGitHubActions", o.Identities)
	secret := newHeaderSecret("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	return newEndpoint(&o, gitHubActions{secret, o.Lifetime}, "")
}

func (h gitHubActions) env(e *Endpoint, base string) []string {
	return []string{
		"ACTIONS_ID_TOKEN_REQUEST_URL=" + base + gitHubPath + "?api-version=2.0",
		h.line(),
		"AZURE_CLIENT_ID=" + e.identities[0].ClientID,
		"AZURE_TENANT_ID=" + e.identities[0].TenantID,
	}
}

func (h gitHubActions) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, gitHubPath):
		return h.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case !h.isBearer(r):
		return h.failure(http.StatusUnauthorized)
	}
	query, problem := inQuery.parse(r.URL.RawQuery)
	switch {
	case problem != "":
		return h.refuse(http.StatusBadRequest, problem)
	case query.Get("api-version") != "2.0":
		return h.refuse(http.StatusBadRequest, "The api-version is missing or not supported")
	}
	audience := cmp.Or(query.Get("audience"), "https://github.com/octo-org")
	now := time.Now()
	ends := now.Add(cmp.Or(r.scripted.Lifetime, h.lifetime))
	raw := jwt(map[string]any{
		"actor":              "octocat",
		"aud":                audience,
		"event_name":         "push",
		"exp":                ends.Unix(),
		"iat":                now.Unix(),
		"iss":                gitHubIssuer,
		"job_workflow_ref":   gitHubRepository + "/.github/workflows/deploy.yml@refs/heads/main",
		"jti":                randomGUID(),
		"nbf":                now.Add(-workflowBackdate).Unix(),
		"ref":                "refs/heads/main",
		"ref_type":           "branch",
		"repository":         gitHubRepository,
		"repository_owner":   "octo-org",
		"runner_environment": "github-hosted",
		"sub":                gitHubSubject,
		"workflow":           "deploy",
	})
	e.issuer.announce(Token{Raw: raw, Resource: audience, ExpiresOn: ends.Truncate(time.Second)})
	return jsonAnswer(http.StatusOK, map[string]any{"count": len(raw), "value": raw})
}

func (gitHubActions) ofJob() {}

func (gitHubActions) federated(*Endpoint) []FederatedCredential {
	return []FederatedCredential{
		{Issuer: gitHubIssuer, Subject: gitHubSubject, Audience: exchangeAudience},
	}
}

func (h gitHubActions) failure(status int) answer {
	if status < 400 || status == http.StatusUnauthorized {
		return answer{status: status, header: make(http.Header)}
	}
	return h.refuse(status, cmp.Or(http.StatusText(status), "Error"))
}

func (gitHubActions) refuse(status int, message string) answer {
	return jsonAnswer(status, map[string]string{"message": message})
}

// isBearer reports whether r has the secret as a bearer token. The scheme's case doesn't matter.
func (s *headerSecret) isBearer(r received) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "bearer") && s.is(given)
}
