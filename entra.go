package identity

import (
	"regexp"
	"strings"
)

// entraNumber finds Entra's number of a failure. They have up to 7 digits; a book of digits is no
// number.
var entraNumber = regexp.MustCompile(`AADSTS\d{1,10}`)

// topic is what a number of Entra's is about, as far as advice differs.
type topic uint8

const (
	noTopic      topic = iota
	aboutClient        // the client ID, or the application or identity that has it
	aboutTrust         // the federated credential
	aboutIssuer        // what Entra reads of the issuer
	aboutTenant        // the tenant or its cloud
	aboutScope         // the resource
	aboutExpiry        // the times of the assertion
	aboutToken         // the assertion is no token at all
	aboutBlocked       // a policy, or somebody who has switched the application off
)

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
var entraNumbers = map[string]struct {
	verdict verdict
	topic   topic
}{
	// A federation that isn't everywhere yet, or that one of Entra's machines doesn't find.
	"AADSTS70021": {again, aboutTrust},
	// the client has no federated credential at all: the first one is new
	"AADSTS70025":  {again, aboutTrust},
	"AADSTS700211": {again, aboutTrust}, // issuer
	"AADSTS700213": {again, aboutTrust}, // subject
	// The issuer's documents, which Entra reads when it needs them.
	"AADSTS50166":  {again, aboutIssuer}, // ExternalClaimsProviderThrottled
	"AADSTS90061":  {again, aboutIssuer},
	"AADSTS501661": {again, aboutIssuer},
	// Entra's own troubles.
	"AADSTS40010":  {again, noTopic}, // OAuth2IdPRetryableServerError
	"AADSTS50000":  {again, noTopic}, // TokenIssuanceError
	"AADSTS50033":  {again, noTopic}, // RetryableError
	"AADSTS50087":  {again, noTopic}, // SasRetryableError
	"AADSTS70012":  {again, noTopic}, // MsaServerError
	"AADSTS80005":  {again, noTopic}, // OnPremisePasswordValidatorUnpredictableWebException
	"AADSTS90006":  {again, noTopic}, // ExternalServerRetryableError
	"AADSTS90012":  {again, noTopic}, // RequestTimeout
	"AADSTS90024":  {again, noTopic}, // RequestBudgetExceededError
	"AADSTS90033":  {again, noTopic}, // MsodsServiceUnavailable
	"AADSTS90055":  {again, noTopic}, // TenantThrottlingError
	"AADSTS90090":  {again, noTopic}, // GraphRetryableError
	"AADSTS90091":  {again, noTopic}, // GraphServiceUnreachable
	"AADSTS501621": {again, noTopic}, // ClaimsTransformationTimeoutRegularExpressionTimeout
	// Too many equal requests in a short time: more of them are no help.
	"AADSTS50196": {later, noTopic}, // LoopDetected
	// The file's token has been read again by then, see workload.follow. The kubelet may write
	// another one.
	"AADSTS700024": {later, aboutExpiry},

	"AADSTS70001":   {never, aboutBlocked}, // UnauthorizedClient: the application is disabled
	"AADSTS7000112": {never, aboutBlocked}, // UnauthorizedClientApplicationDisabled
	"AADSTS53003":   {never, aboutBlocked}, // BlockedByConditionalAccess
	"AADSTS700011":  {never, aboutClient},  // UnauthorizedClientAppNotFoundInOrgIdTenant
	"AADSTS700016":  {never, aboutClient},  // UnauthorizedClient_DoesNotMatchRequest
	"AADSTS700038":  {never, aboutClient},  // the client ID has not the form of one
	// the application has no service principal in the tenant
	"AADSTS7000229": {never, aboutClient},
	// audience: the cluster asks for it, so that waiting changes nothing
	"AADSTS700212":  {never, aboutTrust},
	"AADSTS7002138": {never, aboutTrust},  // the letters' case differs, see Azure/login#517
	"AADSTS50013":   {never, aboutIssuer}, // InvalidAssertion: signature
	"AADSTS50027":   {never, aboutToken},  // InvalidJwtToken
	"AADSTS90002":   {never, aboutTenant}, // InvalidTenantName
	"AADSTS900023":  {never, aboutTenant}, // neither a GUID nor a domain
	"AADSTS90038":   {never, aboutTenant}, // NationalCloudTenantRedirection
	"AADSTS50001":   {never, aboutScope},  // InvalidResource
	"AADSTS500011":  {never, aboutScope},  // InvalidResourceServicePrincipalNotFound
	"AADSTS500014":  {never, aboutScope},  // the resource's service principal is disabled
	"AADSTS70011":   {never, aboutScope},  // InvalidScope
	"AADSTS1002012": {never, aboutScope},  // a scope without /.default
}

// noSuchClient reports whether Entra says that it doesn't know, or doesn't trust, the identity that
// was asked for. On which host that is said, and with which status, makes no difference.
func (f fault) noSuchClient() bool {
	topic := entraNumbers[f.entra].topic
	return topic == aboutClient || topic == aboutTrust
}

// entraHint is what to check after a refusal of Entra's, if the host itself knows no better.
func entraHint(id ID, f fault) string {
	who := "the identity"
	if id != nil {
		who = describeID(id)
	}
	switch entraNumbers[f.entra].topic {
	case aboutScope:
		return "Entra refused: is the scope a resource of this tenant and cloud?"
	case aboutClient:
		return "Entra refused: is " + who + " an identity of this tenant?"
	case aboutTrust:
		return "Entra refused: has " + who +
			" a federated credential with exactly this cluster's issuer, this service account and the audience of this cloud?"
	case aboutIssuer:
		return "Entra refused: " + issuerHint
	case aboutBlocked:
		return "Entra refused: " + who + blockedHint
	}
	return "Entra refused: https://login.microsoftonline.com/error?code=" +
		strings.TrimPrefix(f.entra, "AADSTS") + " says what that means"
}

const (
	issuerHint  = "can Entra read the discovery document and the keys of this cluster's issuer, and were the keys rotated a moment ago?"
	blockedHint = " has been disabled, or a Conditional Access policy for workload identities blocks it: its sign-in log in the Entra admin center says which"
)

// exchangeAudience is the audience that a service account's token must have in a cloud, which
// Entra's host name tells.
//
// hashicorp/terraform-provider-azurerm#28059 and hashicorp/terraform-provider-azuread#1755 have
// what happens without it.
func exchangeAudience(authority string) string {
	const public = "api://AzureADTokenExchange"
	authority = strings.ToLower(authority)
	for _, cloud := range []struct{ domain, suffix string }{
		{".microsoftonline.us", "USGov"},
		{".chinacloudapi.cn", "China"},
		{".microsoftonline.cn", "China"},
		{".eaglex.ic.gov", "USNat"},
		{".microsoft.scloud", "USSec"},
	} {
		if strings.HasSuffix(authority, cloud.domain) {
			return public + cloud.suffix
		}
	}
	return public
}
