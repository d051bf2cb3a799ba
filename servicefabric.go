package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/transport"
)

// serviceFabricVersion is what every SDK sends, and all clusters take.
const serviceFabricVersion = "2019-07-01-preview"

// envAPIVersion names the version that the runtime says it speaks.
const envAPIVersion = detect.EnvAPIVersion

// serviceFabric is the managed identity token service of a node of the cluster.
//
// https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code
type serviceFabric struct{ variableHost }

func newServiceFabric(env environment, options settings) (anyHost, error) {
	// The service ignores a selector and answers with the token of the identity that it knows.
	if err := options.onlySelects(HostServiceFabric, "the application's manifest assigns the identity, so leave ID nil"); err != nil {
		return nil, err
	}
	s := &serviceFabric{variableHost{is: HostServiceFabric, env: env}}
	if _, err := s.thumbprint(); err != nil {
		return nil, err
	}
	return s.checked(s)
}

// Proof implements acquire.Proves: the header names the application, and the thumbprint the server
// that it is sent to.
func (s *serviceFabric) Proof() string {
	return s.env.getenv(envHeader) + "\n" + s.env.getenv(envThumbprint)
}

// Call: xms_cc tells that the caller understands claims challenges, and the hash of a rejected
// token gets past the service's caches. The protocol has no room for the claims themselves.
//
// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/blob/main/docs/msiv1_token_revocation.md
func (s *serviceFabric) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	const example = "https://localhost:2377/metadata/identity/oauth2/token"
	endpoint, secret, err := s.env.endpointAndSecret(envEndpoint, envHeader, example)
	if err != nil {
		return acquire.Call{}, err
	}
	if endpoint.Scheme != "https" {
		return acquire.Call{}, errors.New(envEndpoint + ": is not https, which Service Fabric's is: want a URL such as " + example)
	}
	version := s.env.getenv(envAPIVersion)
	if version == "" {
		version = serviceFabricVersion
	} else if err := check.Word(envAPIVersion, version); err != nil {
		return acquire.Call{}, err
	}
	capabilities, hash := "", ""
	if r.CAE {
		capabilities = "cp1"
	}
	if r.Rejected != "" {
		sum := sha256.Sum256([]byte(r.Rejected))
		hash = hex.EncodeToString(sum[:])
	}
	return acquire.Call{
		Method: http.MethodGet,
		URL:    transport.WithQuery(endpoint, "api-version", version, "resource", r.Resource, "xms_cc", capabilities, "token_sha256_to_refresh", hash),
		Header: transport.Header("Secret", secret),
		Secret: secret,
	}, nil
}

// Variant implements acquire.Varies.
func (s *serviceFabric) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	return acquire.Variant{CAE: options.EnableCAE}, nil
}

// thumbprint is that of the service's certificate.
func (s *serviceFabric) thumbprint() ([]byte, error) {
	return transport.ParseThumbprint(envThumbprint, s.env.getenv(envThumbprint))
}

// Connect implements acquire.Connects: the certificate has no authority behind it, so that its
// thumbprint is all there is to tell the service from another program on the node.
func (s *serviceFabric) Connect(own policy.Transporter) (policy.Transporter, error) {
	client, err := transport.Pin(own, envThumbprint, s.thumbprint)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// Recognises: whoever has the pinned certificate is the service.
func (s *serviceFabric) Recognises(acquire.Answer) bool { return true }

// NotAssigned: 404 ManagedIdentityNotFound, which also means that the secret is unknown.
func (s *serviceFabric) NotAssigned(status int, said failure.Said) bool {
	return status == http.StatusNotFound && said.Code == "ManagedIdentityNotFound"
}

func (s *serviceFabric) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return s.silentHint(envEndpoint)
	case s.NotAssigned(status, said):
		return "does the application's manifest assign a managed identity to this service, and is " + envHeader + " this process's own?"
	case said.Code == "InvalidApiVersion":
		return envAPIVersion + " chooses the version: unset it to ask for " + serviceFabricVersion
	case said.Code == "InternalServerError":
		return "Service Fabric says this of a wrong resource, too: is the scope right, down to a slash at its end?"
	case status == http.StatusTooManyRequests:
		return "what else of this application asks for tokens?"
	}
	return ""
}

// Rules: Microsoft's page wants 429 and 5xx retried after 1, 2, 4, 8 and 16 s, and a 404 never.
func (s *serviceFabric) Rules() acquire.Rules {
	r := s.variableHost.Rules()
	r.Delay, r.MaxDelay = time.Second, 16*time.Second
	return r
}

// Patience implements acquire.SaysWhen: a 429 says it in its text, where no header does.
func (s *serviceFabric) Patience(status int, body string) time.Duration {
	if status != http.StatusTooManyRequests {
		return 0
	}
	return failure.RetryAfter(body, retry.MaxAfter)
}
