package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// errorBody is one way in which a host says no, and what becomes of it.
type errorBody struct {
	name    string // "" for the code
	id      ID     // that was asked for
	status  int
	code    string
	message string
	number  int // of Entra, whose text and body are made of it and the message
	// "" for the host's own shape of code and message; a file of testdata if it ends in .json
	body        string
	foreign     bool     // without what the host is recognised by
	header      []string // further ones
	correlation string   // "" for that of the host's own shape
	sentinel    error
	hint        string // the end of the error; a part of it for workload identity
}

const (
	corID = "0a1b2c3d-1111-4222-8333-944455556666"
	// entraTail follows each of Entra's descriptions, and says nothing that isn't elsewhere.
	entraTail = ` Trace ID: 0a1b2c3d-2222-4222-8333-944455556666 Correlation ID: ` + corID +
		` Timestamp: 2026-01-01 00:00:00Z`

	assignedVM = "assigned to this VM?"
	systemVM   = "is a system-assigned identity enabled on this VM? " +
		"Set CredentialOptions.ID to choose a user-assigned one"
	updatedIMDS = "IMDS is being updated, or the identity was assigned a moment ago: " +
		"this passes within a few minutes"
	movedIMDS = "nothing at ENDPOINT is IMDS, though it should be: " +
		"AZURE_POD_IDENTITY_AUTHORITY_HOST is set, and no other host's variables are set. " +
		"May this process reach that address?"
	assignedApp = "assigned to this app (on Container Apps: and not withheld by identitySettings)?"
	wrongScope  = "Entra refused: is the scope a resource of this tenant and cloud?"
	assignedArc = "assigned to this Arc-enabled server? For its system-assigned one leave ID nil"
	slashAtEnd  = " says this of a wrong resource, too: " +
		"is the scope right, down to a slash at its end?"
	metadata = "Required metadata header not specified"
	several  = "Multiple user assigned identities exist, " +
		"please specify the clientId / resourceId of the identity in the token request"
	nopeEntra = "AADSTS500011: The resource principal named https://nope.example " +
		"was not found in the tenant named Contoso."
	delegated = "No User Assigned or Delegated Managed Identity found " +
		"for specified ClientId/ResourceId/PrincipalId."
	noProper    = "Unable to load the proper Managed Identity."
	noRequested = "Unable to load requested managed identity."
	fabricCor   = "7f30f4d3-0f3a-41e0-a417-527f21b3848f"
	fabricLimit = "The request was throttled locally; " +
		"the service allows 30 requests per 10s; retry after 4s."
)

func withoutHeader(name string) string {
	return "the request came without the header " + name +
		" that it was made with: did a policy or the Transport in CredentialOptions remove it?"
}

func refusedSecret(variable, from string) string {
	return "the endpoint refused " + variable + ": was the variable changed" + from + "?"
}

// entraBody is Entra's error. newline ends the description's first line, which is how Entra did it
// for years.
func entraBody(code string, number int, text, newline string) string {
	tail := strings.ReplaceAll(entraTail, " Correlation", newline+"Correlation")
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: %s%s%s","error_codes":[%d],`+
		`"timestamp":"2026-01-01 00:00:00Z","trace_id":"0a1b2c3d-2222-4222-8333-944455556666",`+
		`"correlation_id":%q,"error_uri":"https://login.microsoftonline.com/error?code=%d"}`,
		code, number, text, newline, tail, number, corID, number)
}

