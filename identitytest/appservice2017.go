package identitytest

import (
	"net/http"
	"time"
)

// NewAppService2017 returns a fake of the endpoint that App Service had before 2019, api-version
// 2017-09-01, which old plans still have. Nil options means the defaults. It panics if options has
// no meaning: see [Options].
//
// It refuses what [NewAppService] refuses, with the same bodies, and more: the only selector is
// clientid, in one word. A resource that Entra doesn't know is answered 400, with AADSTS500011 and
// members that nothing else here has. An empty clientid is an unknown identity; what the real
// endpoint makes of it isn't known. expires_on is a date in UTC, as on Linux plans: "06/20/2019
// 02:57:58 +00:00". Windows plans write "6/20/2019 2:57:58 AM +00:00"; for that, enqueue the whole
// answer.
//
// A client learns the address and the secret from the environment, so set it from [Endpoint.Env],
// also when the Endpoint is its transport; [Endpoint.Start] does that by itself. The variables are
// those of [NewAzureML], which differs in little else, save DEFAULT_IDENTITY_CLIENT_ID.
func NewAppService2017(options *Options) *Endpoint {
	return newEndpoint(options, &appService{
		headerSecret: newHeaderSecret("MSI_SECRET"),
		variable:     "MSI_ENDPOINT",
		header:       "secret",
		version:      "2017-09-01",
		selectors:    map[string]property{"clientid": byClientID},
		unknown: func(h *appService, resource, tenant string) answer {
			correlationID := randomGUID()
			problem := unknownResource(resource, tenant).problem(correlationID)
			return h.json(http.StatusBadRequest, correlationID, map[string]any{
				"ExceptionMessage":  problem.Description,
				"ErrorCode":         problem.Error,
				"ServiceErrorCodes": []string{"500011"},
				"StatusCode":        http.StatusBadRequest,
				"Message":           nil,
				"CorrelationId":     correlationID,
			})
		},
		body: func(_ Identity, t token, resource string) map[string]string {
			return map[string]string{
				"access_token": t.raw,
				"expires_on":   time.Unix(t.expires, 0).UTC().Format("01/02/2006 15:04:05 -07:00"),
				"resource":     resource,
				"token_type":   "Bearer",
			}
		},
	}, appID)
}
