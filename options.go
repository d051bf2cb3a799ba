package identity

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// CredentialOptions are the optional settings of [NewCredential]. The zero value is ready to use:
// it means the host that is detected and the identity that this host uses by default. NewCredential
// copies the options; changing them afterwards has no effect.
type CredentialOptions struct {
	// ClientOptions configures the requests to the host's token endpoint.
	//
	//   - Transport: nil means a client that uses no proxy, follows no redirect and keeps no
	//     connection open; for workload identity, which asks across the internet, one that uses the
	//     system's proxy. A Transport of your own is used as given, with two exceptions. An
	//     *http.Client without a CheckRedirect function is copied and follows no redirect, because a
	//     redirect would carry the host's secret header elsewhere. On Service Fabric it must be an
	//     *http.Client whose Transport is nil or a plain *http.Transport: a copy is used that accepts
	//     only the certificate with the thumbprint in IDENTITY_SERVER_THUMBPRINT, and follows no
	//     redirect. A credential with a Transport has its own token cache, and its own limit of
	//     requests at once: 5, and 50 to Entra. All others share one of each per process; those with
	//     policies share the limit only.
	//   - Retry: maps onto this package's retries field by field; see [NewCredential] for the
	//     defaults. Only one layer retries. MaxRetries is a limit beside the time budget: 0 means as
	//     many as the budget allows, less than zero means none. Credentials that share a cache share
	//     requests, and the waits after a failure, with those that have the same Retry; two
	//     ShouldRetry functions never count as the same. For one token at most 16 different Retry at a
	//     time are told apart, beside the default; credentials with further ones share one request
	//     among them.
	//   - PerCallPolicies run once per acquisition, PerRetryPolicies at each try.
	//   - TracingProvider: a span "Credential.GetToken" for each acquisition, with the HTTP requests
	//     below it. Its parent is the span in the context of the caller who started the acquisition; a
	//     renewal has none. A tracer that panics loses a span and nothing else.
	//   - Logging: IncludeBody is ignored, and neither the host's secret header nor Authorization
	//     can be allowed, because a log is no place for a token.
	//   - Cloud: its ActiveDirectoryAuthorityHost is where workload identity asks, before
	//     AZURE_AUTHORITY_HOST; elsewhere it has no meaning, like APIVersion and
	//     InsecureAllowCredentialWithHTTP.
	azcore.ClientOptions

	// ID selects a user-assigned identity: a [ClientID], an [ObjectID] or a [ResourceID]. Leave it nil
	// for the host's default. That is the system-assigned identity or, on IMDS without one, the only
	// user-assigned one. On Azure ML it is the one of DEFAULT_IDENTITY_CLIENT_ID, with workload
	// identity that of AZURE_CLIENT_ID. An empty or blank ID is an error, never the default. Azure ML,
	// legacy App Service and workload identity take a ClientID only, Container Instances on Windows an
	// ObjectID only; Service Fabric, whose applications' manifests decide, and Cloud Shell, whose
	// token is the signed-in user's, take none: NewCredential refuses what the host can't serve.
	ID ID

	// Host overrides the detection. "" means the host that [Detect] reports. A pod that has a token
	// file but is to use the node's identity names [HostIMDS].
	Host Host

	// AdditionallyAllowedTenants are for workload identity. A request may name a tenant in its
	// TenantID, as Key Vault's clients do for a vault of another tenant; it gets a token if that is
	// the tenant of AZURE_TENANT_ID or one of these. "*" allows any. By default there are none, and a
	// request for another tenant fails. Managed identities have one tenant: elsewhere TenantID has no
	// meaning.
	AdditionallyAllowedTenants []string

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first
	// failed try of a renewal that nobody waits for), without any secret. Callers that get a failure
	// wait for its line, 100 ms at most. If the handler panics, that line is lost. nil is silent.
	Logger *slog.Logger
}

// settings are the options of a credential, with what messages call them: the default credential
// makes them of its own options and of the environment.
type settings struct {
	*CredentialOptions
	options string // the name of the type that the user has filled in
	allowed string // where AdditionallyAllowedTenants come from
	id      string // where ID comes from: a field, or a variable
	named   string // what names Host, in a sentence; "" for the field
	asNode  string // how to have IMDS asked where a token file is found
}

// settingsOf are the settings of options that the user has filled in.
func settingsOf(o *CredentialOptions) settings {
	const name = "CredentialOptions"
	return settings{CredentialOptions: o, options: name, id: name + ".ID",
		allowed: name + ".AdditionallyAllowedTenants", asNode: onPurpose}
}

// hostNamed is what names the host, for messages.
func (s settings) hostNamed() string {
	return cmp.Or(s.named, fmt.Sprintf("%s.Host is %q", s.options, string(s.Host)))
}

// onPurpose says how to leave a token file unused.
const onPurpose = "To ask the node's IMDS on purpose, set CredentialOptions.Host to HostIMDS"

// onlySelects refuses an ID that the host can't select an identity by. Ignoring it would hand out
// another identity's token.
func (s settings) onlySelects(host Host, by string, allowed ...ID) error {
	kind := selected(s.ID).Kind
	if s.ID == nil ||
		slices.ContainsFunc(allowed, func(a ID) bool { return selected(a).Kind == kind }) {
		return nil
	}
	return fmt.Errorf("%s: %s can't select an identity by %s: %s", s.id, host, kind, by)
}
