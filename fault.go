package identity

import (
	"encoding/json"
	"net/http"
	"strings"
)

// fault is what a host says of a failure, whichever of the hosts' shapes it came in.
type fault struct {
	code, message, correlationID string
	structured                   bool // it was one of the hosts' shapes, not text
}

// each applies a function to each of the texts.
func (f fault) each(change func(string) string) fault {
	f.code, f.message, f.correlationID = change(f.code), change(f.message), change(f.correlationID)
	return f
}

// fromEntra reports whether the failure was Entra's and not the host's: then it has an AADSTS number.
func (f fault) fromEntra() bool { return strings.Contains(f.message, "AADSTS") }

// parseFault reads an error body:
//
//	{"error": "invalid_request", "error_description": "…", "correlation_id": "…"}   IMDS, Arc, Entra
//	{"error": {"code": "…", "message": "…", "correlationId": "…"}}                  Service Fabric, Cloud Shell
//	{"statusCode": 400, "message": "…", "correlationId": "…"}                       App Service
//
// and anything else as text.
func parseFault(header http.Header, body string) fault {
	type object struct {
		Error         json.RawMessage `json:"error"`
		Description   json.RawMessage `json:"error_description"`
		Code          json.RawMessage `json:"code"`
		Message       json.RawMessage `json:"message"`
		CorrelationID json.RawMessage `json:"correlationId"`
		Correlation   json.RawMessage `json:"correlation_id"`
	}
	var f fault
	var outer, inner object
	if json.Unmarshal([]byte(body), &outer) == nil {
		_ = json.Unmarshal(outer.Error, &inner) // a string there leaves inner empty
		f = fault{
			code:          firstOf(text(outer.Error), firstOf(text(inner.Code), text(outer.Code))),
			message:       firstOf(text(outer.Description), firstOf(text(outer.Message), text(inner.Message))),
			correlationID: firstOf(text(outer.CorrelationID), firstOf(text(outer.Correlation), text(inner.CorrelationID))),
		}
	}
	if f.structured = f != (fault{}); !f.structured {
		f.message = body
	}
	if f.correlationID == "" {
		f.correlationID = firstOf(header.Get("X-Correlation-Id"), header.Get("X-Ms-Request-Id"))
	}
	return f.each(oneLine)
}
