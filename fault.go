package identity

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
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

var (
	entraNumber = regexp.MustCompile(`AADSTS\d{1,10}`) // they have up to 7 digits; a book of digits is no number
	digits      = regexp.MustCompile(`\d{1,10}`)       // [500011], or "[500011]"
)

// parseFault reads an error body:
//
//	{"error": "invalid_request", "error_description": "…", "correlation_id": "…"}   IMDS, Arc, Entra
//	{"error": {"code": "…", "message": "…", "correlationId": "…"}}                  Service Fabric, Cloud Shell
//	{"statusCode": 400, "message": "…", "correlationId": "…"}                       App Service
//	{"ErrorCode": "…", "ExceptionMessage": "…", "CorrelationId": "…"}                legacy App Service
//
// and anything else as text.
//
// The texts are made clean before they are cut to one line.
func parseFault(header http.Header, body string, clean ...func(string) string) fault {
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
	var f fault
	var outer, inner object
	if json.Unmarshal([]byte(body), &outer) == nil {
		_ = json.Unmarshal(outer.Error, &inner) // a string there leaves inner empty
		f = fault{
			code:          cmp.Or(text(outer.Error), text(inner.Code), text(outer.Code), text(outer.ErrorCode)),
			message:       cmp.Or(text(outer.Description), text(outer.Message), text(inner.Message), text(outer.Exception)),
			correlationID: cmp.Or(text(outer.CorrelationID), text(outer.Correlation), text(inner.CorrelationID)),
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
	}
	if f.structured = f != (fault{}); !f.structured {
		f.message = body
		f.entra = entraNumber.FindString(body)
	}
	f.correlationID = cmp.Or(f.correlationID, header.Get("X-Correlation-Id"), header.Get("X-Ms-Request-Id"))
	for _, c := range clean {
		f = f.each(c)
	}
	return f.each(oneLine)
}
