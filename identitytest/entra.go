package identitytest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// entraError is a refusal of Entra's. Its codes are listed with their meaning, though not with the
// exact texts, in
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
type entraError struct {
	status int
	name   string // that OAuth has for it
	code   int    // that follows AADSTS
	text   string
}

// entraProblem is the body of one, which hosts that ask Entra pass on as it is.
type entraProblem struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
}

// answer is the answer to a request with that correlation ID.
func (e entraError) answer(correlationID string) answer {
	problem := e.problem(correlationID)
	return entraAnswer(e.status, problem.TraceID, problem)
}

func (e entraError) problem(correlationID string) entraProblem {
	traceID, timestamp := randomGUID(), time.Now().UTC().Format("2006-01-02 15:04:05Z")
	return entraProblem{
		Error: e.name,
		Description: fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			e.code, e.text, traceID, correlationID, timestamp),
		Codes:         []int{e.code},
		Timestamp:     timestamp,
		TraceID:       traceID,
		CorrelationID: correlationID,
		URI:           fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.code),
	}
}

func entraAnswer(status int, traceID string, body any) answer {
	a := jsonAnswer(status, body)
	a.header.Set("Cache-Control", "no-store, no-cache")
	a.header.Set("Pragma", "no-cache")
	a.header.Set("x-ms-request-id", traceID)
	return a
}

func missingParameter(name string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 900144,
		fmt.Sprintf("The request body must contain the following parameter: '%s'.", name)}
}

func malformed(problem string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 9002313,
		"Invalid request. Request is malformed or invalid. " + problem + "."}
}

func notPosted(method string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 900561,
		fmt.Sprintf("The endpoint only accepts POST requests. Received a %s request.", method)}
}

func unknownTenant(tenant string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 90002,
		fmt.Sprintf("Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", tenant)}
}

func unsupportedGrant(grant string) *entraError {
	return &entraError{http.StatusBadRequest, "unsupported_grant_type", 70003,
		fmt.Sprintf("The app requested an unsupported grant type '%s'.", grant)}
}

func unknownClient(client, tenant string) *entraError {
	return &entraError{http.StatusBadRequest, "unauthorized_client", 700016,
		fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'. "+
			"This can happen if the application has not been installed by the administrator of the tenant.", client, tenant)}
}

func invalidScope(scope string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_scope", 70011,
		fmt.Sprintf("The provided request must include a 'scope' input parameter. The provided value for the input "+
			"parameter 'scope' is not valid. The scope '%s' is not valid.", scope)}
}

// userScope is the refusal of a scope such as https://graph.microsoft.com/Mail.Read, which only a
// user can grant.
func userScope(scope string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_scope", 1002012,
		fmt.Sprintf("The provided value for scope %s is not valid. Client credential flows must have a scope value "+
			"with /.default suffixed to the resource identifier (application ID URI).", scope)}
}

// badClaims: which code the real endpoint has for it isn't known. This one is for any parameter
// that is invalid.
func badClaims() *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 90100,
		"The 'claims' parameter is empty or not valid."}
}

func noAssertion() *entraError {
	return &entraError{http.StatusBadRequest, "invalid_request", 7000216,
		"'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."}
}

func malformedAssertion() *entraError {
	return &entraError{http.StatusUnauthorized, "invalid_client", 50027,
		"JWT token is invalid or malformed."}
}

func expiredAssertion() *entraError {
	return &entraError{http.StatusUnauthorized, "invalid_client", 700024,
		"Client assertion is not within its valid time range. " +
			"Please review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials."}
}

// strangeAssertion is the refusal of an assertion that no federated credential fits, by what
// doesn't: its issuer (700211), audience (700212) or subject (700213).
func strangeAssertion(code int, what, value string) *entraError {
	return &entraError{http.StatusUnauthorized, "invalid_client", code,
		fmt.Sprintf("No matching federated identity record found for presented assertion %s '%s'. Please check your "+
			"federated identity credential Subject, Audience and Issuer against the presented assertion. "+
			"https://learn.microsoft.com/entra/workload-id/workload-identity-federation", what,
			value)}
}

// otherLetters is the refusal of a subject whose letters are in another case.
func otherLetters(subject string) *entraError {
	e := strangeAssertion(7002138, "subject", subject)
	e.text = strings.Replace(e.text, "'. Please", "'. The subject matches with case-insensitive "+
		"comparison, but not with case-sensitive comparison. Please", 1)
	return e
}

// noCredentials is the refusal of any assertion for an application that trusts nobody.
func noCredentials(clientID string) *entraError {
	return &entraError{http.StatusUnauthorized, "invalid_client", 70025,
		fmt.Sprintf("The client '%s' has no configured federated identity credentials.", clientID)}
}

func unsignedAssertion() *entraError {
	return &entraError{http.StatusUnauthorized, "invalid_client", 700027,
		"Client assertion failed signature validation."}
}

// entraFailure is the likeliest error of that status.
func entraFailure(status int) *entraError {
	switch {
	case status == http.StatusBadRequest:
		return unknownClient(guidOf("nobody"), tenantID)
	case status == http.StatusUnauthorized:
		return expiredAssertion()
	case status == http.StatusTooManyRequests:
		return &entraError{status, "temporarily_unavailable", 90055,
			"There are too many incoming requests."}
	case status == http.StatusInternalServerError:
		return &entraError{status, "server_error", 50000, "There was an error issuing a token."}
	case status > http.StatusInternalServerError:
		return &entraError{status, "temporarily_unavailable", 90033,
			"A transient error has occurred. Please try again."}
	}
	return &entraError{status, "invalid_request", 9002313,
		"Invalid request. Request is malformed or invalid."}
}