// errorBodies are all that are known, of each host.
var errorBodies = map[string][]errorBody{
	// https://github.com/Azure/azure-rest-api-specs, imds 2023-07-01
	"IMDS": {
		{name: "no client ID", id: ClientID(guid), status: 400, body: "imds/identity-not-found.json",
			code: "invalid_request", message: "Identity not found", sentinel: ErrIdentityNotFound,
			hint: "is client ID " + guid + " " + assignedVM},
		{name: "no object ID", id: ObjectID(guid), status: 400, code: "invalid_request",
			message: "Identity not found", sentinel: ErrIdentityNotFound,
			hint: "is object ID " + guid + " " + assignedVM},
		{name: "no resource ID", id: ResourceID(identityID), status: 400, code: "invalid_request",
			message: "Identity not found", sentinel: ErrIdentityNotFound,
			hint: "is resource ID " + identityID + " " + assignedVM},
		{name: "none", status: 400, code: "invalid_request", message: "Identity not found",
			sentinel: ErrIdentityNotFound, hint: systemVM},
		{name: "several", status: 400, body: "imds/multiple-identities.json", code: "invalid_request",
			message: several, sentinel: ErrIdentityNotFound, hint: systemVM},
		{name: "header missing", status: 400, body: "imds/metadata-missing-102.json",
			code: "bad_request_102", message: metadata, hint: withoutHeader("Metadata")},
		{name: "header missing, with the code of a missing identity", status: 400,
			body: "imds/metadata-missing.json", code: "invalid_request", message: metadata,
			hint: withoutHeader("Metadata")},
		{name: "resource unknown", id: ClientID(guid), status: 400, body: "imds/resource-unknown.json",
			code: "invalid_resource", message: nopeEntra, correlation: corID, hint: wrongScope},
		{name: "resource unknown, codes as text", status: 400,
			body: "imds/resource-unknown-codes-as-text.json",
			code: "invalid_resource", message: nopeEntra, correlation: corID, hint: wrongScope},
		{name: "resource unknown, number beside", status: 400,
			body: `{"error":"invalid_request","error_description":"unknown resource","error_codes":[500011]}`,
			code: "invalid_request", message: "AADSTS500011: unknown resource", hint: wrongScope},
		{status: 400, code: "unauthorized_client", message: "x"},
		{status: 403, code: "access_denied", message: "x"},
		{status: 400, code: "unsupported_response_type", message: "x"},
		{status: 400, code: "invalid_scope", message: "x"},
		{status: 400, code: "bad_request", message: "x"},
		{status: 403, code: "forbidden", message: "x"},
		{status: 500, body: "imds/server-error.json", code: "server_error",
			message: "Failed to retrieve a token"},
		{status: 503, code: "service_unavailable", message: "x"},
		{status: 404, body: "imds/not-found.json", code: "not_found", message: "IMDS is being updated",
			hint: updatedIMDS},
		{name: "gone", status: 410, hint: updatedIMDS},
		{status: 405, body: "imds/method-not-allowed.json", code: "method_not_allowed",
			message: "Method not allowed"},
		{status: 429, body: "imds/throttled.json", code: "too_many_requests",
			message: "Too many requests", sentinel: ErrThrottled, hint: "IMDS serves 20 token requests " +
				"a second and 5 at once per VM: what else on this VM asks it?"},
		{name: "another path's error", id: ClientID(guid), status: 400, body: "imds/other-path.json",
			code: "Bad request. api-version was not specified in the request"},
		{name: "a message that quotes", status: 403, code: "access_denied",
			body:    `{"error":"access_denied","error_description":"He said \"no\"\r\n\tand left"}`,
			message: `He said "no" and left`},
		{name: "Docker Desktop", status: 403, body: "connecting to 169.254.169.254:80: dial tcp: no",
			message: "connecting to 169.254.169.254:80: dial tcp: no", foreign: true, hint: movedIMDS},
		{name: "a gateway", status: 404, body: "<html>no</html>", message: "<html>no</html>",
			foreign: true, hint: movedIMDS},
	},
	"App Service": {
		{name: "no identity", status: 400, body: "appservice/no-identity.json", message: noProper,
			correlation: corID, sentinel: ErrIdentityNotFound,
			hint: "is the system-assigned identity of this app switched on (on Container Apps: and not " +
				"withheld by identitySettings)? Set CredentialOptions.ID to choose a user-assigned one"},
		{name: "no client ID", id: ClientID(guid), status: 400, body: "appservice/not-assigned.json",
			message: delegated, correlation: corID, sentinel: ErrIdentityNotFound,
			hint: "is client ID " + guid + " " + assignedApp},
		{name: "no object ID", id: ObjectID(guid), status: 400, message: delegated,
			sentinel: ErrIdentityNotFound, hint: "is object ID " + guid + " " + assignedApp},
		{name: "no resource ID", id: ResourceID(identityID), status: 400,
			body: "appservice/requested-identity.json", message: noRequested, correlation: corID,
			sentinel: ErrIdentityNotFound, hint: "is resource ID " + identityID + " " + assignedApp},
		{name: "nested", id: ClientID(guid), status: 400, body: "appservice/nested-error.json",
			code: "BadRequest", message: noRequested, sentinel: ErrIdentityNotFound,
			hint: "is client ID " + guid + " " + assignedApp},
		{name: "nested, correlation ID in the header", id: ClientID(guid), status: 400,
			body: "appservice/nested-error.json", header: []string{"X-CORRELATION-ID", corID},
			code: "BadRequest", message: noRequested, correlation: corID, sentinel: ErrIdentityNotFound,
			hint: "is client ID " + guid + " " + assignedApp},
		{name: "resource unknown", id: ClientID(guid), status: 400,
			body: "appservice/resource-unknown.json", message: nopeEntra, correlation: corID,
			hint: wrongScope},
		{name: "server error", status: 500, body: "appservice/server-error.json",
			message:     "An unexpected error occured while fetching the AAD Token.",
			correlation: corID, hint: "App Service" + slashAtEnd},
		{name: "Container Apps' 403", status: 403,
			hint: refusedSecret("IDENTITY_HEADER", " or inherited from another app")},
		{name: "401", status: 401, message: "Unauthorized",
			hint: refusedSecret("IDENTITY_HEADER", " or inherited from another app")},
		{name: "Container Apps' 405", status: 405,
			hint: "does IDENTITY_ENDPOINT name this app's token endpoint?"},
		{name: "throttled", status: 429, body: `{"statusCode":429,"message":"slow down"}`,
			header: []string{"X-CORRELATION-ID", corID}, message: "slow down", correlation: corID,
			sentinel: ErrThrottled},
		{name: "a proxy's page", status: 400, body: "<html>no</html>", message: "<html>no</html>"},
	},
	"Azure ML": {
		{name: "nested", id: ClientID(guid), status: 400, code: "IdentityNotFound", message: "none",
			sentinel: ErrIdentityNotFound,
			hint:     "is client ID " + guid + " assigned to this compute or app?"},
		{name: "text", status: 400, body: "SSO failure: no token", message: "SSO failure: no token",
			hint: "has this compute an identity? Without one, and with single sign-on, " +
				"it asks for the token of the user who is signed in to it"},
		{name: "page", id: ClientID(guid), status: 400, body: "<html>no</html>",
			message: "<html>no</html>"},
		{name: "secret refused", status: 401, code: "Unauthorized", message: "Unauthorized",
			hint: refusedSecret("MSI_SECRET", " or inherited from elsewhere")},
		{name: "secret refused without a word", status: 403,
			hint: refusedSecret("MSI_SECRET", " or inherited from elsewhere")},
		{name: "wrong path", status: 404, hint: "does MSI_ENDPOINT name the token endpoint?"},
		{name: "throttled", status: 429, code: "TooManyRequests", message: "slow down",
			sentinel: ErrThrottled},
	},
	"legacy App Service": {
		{name: "no client ID", id: ClientID(guid), status: 400,
			body: "appservice2017/not-assigned.json", message: delegated, correlation: corID,
			sentinel: ErrIdentityNotFound,
			hint:     "is client ID " + guid + " assigned to this compute or app?"},
		{name: "no identity", status: 400, body: "appservice2017/no-identity.json", message: noProper,
			correlation: corID, sentinel: ErrIdentityNotFound,
			hint: "has this compute or app a system-assigned identity? " +
				"Set CredentialOptions.ID to a ClientID to choose a user-assigned one"},
		{name: "resource unknown", status: 400, body: "appservice2017/resource-unknown.json",
			code: "invalid_resource", message: nopeEntra, correlation: corID, hint: wrongScope},
		{name: "server error", status: 500, body: "appservice2017/server-error.json",
			message:     "An unexpected error occured while fetching the AAD Token.",
			correlation: corID},
	},
	"Cloud Shell": {
		{name: "audience", status: 400, body: "cloudshell/audience-not-supported.json",
			code:    "AudienceNotSupported",
			message: "Audience https://vault.azure.net is not a supported MSI token audience.",
			hint: "Cloud Shell has tokens for some resources only: run az login, and then this with " +
				"AZURE_TOKEN_CREDENTIALS=AzureCLICredential and NewDefaultCredential"},
		{name: "header missing", status: 400, code: "BadRequest", message: metadata,
			hint: withoutHeader("Metadata")},
		{name: "page", status: 400, body: "<html>no</html>", message: "<html>no</html>"},
		{name: "404", status: 404},
		{name: "throttled", status: 429, code: "TooManyRequests", message: "slow down",
			sentinel: ErrThrottled},
		{name: "server error", status: 500, code: "InternalServerError", message: "oops"},
	},
	// https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code#error-handling
	"Service Fabric": {
		{name: "secret missing", status: 400, body: "servicefabric/secret-header-not-found.json",
			code: "SecretHeaderNotFound", message: "Secret is not found in the request headers.",
			correlation: fabricCor, hint: withoutHeader("Secret")},
		{name: "no identity", status: 404, body: "servicefabric/managed-identity-not-found.json",
			code:        "ManagedIdentityNotFound",
			message:     "Managed identity not found for the specified application host.",
			correlation: fabricCor, sentinel: ErrIdentityNotFound,
			hint: "does the application's manifest assign a managed identity to this service, " +
				"and is IDENTITY_HEADER this process's own?"},
		{name: "its code with another status", status: 403, code: "ManagedIdentityNotFound",
			message: "x"},
		{name: "resource missing", status: 400, body: "servicefabric/argument-null-or-empty.json",
			code: "ArgumentNullOrEmpty", correlation: fabricCor,
			message: "The parameter 'resource' should not be null or empty string."},
		{name: "version", status: 400, body: "servicefabric/invalid-api-version.json",
			code: "InvalidApiVersion", correlation: fabricCor,
			message: "The api-version '2018-02-01' is not supported. " +
				"Supported version is '2019-07-01-preview'.",
			hint: "IDENTITY_API_VERSION chooses the version: unset it to ask for 2019-07-01-preview"},
		{name: "server error", status: 500, body: "servicefabric/internal-server-error.json",
			code: "InternalServerError", message: "An error occurred.", correlation: fabricCor,
			hint: "Service Fabric" + slashAtEnd},
		{name: "throttled, as text", status: 429, body: fabricLimit, message: fabricLimit,
			sentinel: ErrThrottled, hint: "what else of this application asks for tokens?"},
		{name: "throttled, without a word", status: 429, sentinel: ErrThrottled,
			hint: "what else of this application asks for tokens?"},
		{name: "resource unknown", status: 400, code: "invalid_resource", message: nopeEntra,
			hint: wrongScope},
		{name: "404 of something else", status: 404, code: "NotFound", message: "no such path"},
		{name: "404, without a word", status: 404},
		{name: "a page that mentions the code", status: 404,
			body: "<html>ManagedIdentityNotFound</html>", message: "<html>ManagedIdentityNotFound</html>"},
	},
	// https://github.com/Azure/azure-sdk-for-net/issues/45547
	"Windows containers": {
		{name: "no identity", status: 404, body: "containerinstances/default-identity-not-defined.json",
			code: "DefaultIdentityNotDefined", message: "DefaultIdentityNotDefined",
			header: []string{"x-ms-request-id", guid}, correlation: guid, sentinel: ErrIdentityNotFound,
			hint: "has this container group a system-assigned identity? " +
				"Set CredentialOptions.ID to the ObjectID of a user-assigned one"},
		{name: "no object ID", id: ObjectID(guid), status: 404, code: "DefaultIdentityNotDefined",
			message: "x", sentinel: ErrIdentityNotFound, hint: "is object ID " + guid +
				" the principal ID of an identity that is assigned to this container group?"},
		{name: "another 404", status: 404, code: "NotFound", message: "Not Found"},
		{name: "secret missing", status: 400, code: "SecretHeaderNotFound",
			message: "Secret is not found in the request headers.", hint: withoutHeader("Secret")},
		{name: "secret refused", status: 403, hint: refusedSecret("IDENTITY_HEADER", "")},
		{name: "throttled", status: 429, code: "TooManyRequests", message: "x", sentinel: ErrThrottled},
	},
	"Azure Arc": {
		{name: "no client ID", id: ClientID(guid), status: 404, body: "arc/identity-not-found.json",
			code: "identity_not_found", message: "Identity not found", sentinel: ErrIdentityNotFound,
			hint: "is client ID " + guid + " " + assignedArc},
		{name: "no object ID", id: ObjectID(guid), status: 404, code: "identity_not_found",
			message: "x", sentinel: ErrIdentityNotFound, hint: "is object ID " + guid + " " + assignedArc},
		{name: "no resource ID", id: ResourceID(identityID), status: 404, code: "identity_not_found",
			message: "x", sentinel: ErrIdentityNotFound,
			hint: "is resource ID " + identityID + " " + assignedArc},
		{name: "no identity", status: 404, code: "identity_not_found", message: "x",
			sentinel: ErrIdentityNotFound,
			hint:     "is this server connected (azcmagent show), and its system-assigned identity there?"},
		{name: "another 404", id: ClientID(guid), status: 404, code: "not_found", message: "x"},
		{name: "key refused", status: 401, code: "unauthorized", message: "x",
			hint: "the agent refused the key that it had just written: " +
				"is more than one agent installed here?"},
		{name: "resource unknown", status: 400, body: entraBody("invalid_resource", 500011, "x", `\r\n`),
			code: "invalid_resource", message: "AADSTS500011: x", correlation: corID, hint: wrongScope},
		{name: "header missing", id: ClientID(guid), status: 400, body: "arc/metadata-missing.json",
			code: "invalid_request", message: metadata, hint: withoutHeader("Metadata")},
		{name: "server error", status: 500, code: "server_error", message: "x",
			hint: "is this server connected (azcmagent show)? " +
				"One that was offline for months has to be connected anew"},
		{name: "throttled", status: 429, code: "too_many_requests", message: "x",
			sentinel: ErrThrottled},
	},
	// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
	"workload identity": {
		{name: "no such application", status: 400, code: "unauthorized_client", number: 700016,
			message:  "Application with identifier 'x' was not found in the directory 'y'.",
			sentinel: ErrIdentityNotFound, hint: "an identity of tenant " + fakeTenant},
		{name: "no federated credential", status: 400, code: "invalid_request", number: 70021,
			message:  "No matching federated identity record found for presented assertion.",
			sentinel: ErrIdentityNotFound, hint: "federated credential"},
		{name: "issuer", status: 401, code: "invalid_client", number: 700211,
			message:  "No matching federated identity record found for presented assertion issuer 'z'.",
			sentinel: ErrIdentityNotFound, hint: "issuer"},
		{name: "audience", status: 401, code: "invalid_client", number: 700212,
			message:  "No matching federated identity record found for presented assertion audience 'z'.",
			sentinel: ErrIdentityNotFound, hint: "api://AzureADTokenExchange"},
		{name: "subject", status: 401, code: "invalid_client", number: 700213,
			message:  "No matching federated identity record found for presented assertion subject 'z'.",
			sentinel: ErrIdentityNotFound, hint: "this service account"},
		{name: "no such tenant", status: 400, code: "invalid_request", number: 90002,
			message: "Tenant 'y' not found.", hint: "AZURE_TENANT_ID"},
		{name: "no such resource", status: 400, code: "invalid_resource", number: 500011,
			message: "The resource principal named z was not found.",
			hint:    "is the scope a resource"},
		{name: "several lines", status: 400, code: "invalid_scope", correlation: corID,
			body:    entraBody("invalid_scope", 70011, "The scope is not valid.", `\r\n`),
			message: "AADSTS70011: The scope is not valid.", hint: "is the scope a resource"},
		{name: "throttled", status: 429, code: "temporarily_unavailable", number: 90055,
			message: "There are too many incoming requests.", sentinel: ErrThrottled},
		{name: "passing", status: 503, code: "temporarily_unavailable", number: 90033,
			message: "A transient error has occurred. Please try again."},
		{name: "numbers without a text", status: 400, code: "invalid_client", correlation: corID,
			body:    `{"error":"invalid_client","error_codes":[700016],"correlation_id":"` + corID + `"}`,
			message: "AADSTS700016:", sentinel: ErrIdentityNotFound, hint: "an identity of tenant"},
		{name: "a proxy's page", status: 403, body: "<html>no</html>", message: "<html>no</html>",
			foreign: true, hint: "HTTPS_PROXY"},
	},
}

