package detect

import (
	"fmt"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
)

// EnvTokenCredentials narrows what the default credential may be, as in the Azure SDKs.
const EnvTokenCredentials = "AZURE_TOKEN_CREDENTIALS"

// Sources are those that a value of AZURE_TOKEN_CREDENTIALS leaves.
type Sources struct {
	value                    string // azidentity's name for it, in any case; "" is unset
	Workload, Managed        bool
	AzureCLI, AzureDeveloper bool
	AnyJob                   bool   // the application of a job, where this is one
	Job                      string // that of this kind of job, wherever this is
}

// The two kinds of job, as AZURE_TOKEN_CREDENTIALS calls them.
const (
	GitHubActions  = "GitHubActionsCredential"
	AzurePipelines = "AzurePipelinesCredential"
)

var selections = []Sources{
	{value: "", Workload: true, Managed: true, AzureCLI: true, AzureDeveloper: true, AnyJob: true},
	{value: "prod", Workload: true, Managed: true, AnyJob: true},
	{value: "dev", AzureCLI: true, AzureDeveloper: true},
	{value: "WorkloadIdentityCredential", Workload: true},
	{value: "ManagedIdentityCredential", Managed: true},
	{value: "AzureCLICredential", AzureCLI: true},
	{value: "AzureDeveloperCLICredential", AzureDeveloper: true},
	{value: GitHubActions, Job: GitHubActions},
	{value: AzurePipelines, Job: AzurePipelines},
}

// Host reports whether a host's identity is among them.
func (s Sources) Host() bool { return s.Workload || s.Managed }

// Developer reports whether a developer's login is.
func (s Sources) Developer() bool { return s.AzureCLI || s.AzureDeveloper }

// SelectedSources reads AZURE_TOKEN_CREDENTIALS. An error has the values that there are.
func SelectedSources(m Machine) (Sources, error) {
	value := strings.TrimSpace(m.Getenv(EnvTokenCredentials))
	var valid []string
	for _, s := range selections {
		if strings.EqualFold(s.value, value) {
			return s, nil
		}
		if s.value != "" {
			valid = append(valid, s.value)
		}
	}
	return Sources{}, fmt.Errorf("%s: %q is none of %s", EnvTokenCredentials,
		redact.Line(redact.Text(value)), strings.Join(valid, ", "))
}
