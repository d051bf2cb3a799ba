package identity

import (
	"context"
	"net/http"
	"net/url"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/transport"
)

// cloudShell is the token endpoint of Cloud Shell.
//
// https://learn.microsoft.com/azure/cloud-shell/msi-authorization
type cloudShell struct{ variableHost }

func newCloudShell(env environment, options settings) (anyHost, error) {
	if err := options.onlySelects(HostCloudShell, "its token is the signed-in user's: leave ID nil"); err != nil {
		return nil, err
	}
	s := &cloudShell{variableHost{is: HostCloudShell, env: env}}
	return s.checked(s)
}

func (s *cloudShell) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	endpoint, err := s.env.endpoint(envMSI, "http://localhost:50342/oauth2/token")
	if err != nil {
		return acquire.Call{}, err
	}
	return acquire.Call{
		Method: http.MethodPost,
		URL:    transport.WithQuery(endpoint),
		Header: transport.Header("Metadata", "true"),
		Form:   url.Values{"resource": {r.Resource}},
	}, nil
}

func (s *cloudShell) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return s.silentHint(envMSI)
	case said.Code == "AudienceNotSupported":
		// az asks this endpoint, too, as long as nobody has run az login: Azure/azure-cli#29057.
		return "Cloud Shell has tokens for some resources only: run az login, and then this with AZURE_TOKEN_CREDENTIALS=AzureCLICredential and NewDefaultCredential"
	}
	return ""
}
