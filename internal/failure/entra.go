package failure

import (
	"cmp"
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
)

// entraNumber finds Entra's number of a failure. They have up to 7 digits; a book of digits is no
// number.
var entraNumber = lazy.Regexp{Expr: `AADSTS\d{1,10}`}

// EntraNumber is the first number of Entra's in a text, such as "AADSTS700016"; "" if there is
// none.
func EntraNumber[T []byte | string](text T) string { return entraNumber.Get().FindString(string(text)) }

// Topic is what a number of Entra's is about, as far as advice differs.
type Topic uint8

const (
	NoTopic      Topic = iota
	AboutClient        // the client ID, or the application or identity that has it
	AboutTrust         // the federated credential
	AboutIssuer        // what Entra reads of the issuer
	AboutTenant        // the tenant or its cloud
	AboutScope         // the resource
	AboutExpiry        // the times of the assertion
	AboutToken         // the assertion is no token at all
	AboutBlocked       // a policy, or somebody who has switched the application off
)

// Meaning is what is known of a number of Entra's.
type Meaning struct {
	Verdict Verdict
	Topic   Topic
}

// EntraMeaning is the meaning of a number. It is false for one that is not known.
func EntraMeaning(number string) (Meaning, bool) {
	for _, n := range entraNumbers {
		if n.number == number {
			return n.Meaning, true
		}
	}
	return Meaning{}, false
}

// entraNumbers are the numbers that this package knows. What is not here is judged by its HTTP
// status. The names in the comments are Entra's own:
//
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
//
// That a refusal passes by itself is Entra's own word there (a transient or retryable error, a
// timeout, a service that is unavailable), or was seen in the field: in kedacore/keda#8152, 22 of
// 1,021 exchanges of a right federation were refused by 700213; Azure/azure-workload-identity#977
// has the same with 70021, #1200 with 700211, #273 says that a new federated credential takes up to
// some minutes; Azure/AKS#4029, Azure/azure-cli#28863 and Azure/azure-workload-identity#642 have an
// issuer that Entra couldn't reach for a moment.
var entraNumbers = []struct {
	number string
	Meaning
}{
	// A federation that isn't everywhere yet, or that one of Entra's machines doesn't find.
	{"AADSTS70021", Meaning{Again, AboutTrust}},
	// the client has no federated credential at all: the first one is new
	{"AADSTS70025", Meaning{Again, AboutTrust}},
	{"AADSTS700211", Meaning{Again, AboutTrust}}, // issuer
	{"AADSTS700213", Meaning{Again, AboutTrust}}, // subject
	// The issuer's documents, which Entra reads when it needs them.
	{"AADSTS50166", Meaning{Again, AboutIssuer}}, // ExternalClaimsProviderThrottled
	{"AADSTS90061", Meaning{Again, AboutIssuer}},
	{"AADSTS501661", Meaning{Again, AboutIssuer}},
	// Entra's own troubles.
	{"AADSTS40010", Meaning{Again, NoTopic}},  // OAuth2IdPRetryableServerError
	{"AADSTS50000", Meaning{Again, NoTopic}},  // TokenIssuanceError
	{"AADSTS50033", Meaning{Again, NoTopic}},  // RetryableError
	{"AADSTS50087", Meaning{Again, NoTopic}},  // SasRetryableError
	{"AADSTS70012", Meaning{Again, NoTopic}},  // MsaServerError
	{"AADSTS80005", Meaning{Again, NoTopic}},  // OnPremisePasswordValidatorUnpredictableWebException
	{"AADSTS90006", Meaning{Again, NoTopic}},  // ExternalServerRetryableError
	{"AADSTS90012", Meaning{Again, NoTopic}},  // RequestTimeout
	{"AADSTS90024", Meaning{Again, NoTopic}},  // RequestBudgetExceededError
	{"AADSTS90033", Meaning{Again, NoTopic}},  // MsodsServiceUnavailable
	{"AADSTS90055", Meaning{Again, NoTopic}},  // TenantThrottlingError
	{"AADSTS90090", Meaning{Again, NoTopic}},  // GraphRetryableError
	{"AADSTS90091", Meaning{Again, NoTopic}},  // GraphServiceUnreachable
	{"AADSTS501621", Meaning{Again, NoTopic}}, // ClaimsTransformationTimeoutRegularExpressionTimeout
	// Too many equal requests in a short time: more of them are no help.
	{"AADSTS50196", Meaning{Later, NoTopic}}, // LoopDetected
	// The file's token has been read again by then, see workload.follow. The kubelet may write
	// another one.
	{"AADSTS700024", Meaning{Later, AboutExpiry}},

	{"AADSTS70001", Meaning{Never, AboutBlocked}},   // UnauthorizedClient: the application is disabled
	{"AADSTS7000112", Meaning{Never, AboutBlocked}}, // UnauthorizedClientApplicationDisabled
	{"AADSTS53003", Meaning{Never, AboutBlocked}},   // BlockedByConditionalAccess
	{"AADSTS700011", Meaning{Never, AboutClient}},   // UnauthorizedClientAppNotFoundInOrgIdTenant
	{"AADSTS700016", Meaning{Never, AboutClient}},   // UnauthorizedClient_DoesNotMatchRequest
	{"AADSTS700038", Meaning{Never, AboutClient}},   // the client ID has not the form of one
	// the application has no service principal in the tenant
	{"AADSTS7000229", Meaning{Never, AboutClient}},
	// audience: the cluster asks for it, so that waiting changes nothing
	{"AADSTS700212", Meaning{Never, AboutTrust}},
	{"AADSTS7002138", Meaning{Never, AboutTrust}}, // the letters' case differs, see Azure/login#517
	{"AADSTS50013", Meaning{Never, AboutIssuer}},  // InvalidAssertion: signature
	{"AADSTS50027", Meaning{Never, AboutToken}},   // InvalidJwtToken
	{"AADSTS90002", Meaning{Never, AboutTenant}},  // InvalidTenantName
	{"AADSTS900023", Meaning{Never, AboutTenant}}, // neither a GUID nor a domain
	{"AADSTS90038", Meaning{Never, AboutTenant}},  // NationalCloudTenantRedirection
	{"AADSTS50001", Meaning{Never, AboutScope}},   // InvalidResource
	{"AADSTS500011", Meaning{Never, AboutScope}},  // InvalidResourceServicePrincipalNotFound
	{"AADSTS500014", Meaning{Never, AboutScope}},  // the resource's service principal is disabled
	{"AADSTS70011", Meaning{Never, AboutScope}},   // InvalidScope
	{"AADSTS1002012", Meaning{Never, AboutScope}}, // a scope without /.default
}

