package identitymetrics

import (
	"cmp"
	"regexp"
	"strings"
	"sync"

	"github.com/keyless-go/identity"
)

// Labels tell one series from another. All of them are identifiers, "" for what doesn't apply.
type Labels struct {
	Credential string // the name that Set.Add was given
	Host       string // an identity.Host, "entra" without one, or a developer's tool
	Identity   string // as in identity.Status, such as "client ID 1234…"; "" for the host's default
	Tenant     string // whose Entra is asked, where the credential knows that
	Resource   string // such as "https://vault.azure.net", or Other
	CAE        bool   // tokens that can be challenged, where the host keeps them apart
}

// Other stands for all resources that came after the first 1,000 Labels.
const Other = "other"

// maxLabel is how many characters a label may have: an Azure resource ID has about 150.
const maxLabel = 200

// labelsOf are those of a resource.
func labelsOf(name string, s identity.Status, r identity.ResourceStatus) Labels {
	host := string(s.Host)
	if host == "" {
		host = s.Reason // of a tool: its name
		if s.Endpoint != "" {
			host = "entra"
		}
	}
	return Labels{
		Credential: label(name),
		Host:       label(host),
		Identity:   label(s.Identity),
		Tenant:     label(cmp.Or(r.TenantID, tenantOf(s.Endpoint))),
		Resource:   label(r.Resource),
		CAE:        r.EnableCAE,
	}
}

// tenantOf finds the tenant in the endpoint of a credential that asks Entra. One application in two
// tenants differs by nothing else.
func tenantOf(endpoint string) string {
	rest, ok := strings.CutSuffix(endpoint, "/oauth2/v2.0/token")
	_, rest, ok2 := strings.Cut(rest, "://")
	_, tenant, ok3 := strings.Cut(rest, "/")
	if !ok || !ok2 || !ok3 || strings.Contains(tenant, "/") {
		return ""
	}
	return tenant
}

// token finds what has the form of a JWT: somebody took a token for a scope.
var token = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8}`)
})

// label makes a text fit for a label: no token, nothing but UTF-8, which Prometheus insists on, and
// not too long.
func label(text string) string {
	if strings.Contains(text, "eyJ") && token().MatchString(text) {
		return "REDACTED"
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxLabel {
		return text
	}
	if runes := []rune(text); len(runes) > maxLabel {
		return string(runes[:maxLabel-1]) + "…"
	}
	return text
}
