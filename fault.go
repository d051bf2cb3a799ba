package identity

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// fault is what a host says of a failure, whichever of the hosts' shapes it came in.
type fault struct {
	code, message, correlationID string
	entra                        string // Entra's number for it, such as "AADSTS700016"; "" if it isn't Entra's
	structured                   bool   // it was one of the hosts' shapes, not text
}

// each applies a function to each of the texts.
func (f fault) each(change func(string) string) fault {
	f.code, f.message, f.correlationID = change(f.code), change(f.message), change(f.correlationID)
	return f
}

// fromEntra reports whether the failure was Entra's and not the host's: then it has an AADSTS number.
func (f fault) fromEntra() bool { return f.entra != "" }

// misses is the header that the host says the request has to have, "" if it says nothing of one.
// IMDS and its kin have no code of their own for it, and the same words whatever the code: without
// them it would be the identity that is missing.
func (f fault) misses() string {
	switch {
	case f.code == "SecretHeaderNotFound":
		return "Secret"
	case f.code == "bad_request_102" ||
		strings.Contains(strings.ToLower(f.message), "metadata header"):
		return "Metadata"
	}
	return ""
}

var digits = regexp.MustCompile(`\d{1,10}`) // [500011], or "[500011]"

// parseFault reads an error body:
//
//	{"error": "invalid_request", "error_description": "…", "correlation_id": "…"}   IMDS, Arc, Entra
//	{"error": {"code": "…", "message": "…", "correlationId": "…"}}                  Service Fabric, Cloud Shell
//	{"statusCode": 400, "message": "…", "correlationId": "…"}                       App Service
//	{"ErrorCode": "…", "ExceptionMessage": "…", "CorrelationId": "…"}                legacy App Service
//
// and anything else as text. In a text that has a number of Entra's, such as what Microsoft's
// azure-workload-identity proxy says, the object around the number is read in the place of the
// whole, or the words from the number on.
//
// The texts are made clean before they are cut to one line.
func parseFault(header http.Header, body string, clean ...func(string) string) fault {
	f := faultIn([]byte(body))
	if f.structured = f != (fault{}); !f.structured {
		f = faultAround(body)
	}
	f.correlationID = cmp.Or(f.correlationID, header.Get("X-Correlation-Id"),
		header.Get("X-Ms-Request-Id"))
	for _, c := range clean {
		f = f.each(c)
	}
	return f.each(redact.Line)
}

// faultIn reads an object; it is empty if there is none, or one that says nothing.
func faultIn(body []byte) (f fault) {
	type object struct {
		Error         json.RawMessage `json:"error"`
		Description   json.RawMessage `json:"error_description"`
		Code          json.RawMessage `json:"code"`
		Message       json.RawMessage `json:"message"`
		CorrelationID json.RawMessage `json:"correlationId"`
		Correlation   json.RawMessage `json:"correlation_id"`
		ErrorCode     json.RawMessage `json:"errorCode"`
		Exception     json.RawMessage `json:"exceptionMessage"`
		EntraNumbers  json.RawMessage `json:"error_codes"`
	}
	var outer, inner object
	if json.Unmarshal(body, &outer) != nil {
		return fault{}
	}
	_ = json.Unmarshal(outer.Error, &inner) // a string there leaves inner empty
	f = fault{
		code: cmp.Or(token.TextOf(outer.Error), token.TextOf(inner.Code), token.TextOf(outer.Code),
			token.TextOf(outer.ErrorCode)),
		message: cmp.Or(token.TextOf(outer.Description), token.TextOf(outer.Message), token.TextOf(inner.Message),
			token.TextOf(outer.Exception)),
		correlationID: cmp.Or(token.TextOf(outer.CorrelationID), token.TextOf(outer.Correlation),
			token.TextOf(inner.CorrelationID)),
	}
	f.entra = entraNumber.FindString(f.message)
	if n := digits.FindString(string(outer.EntraNumbers)); f.entra == "" && n != "" {
		f.entra = "AADSTS" + n
		f.message = strings.TrimSpace(f.entra + ": " + f.message)
	}
	if f.entra != "" { // what follows repeats IDs and the time
		f.message, _, _ = strings.Cut(strings.TrimSpace(f.message), "\n")
		f.message, _, _ = strings.Cut(f.message, " Trace ID:")
	}
	return f
}

// faultAround reads a text.
func faultAround(body string) fault {
	at := entraNumber.FindStringIndex(body)
	if at == nil {
		return fault{message: body}
	}
	if begin := strings.LastIndexByte(body[:at[0]], '{'); begin >= 0 {
		var object json.RawMessage
		if json.NewDecoder(strings.NewReader(body[begin:])).Decode(&object) == nil {
			if f := faultIn(object); f.fromEntra() {
				f.structured = true
				return f
			}
		}
	}
	message := body[at[0]:]
	if end := strings.IndexAny(message, "\r\n\\<"); end >= 0 { // \ is of an escape, < of a page
		message = message[:end]
	}
	message, _, _ = strings.Cut(message, " Trace ID:")
	return fault{message: message, entra: body[at[0]:at[1]]}
}
