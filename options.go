package identity

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/redact"
)

// CredentialOptions are the optional settings of [NewCredential]. The zero value is ready to use: it means the
// host that is detected and the identity that this host uses by default. NewCredential copies the options; changing
// them afterwards has no effect.
type CredentialOptions struct {
	// ClientOptions configures the requests to the host's token endpoint.
	//
	//   - Transport: nil means a client that uses no proxy, follows no redirect and keeps no connection open; for workload
	//     identity, which asks across the internet, one that uses the system's proxy. A Transport of one's own is used as
	//     given, with two exceptions. An *http.Client without a CheckRedirect function is copied and follows no redirect,
	//     because a redirect would carry the host's secret header elsewhere. On Service Fabric it must be an *http.Client
	//     whose Transport is nil or a plain *http.Transport: a copy is used that accepts only the certificate with the
	//     thumbprint in IDENTITY_SERVER_THUMBPRINT, and follows no redirect. A credential with a Transport has a token cache,
	//     and a limit of requests at once (5, and 50 to Entra), of its own; all others share one per process, but for the
	//     cache of those with policies.
	//   - Retry: maps onto this package's retries field by field; see [NewCredential] for the
	//     defaults. Only one layer retries. MaxRetries counts on top of the time budget: 0 means as
	//     many as the budget allows, less than zero means none. Credentials that share a cache
	//     share requests and cool-downs with those that have the same Retry; a ShouldRetry function
	//     is the same as no other. At most 16 different ones at a time are told apart for one
	//     token, beside the default; those beyond share one request among them.
	//   - PerCallPolicies run once per acquisition, PerRetryPolicies at each try.
	//   - TracingProvider: a span "Credential.GetToken" for each acquisition, with the HTTP
	//     requests below it. Its parent is looked for in the context of the caller whose request it
	//     is; a renewal has none. A tracer that panics loses a span and nothing else.
	//   - Logging: IncludeBody is ignored, and neither the host's secret header nor Authorization can be allowed,
	//     because a log is no place for a token.
	//   - Cloud: its ActiveDirectoryAuthorityHost is where workload identity asks, before AZURE_AUTHORITY_HOST; elsewhere it
	//     has no meaning, like APIVersion and InsecureAllowCredentialWithHTTP.
	azcore.ClientOptions

	// ID selects a user-assigned identity: a [ClientID], an [ObjectID] or a [ResourceID]. Leave it
	// nil for the host's default: the system-assigned identity, or for want of one, on IMDS, the
	// only user-assigned one; on Azure ML the one of DEFAULT_IDENTITY_CLIENT_ID, with workload
	// identity that of AZURE_CLIENT_ID. An empty or blank ID is an error, never the default. Azure
	// ML, legacy App Service and workload identity take a ClientID only, Container Instances on
	// Windows an ObjectID only; Service Fabric, whose applications' manifests decide, and Cloud
	// Shell, whose token is the signed-in user's, take none: NewCredential refuses what the host
	// can't serve.
	ID ID

	// Host overrides the detection. "" means the host that [Detect] reports. A pod that has a token
	// file but is to use the node's identity names [HostIMDS].
	Host Host

	// AdditionallyAllowedTenants are the tenants, beside that of AZURE_TENANT_ID, for which workload identity may ask for a
	// token when the TenantID of a request names one, as Key Vault's clients do for a vault of another tenant. "*" allows
	// any. By default there is none, and such a request fails. Managed identities have one tenant: elsewhere TenantID has no meaning.
	AdditionallyAllowedTenants []string

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the
	// first failed try of a renewal that nobody waits for), without any secret. It is called when
	// nobody waits any more, and one that panics loses a line and nothing else. nil is silent.
	Logger *slog.Logger
}

// ID names a user-assigned managed identity. It is one of [ClientID], [ObjectID] and [ResourceID].
type ID interface {
	fmt.Stringer
	isID()
}

