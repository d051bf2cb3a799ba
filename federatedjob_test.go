package identity

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/command"
)

const someBase = "https://jobs.example"

// ciJob is a kind of job, with its fake.
type ciJob struct {
	open      func(*identitytest.Options) *identitytest.Endpoint
	assertion func(variables map[string]string) Assertion
	client    string // the variables that name the application
	tenant    string
	secret    string
}

var ciJobs = map[string]ciJob{
	"GitHub Actions": {open: identitytest.NewGitHubActions, client: envClientID, tenant: envTenantID,
		secret:    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
		assertion: func(map[string]string) Assertion { return GitHubActionsAssertion() }},
	"Azure Pipelines": {open: identitytest.NewAzurePipelines, client: "AZURESUBSCRIPTION_CLIENT_ID",
		tenant: "AZURESUBSCRIPTION_TENANT_ID", secret: "SYSTEM_ACCESSTOKEN",
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

// TestFederatedJobIsOut: a job's endpoint that doesn't answer, or is out, is asked some times in
// half a minute, and then no more. Entra isn't asked, and a chain stays with the job.
func TestFederatedJobIsOut(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"nobody": func() (*http.Response, error) { return nil, errors.New("connection refused") },
		"503":    func() (*http.Response, error) { return respond(503, ""), nil },
	} {
		bubbleIn(t, name, func(t *testing.T) {
			k, requests := ciJobs["GitHub Actions"], 0
			variables, _, _ := k.inJob(t)
			cred := applicationAt(t, environmentOf(variables),
				transportFunc(func(r *http.Request) (*http.Response, error) {
					if requests++; r.URL.Host != "jobs.example" || requests > 100 {
						return respond(403, ""), nil // so that it ends
					}
					return answer()
				}), variables[k.tenant], ClientID(variables[k.client]), k.assertion(variables))
			e, took := mustFail(t, cred)
			wantErrorText(t, e, "federated credential: GitHub Actions' OIDC endpoint: ")
			if took < jobPatience/2 || took > jobPatience+patienceOfJob || requests > 20 ||
				errors.Is(e, ErrUnavailable) {
				t.Errorf("%d requests in %v: %v", requests, took, e)
			}
		})
	}
}

// patienceOfJob is how long one request to a job's endpoint may take.
const patienceOfJob = 10 * time.Second

// TestDefaultInAJob: where the variables of a job say which application it is, the default
// credential is that one, and neither the machine's identity nor the tools' login.
func TestDefaultInAJob(t *testing.T) {
	for name, k := range ciJobs {
		choice := strings.ReplaceAll(name, " ", "") + "Credential"
		for when, tt := range map[string]struct {
			set   map[string]string // beside the job's; "" takes one away
			chips string            // the machine's chassis asset tag
			id    ID
			by    string // the host that has to be asked in the job's place; "" for the job
		}{
			"all variables":      {},
			"on a VM of Azure's": {chips: chassis.Azure},
			"by name, in a pod":  {set: map[string]string{envTokenFile: "/x", envTokenCredentials: choice}},
			"in production":      {set: map[string]string{envTokenCredentials: "prod"}},
			"a secret, and by name": {set: map[string]string{envSecret: "pa55word",
				envTokenCredentials: strings.ToUpper(choice)}},
			"no tenant": {set: map[string]string{k.tenant: ""}, by: "IMDS"},
			"the machine's": {set: map[string]string{envTokenCredentials: "ManagedIdentityCredential"},
				by: "IMDS"},
			"an app's": {set: map[string]string{envEndpoint: "http://app", envHeader: "h"},
				by: "App Service"},
			"ID in the place": {set: map[string]string{k.client: ""}, id: ClientID(guidOfApplication)},
		} {
			bubbleIn(t, name+"/"+when, func(t *testing.T) {
				variables, job, entra := k.inJob(t)
				maps.Copy(variables, tt.set)
				env := environmentOf(variables)
				env.chassis = func() string { return tt.chips }
				env.run = func(context.Context, command.Command) ([]byte, error) {
					t.Error("a tool was run")
					return nil, errors.New("no tool")
				}
				options := &DefaultCredentialOptions{ID: tt.id}
				options.Transport = identitytest.Endpoints{entra, job}
				options.Retry.MaxRetries = -1
				cred, err := newDefaultCredential(newShared(), options, env)
				if err != nil {
					t.Fatal(err)
				}
				if tt.by == "" {
					mustToken(t, cred)
					return
				}
				if s := cred.Status(); len(job.Requests()) > 0 || s.Sources[0].Name != "managed identity" {
					t.Errorf("the sources are %+v", s.Sources)
				}
			})
		}
	}
}

// guidOfApplication is the client ID that the fakes have unless told otherwise.
var guidOfApplication = identitytest.NewEntra(nil).Identities()[0].ClientID

// TestDefaultInAJobRefuses: what would be somebody else, or nobody, is an error of the constructor
// that names the variable and has no secret in it.
func TestDefaultInAJobRefuses(t *testing.T) {
	t.Parallel()
	for name, k := range ciJobs {
		choice := strings.ReplaceAll(name, " ", "") + "Credential"
		named := "identity: " + envTokenCredentials + " is " + choice + ": "
		for _, tt := range []struct {
			set  map[string]string
			id   ID
			want string
		}{
			{set: map[string]string{envSecret: "pa55word"}, want: "identity: " + envSecret +
				": is set in a job of " + name + ", whose application needs none: azidentity would"},
			{set: map[string]string{envCertFile: "/pa55word.pem"},
				want: "identity: " + envCertFile + ": is set"},
			{id: ResourceID("/subscriptions/x"), want: "identity: DefaultCredentialOptions.ID: " + name +
				" can't select an identity by resource ID"},
			{id: ClientID(" "), want: "identity: DefaultCredentialOptions.ID: empty ClientID"},
			{set: map[string]string{k.tenant: "", envTokenCredentials: choice}, want: named + envTenantID +
				": is empty"},
			{set: map[string]string{k.client: "", envTokenCredentials: choice}, want: named + envClientID +
				": is empty"},
			{set: map[string]string{k.secret: "", envTokenCredentials: choice}, want: named + k.secret +
				": is empty"},
		} {
			variables, _, _ := k.inJob(t)
			maps.Copy(variables, tt.set)
			_, err := newDefaultCredential(newShared(), &DefaultCredentialOptions{ID: tt.id},
				environmentOf(variables))
			wantErrorText(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), "pa55word") {
				t.Errorf("a secret is shown: %v", err)
			}
		}
	}
}