// filled is a row with what the host's own shape gives it.
func (b errorBody) filled(tb testing.TB, p place) errorBody {
	if b.name == "" {
		b.name = b.code
	}
	switch {
	case strings.HasSuffix(b.body, ".json"):
		b.body = sampleOf(tb, b.body)
	case b.number > 0:
		b.body = entraBody(b.code, b.number, b.message, "")
		b.message, b.correlation = fmt.Sprintf("AADSTS%d: %s", b.number, b.message), corID
	case b.body == "" && b.code+b.message != "":
		b.body = p.problem(b.code, b.message)
		if strings.Contains(b.body, "c0ffee") {
			b.correlation = "c0ffee"
		}
	}
	return b
}

// text is the error that a host's refusal must become.
func (b errorBody) text(s *site, attempts int) string {
	text := fmt.Sprintf("identity: %s: %d", s.host, b.status)
	if b.code != "" {
		text += " " + b.code
	}
	if b.message != "" {
		text += fmt.Sprintf(" %q", b.message)
	}
	switch {
	case b.foreign:
		text += ": not an answer of " + s.host.String()
	case b.code+b.message == "":
		text += ": without a word, from " + s.endpoint()
	}
	text += fmt.Sprintf(" (token for https://vault.azure.net, %d attempt", attempts)
	if attempts > 1 {
		text += "s"
	}
	text += ", 0s"
	if b.correlation != "" {
		text += ", correlation ID " + b.correlation
	}
	if text += ")"; b.hint != "" {
		text += ": " + strings.ReplaceAll(b.hint, " ENDPOINT ", " "+s.endpoint()+" ")
	}
	return text
}

