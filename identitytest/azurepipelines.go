package identitytest

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// azurePipelines is what a job of Azure Pipelines gets its tokens from:
// https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create
type azurePipelines struct {
	*headerSecret
	lifetime time.Duration
}

// Those of one job of one pipeline, and of the service connection that it may use.
var (
	pipelinesPath = "/fabrikam/" + guidOf("project") + "/_apis/distributedtask/hubs/build/plans/" +
		guidOf("plan") + "/jobs/" + guidOf("job") + "/oidctoken"
	pipelinesIssuer   = "https://vstoken.dev.azure.com/" + guidOf("organization")
	serviceConnection = guidOf("service connection")
)

const (
	connectionSubject = "sc://fabrikam/project/azure"
	pipelineSubject   = "p://fabrikam/project/pipeline"
)

// NewAzurePipelines returns a fake of the endpoint from which a job of Azure Pipelines gets the
// tokens of its service connection. Options.Identities[0] is the application of that connection. It
// panics if options has no meaning: see [Options]; and if an Identity is system-assigned.
//
// It refuses a wrong secret or one that isn't sent as a bearer token, which is 401 if the request
// has the header X-TFS-FedAuthRedirect: Suppress, and otherwise a redirect to a page where people
// sign in (302); another method than POST (405); a query without api-version=7.1, or with a
// parameter that is given twice (400); and another service connection than the job's (404). Without
// a serviceConnectionId the token is one of the pipeline, for which the application has no
// federated credential.
//
// The tokens are those of a service connection whose issuer is Azure DevOps. Newer ones have Entra
// as their issuer.
//
// A client learns the address, the secret and the connection from the environment, so set it from
// [Endpoint.Env], also when the Endpoint is its transport; [Endpoint.Start] does that by itself.
// For the exchange of the tokens there is [NewEntra].
func NewAzurePipelines(options *Options) *Endpoint {
	o := options.copied()
	o.HostCache = false
	o.Lifetime = cmp.Or(o.Lifetime, workflowLifetime)
	o.Identities = applications("NewAzurePipelines", o.Identities)
	return newEndpoint(&o, azurePipelines{newHeaderSecret("SYSTEM_ACCESSTOKEN"), o.Lifetime}, "")
}

func (h azurePipelines) env(e *Endpoint, base string) []string {
	return []string{
		"SYSTEM_OIDCREQUESTURI=" + base + pipelinesPath,
		h.line(),
		"AZURESUBSCRIPTION_CLIENT_ID=" + e.identities[0].ClientID,
		"AZURESUBSCRIPTION_TENANT_ID=" + e.identities[0].TenantID,
		"AZURESUBSCRIPTION_SERVICE_CONNECTION_ID=" + serviceConnection,
	}
}

func (h azurePipelines) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, pipelinesPath):
		return h.failure(http.StatusNotFound)
	case !h.isBearer(r) && r.Header.Get("X-TFS-FedAuthRedirect") != "Suppress":
		a := h.traced(answer{status: http.StatusFound, header: make(http.Header)})
		a.header.Set("Location", "https://spsprodeus1.vssps.visualstudio.com/_signin?realm=dev.azure.com")
		return a
	case !h.isBearer(r):
		return h.failure(http.StatusUnauthorized)
	case r.Method != http.MethodPost:
		message := "The requested resource does not support http method '" + r.Method + "'."
		a := jsonAnswer(http.StatusMethodNotAllowed,
			map[string]any{"count": 1, "value": map[string]string{"Message": message}})
		a.header.Set("Allow", http.MethodPost)
		return h.traced(a)
	}
	query, problem := inQuery.parse(r.URL.RawQuery)
	switch {
	case problem != "":
		return h.refuse(http.StatusBadRequest, problem+".")
	case !strings.HasPrefix(query.Get("api-version"), "7.1"):
		return h.refuse(http.StatusBadRequest, `No api-version was supplied for the "POST" request, or `+
			`one that is out of range for this server.`)
	}
	subject := connectionSubject
	switch id := query.Get("serviceConnectionId"); {
	case id == "":
		subject = pipelineSubject
	case !strings.EqualFold(id, serviceConnection):
		return h.failure(http.StatusNotFound)
	}
	now := time.Now()
	ends := now.Add(cmp.Or(r.scripted.Lifetime, h.lifetime))
	raw := jwt(map[string]any{
		"aud": exchangeAudience,
		"exp": ends.Unix(),
		"iat": now.Unix(),
		"iss": pipelinesIssuer,
		"jti": randomGUID(),
		"nbf": now.Add(-workflowBackdate).Unix(),
		"sub": subject,
	})
	e.issuer.announce(Token{Raw: raw, Resource: exchangeAudience, ExpiresOn: ends.Truncate(time.Second)})
	return h.traced(jsonAnswer(http.StatusOK, map[string]string{"oidcToken": raw}))
}

func (azurePipelines) ofJob() {}

func (azurePipelines) federated(*Endpoint) []FederatedCredential {
	return []FederatedCredential{
		{Issuer: pipelinesIssuer, Subject: connectionSubject, Audience: exchangeAudience},
	}
}

// failure has no body for 401 and 404, as has been reported.
func (h azurePipelines) failure(status int) answer {
	if status < 400 || status == http.StatusUnauthorized || status == http.StatusNotFound {
		return h.traced(answer{status: status, header: make(http.Header)})
	}
	return h.refuse(status, cmp.Or(http.StatusText(status), "Error")+".")
}

// refuse has the shape of Azure DevOps' errors.
func (h azurePipelines) refuse(status int, message string) answer {
	return h.traced(jsonAnswer(status, map[string]any{
		"$id": "1", "innerException": nil, "message": message, "typeKey": "VssServiceException",
		"errorCode": 0, "eventId": 3000,
	}))
}

// traced adds what Microsoft's support asks for.
func (azurePipelines) traced(a answer) answer {
	a.header.Set("X-Vss-E2EID", randomGUID())
	a.header.Set("X-MSEdge-Ref", "Ref A: "+strings.ToUpper(randomHex(16))+
		" Ref B: FRA000000000001 Ref C: "+time.Now().UTC().Format(time.RFC3339))
	return a
}
