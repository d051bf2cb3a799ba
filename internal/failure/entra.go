package failure

import (
	"cmp"
	"regexp"
	"strings"
)

// entraNumber finds Entra's number of a failure. They have up to 7 digits; a book of digits is no
// number.
var entraNumber = regexp.MustCompile(`AADSTS\d{1,10}`)

// EntraNumber is the first number of Entra's in a text, such as "AADSTS700016"; "" if there is
// none.
func EntraNumber[T []byte | string](text T) string { return entraNumber.FindString(string(text)) }

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
	m, known := entraNumbers[number]
	return m, known
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
var entraNumbers = map[string]Meaning{
	// A federation that isn't everywhere yet, or that one of Entra's machines doesn't find.
	"AADSTS70021": {Again, AboutTrust},
	// the client has no federated credential at all: the first one is new
	"AADSTS70025":  {Again, AboutTrust},
	"AADSTS700211": {Again, AboutTrust}, // issuer
	"AADSTS700213": {Again, AboutTrust}, // subject
	// The issuer's documents, which Entra reads when it needs them.
	"AADSTS50166":  {Again, AboutIssuer}, // ExternalClaimsProviderThrottled
	"AADSTS90061":  {Again, AboutIssuer},
	"AADSTS501661": {Again, AboutIssuer},
	// Entra's own troubles.
	"AADSTS40010":  {Again, NoTopic}, // OAuth2IdPRetryableServerError
	"AADSTS50000":  {Again, NoTopic}, // TokenIssuanceError
	"AADSTS50033":  {Again, NoTopic}, // RetryableError
	"AADSTS50087":  {Again, NoTopic}, // SasRetryableError
	"AADSTS70012":  {Again, NoTopic}, // MsaServerError
	"AADSTS80005":  {Again, NoTopic}, // OnPremisePasswordValidatorUnpredictableWebException
	"AADSTS90006":  {Again, NoTopic}, // ExternalServerRetryableError
	"AADSTS90012":  {Again, NoTopic}, // RequestTimeout
	"AADSTS90024":  {Again, NoTopic}, // RequestBudgetExceededError
	"AADSTS90033":  {Again, NoTopic}, // MsodsServiceUnavailable
	"AADSTS90055":  {Again, NoTopic}, // TenantThrottlingError
	"AADSTS90090":  {Again, NoTopic}, // GraphRetryableError
	"AADSTS90091":  {Again, NoTopic}, // GraphServiceUnreachable
	"AADSTS501621": {Again, NoTopic}, // ClaimsTransformationTimeoutRegularExpressionTimeout
	// Too many equal requests in a short time: more of them are no help.
	"AADSTS50196": {Later, NoTopic}, // LoopDetected
	// The file's token has been read again by then, see workload.follow. The kubelet may write
	// another one.
	"AADSTS700024": {Later, AboutExpiry},

	"AADSTS70001":   {Never, AboutBlocked}, // UnauthorizedClient: the application is disabled
	"AADSTS7000112": {Never, AboutBlocked}, // UnauthorizedClientApplicationDisabled
	"AADSTS53003":   {Never, AboutBlocked}, // BlockedByConditionalAccess
	"AADSTS700011":  {Never, AboutClient},  // UnauthorizedClientAppNotFoundInOrgIdTenant
	"AADSTS700016":  {Never, AboutClient},  // UnauthorizedClient_DoesNotMatchRequest
	"AADSTS700038":  {Never, AboutClient},  // the client ID has not the form of one
	// the application has no service principal in the tenant
	"AADSTS7000229": {Never, AboutClient},
	// audience: the cluster asks for it, so that waiting changes nothing
	"AADSTS700212":  {Never, AboutTrust},
	"AADSTS7002138": {Never, AboutTrust},  // the letters' case differs, see Azure/login#517
	"AADSTS50013":   {Never, AboutIssuer}, // InvalidAssertion: signature
	"AADSTS50027":   {Never, AboutToken},  // InvalidJwtToken
	"AADSTS90002":   {Never, AboutTenant}, // InvalidTenantName
	"AADSTS900023":  {Never, AboutTenant}, // neither a GUID nor a domain
	"AADSTS90038":   {Never, AboutTenant}, // NationalCloudTenantRedirection
	"AADSTS50001":   {Never, AboutScope},  // InvalidResource
	"AADSTS500011":  {Never, AboutScope},  // InvalidResourceServicePrincipalNotFound
	"AADSTS500014":  {Never, AboutScope},  // the resource's service principal is disabled
	"AADSTS70011":   {Never, AboutScope},  // InvalidScope
	"AADSTS1002012": {Never, AboutScope},  // a scope without /.default
}

// Topic is what Entra's number is about.
func (s Said) Topic() Topic { return entraNumbers[s.Entra].Topic }

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