func (b errorBody) check(t *testing.T, s *site, e *AuthenticationError, attempts int) {
	t.Helper()
	type fields struct {
		Status, Attempts, Sent int
		Code, Message, CorID   string
	}
	want := fields{b.status, attempts, attempts, b.code, b.message, b.correlation}
	got := fields{e.StatusCode, e.Attempts, s.sent(), e.Code, e.Message, e.CorrelationID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if b.id != nil && e.ID != b.id {
		t.Errorf("the error is about %v, want %v", e.ID, b.id)
	}
	for _, sentinel := range sentinels {
		if got, want := errors.Is(e, sentinel), sentinel == b.sentinel; got != want {
			t.Errorf("errors.Is(%q) is %v, want %v: %v", sentinel, got, want, e)
		}
	}
	if s.host == HostWorkloadIdentity {
		wantErrorText(t, e, s.host.String(), fmt.Sprint(b.status), b.code, b.correlation, b.hint,
			fmt.Sprintf("%q", b.message))
	} else if diff := cmp.Diff(b.text(s, attempts), e.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if e.RawResponse == nil || e.RawResponse.StatusCode != b.status {
		t.Fatalf("RawResponse is %+v", e.RawResponse)
	}
	if body, err := io.ReadAll(e.RawResponse.Body); err != nil || string(body) != b.body {
		t.Errorf("RawResponse's body is %q (%v), want %q", body, err, b.body)
	}
	if r := e.RawResponse.Request; r == nil || r.URL.Host == "" || len(r.Header) != 0 {
		t.Errorf("RawResponse.Request is %+v, want one with an address and without headers", r)
	}
	var response *azcore.ResponseError
	if errors.As(e, &response) {
		t.Error("it looks like the caller's own failed request")
	}
}

var sentinels = []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled}

// assigned has all the IDs that errorBodies ask for.
var assigned = identitytest.Identity{ClientID: guid, ObjectID: guid, ResourceID: identityID}

// TestHostErrorBodies: what a host says, a program and a person can read. Azure Arc says it in
// place of the challenge, too.
func TestHostErrorBodies(t *testing.T) {
	for _, p := range places {
		if len(errorBodies[p.name]) == 0 {
			t.Errorf("no errors of %s", p.name)
		}
		for _, row := range errorBodies[p.name] {
			b := row.filled(t, p)
			for step := range p.steps {
				if step > 0 && b.status == http.StatusUnauthorized {
					continue // that is a challenge
				}
				bubbleIn(t, fmt.Sprint(p.name, "/", b.name, "/", p.steps-step), func(t *testing.T) {
					s := p.open(t, func(o *identitytest.Options) {
						if b.id != nil && p.host == HostArc { // whose challenge is about it, too
							o.Identities = []identitytest.Identity{assigned}
						}
					})
					reply := s.own(b.status, b.body, b.header...)
					if b.foreign {
						reply.Header = http.Header{"Content-Type": {"text/plain"}}
					}
					if step == 0 {
						s.answer(reply)
					} else {
						s.ep.Enqueue(reply)
					}
					e, took := mustFail(t, s.credential(t, once, withID(b.id)))
					if took != 0 {
						t.Errorf("it took %v", took.Round(time.Millisecond))
					}
					b.check(t, s, e, p.steps-step)
				})
			}
		}
	}
}
