package identity

import (
	"maps"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

const someBase = "https://jobs.example"

// ciJob is a kind of job, with its fake.
type ciJob struct {
	open      func(*identitytest.Options) *identitytest.Endpoint
	assertion func(variables map[string]string) Assertion
	client    string // the variables that name the application
	tenant    string
}

var ciJobs = map[string]ciJob{
	"GitHub Actions": {open: identitytest.NewGitHubActions, client: envClientID, tenant: envTenantID,
		assertion: func(map[string]string) Assertion { return GitHubActionsAssertion() }},
	"Azure Pipelines": {open: identitytest.NewAzurePipelines, client: "AZURESUBSCRIPTION_CLIENT_ID",
		tenant: "AZURESUBSCRIPTION_TENANT_ID",
		assertion: func(variables map[string]string) Assertion {
			return AzurePipelinesAssertion(variables["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"])
		}},
}

// inJob is a job, and Entra that trusts it.
func (k ciJob) inJob(t *testing.T) (
	variables map[string]string, job, entra *identitytest.Endpoint,
) {
	t.Helper()
	job = k.open(nil)
	entra = identitytest.NewEntra(&identitytest.Options{
		FederatedCredentials: job.FederatedCredentials(), Lifetime: time.Hour,
	})
	return variablesAt(job, someBase), job, entra
}

// TestFederatedJob: a job's endpoint is asked at each exchange, with the variables as they are
// then, and what passes there is asked again before Entra is asked.
func TestFederatedJob(t *testing.T) {
	for name, k := range ciJobs {
		bubbleIn(t, name, func(t *testing.T) {
			variables, job, entra := k.inJob(t)
			cred := applicationAt(t, environmentOf(variables), identitytest.Endpoints{entra, job},
				variables[k.tenant], ClientID(variables[k.client]), k.assertion(variables))
			mustToken(t, cred)
			job.RotateSecret()
			maps.Copy(variables, variablesAt(job, someBase))
			time.Sleep(2 * time.Hour)
			job.Enqueue(identitytest.Response{Status: 503},
				identitytest.Response{Status: 429, Header: map[string][]string{"Retry-After": {"3"}}})
			if _, took := mustToken(t, cred); took < 3*time.Second || took > 10*time.Second {
				t.Errorf("the token took %v, want the wait that the endpoint asked for", took)
			}
			if n, m := len(job.Requests()), len(entra.Requests()); n != 4 || m != 2 {
				t.Errorf("%d requests to the job's endpoint, %d to Entra, want 4 and 2", n, m)
			}
			time.Sleep(2 * time.Hour)
			job.Enqueue(identitytest.Response{Status: 403, For: time.Hour})
			e, took := mustFail(t, cred)
			wantErrorText(t, e, "federated credential: "+name+"' OIDC endpoint: 403")
			if took != 0 {
				t.Errorf("a refusal took %v", took)
			}
		})
	}
}