// Topic is what Entra's number is about.
func (s Said) Topic() Topic {
	m, _ := EntraMeaning(s.Entra)
	return m.Topic
}

// NoSuchClient reports whether Entra says that it doesn't know, or doesn't trust, the identity that
// was asked for. On which host that is said, and with which status, makes no difference.
func (s Said) NoSuchClient() bool {
	topic := s.Topic()
	return topic == AboutClient || topic == AboutTrust
}

// EntraHint is what to check after a refusal of Entra's, if the host itself knows no better. who is
// the identity that was asked for, "" for the host's default.
func (s Said) EntraHint(who string) string {
	who = cmp.Or(who, "the identity")
	switch s.Topic() {
	case AboutScope:
		return "Entra refused: is the scope a resource of this tenant and cloud?"
	case AboutClient:
		return "Entra refused: is " + who + " an identity of this tenant?"
	case AboutTrust:
		return "Entra refused: has " + who +
			" a federated credential with exactly this cluster's issuer, this service account " +
			"and the audience of this cloud?"
	case AboutIssuer:
		return "Entra refused: " + IssuerHint
	case AboutBlocked:
		return "Entra refused: " + who + BlockedHint
	}
	return "Entra refused: https://login.microsoftonline.com/error?code=" +
		strings.TrimPrefix(s.Entra, "AADSTS") + " says what that means"
}

// What a host adds to its own hints.
const (
	IssuerHint = "can Entra read the discovery document and the keys of this cluster's issuer, " +
		"and were the keys rotated a moment ago?"
	BlockedHint = " has been disabled, or a Conditional Access policy for workload identities " +
		"blocks it: its sign-in log in the Entra admin center says which"
)