// ClientID is the client (application) ID of a user-assigned identity, a GUID. Azure shows it as "Client ID". For workload
// identity it may also be an application's.
type ClientID string

// ObjectID is the object (principal) ID of a user-assigned identity, a GUID. Azure shows it as "Object (principal) ID".
type ObjectID string

// ResourceID is the Azure Resource Manager ID of a user-assigned identity, such as
// "/subscriptions/…/resourcegroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…".
type ResourceID string

func (ClientID) isID()   {}
func (ObjectID) isID()   {}
func (ResourceID) isID() {}

// String returns the ID as it was given.
func (id ClientID) String() string { return string(id) }

// String returns the ID as it was given.
func (id ObjectID) String() string { return string(id) }

// String returns the ID as it was given.
func (id ResourceID) String() string { return string(id) }

// idKind names the kind of an ID in messages: "client ID".
func idKind(id ID) string {
	switch id.(type) {
	case ClientID:
		return "client ID"
	case ObjectID:
		return "object ID"
	case ResourceID:
		return "resource ID"
	}
	return ""
}

// describeID names a selected identity in messages: "client ID 1234…".
func describeID(id ID) string { return idKind(id) + " " + id.String() }

// maxIDLength bounds what is repeated in URLs, cache keys and errors. Resource Manager allows 90 characters for a
// resource group and 128 for an identity's name, so that real resource IDs stay below 400.
const maxIDLength = 1024

// validateID refuses what can't be an identity. A typo must never select the system-assigned identity silently.
func validateID(id ID) error {
	if id == nil {
		return nil
	}
	const field = "identity: CredentialOptions.ID: "
	var kind string
	switch id.(type) {
	case ClientID:
		kind = "ClientID"
	case ObjectID:
		kind = "ObjectID"
	case ResourceID:
		kind = "ResourceID"
	default: // a pointer to one of the three also has their methods
		return fmt.Errorf("%s%T: give a ClientID, ObjectID or ResourceID by value", field, id)
	}
	value := id.String()
	switch {
	case strings.TrimSpace(value) == "":
		return errors.New(field + "empty " + kind + ": leave ID nil to ask for the system-assigned identity")
	case len(value) > maxIDLength:
		return fmt.Errorf("%s%s of %d characters, at most %d are allowed", field, kind, len(value), maxIDLength)
	case strings.ContainsFunc(value, redact.Unprintable):
		return fmt.Errorf("%s%s %q contains a control character or is not UTF-8", field, kind, value)
	case strings.TrimSpace(value) != value:
		return fmt.Errorf("%s%s %q begins or ends with white space", field, kind, value)
	case kind != "ResourceID" && strings.Contains(value, "/"):
		return fmt.Errorf("%s%s %q looks like a resource ID: use ResourceID", field, kind, value)
	case kind == "ResourceID" && !strings.HasPrefix(value, "/"):
		return fmt.Errorf("%sResourceID %q: want /subscriptions/…/userAssignedIdentities/…", field, value)
	}
	return nil
}

// onlySelects refuses an ID that the host can't select an identity by. Ignoring it would hand out another identity's token.
func onlySelects(host Host, id ID, by string, allowed ...ID) error {
	if id == nil || slices.ContainsFunc(allowed, func(a ID) bool { return idKind(a) == idKind(id) }) {
		return nil
	}
	return fmt.Errorf("identity: CredentialOptions.ID: %s can't select an identity by %s: %s", host, idKind(id), by)
}

// validateValue refuses what can't be an ID, a version or a name; field names where it comes from.
func validateValue(field, value string) error {
	switch {
	case value == "":
		return errors.New(field + "is empty")
	case len(value) > maxIDLength:
		return fmt.Errorf("%sis of %d characters, at most %d are allowed", field, len(value), maxIDLength)
	case strings.ContainsFunc(value, func(r rune) bool { return r == ' ' || redact.Unprintable(r) }):
		return errors.New(field + redact.Quoted(value) +
			" contains a blank or a control character, or is not UTF-8")
	}
	return nil
}
