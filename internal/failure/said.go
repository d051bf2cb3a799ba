package failure

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// Said is what a host says of a failure, whichever of the hosts' shapes it came in. The zero Said
// is that of one that says nothing.
type Said struct {
	Code, Message, CorrelationID string // each in one line

	Entra      string // Entra's number for it, such as "AADSTS700016"; "" if it isn't Entra's
	Structured bool   // it was one of the hosts' shapes, not text
}

// each applies a function to each of the texts.
func (s Said) each(change func(string) string) Said {
	s.Code, s.Message, s.CorrelationID = change(s.Code), change(s.Message), change(s.CorrelationID)
	return s
}

// FromEntra reports whether the failure was Entra's and not the host's: then it has an AADSTS
// number.
func (s Said) FromEntra() bool { return s.Entra != "" }

// MissingHeader is the header that the host says the request has to have, "" if it says nothing of
// one. IMDS and its kin have no code of their own for it, and the same words whatever the code:
// without them it would be the identity that is missing.
func (s Said) MissingHeader() string {
	switch {
	case s.Code == "SecretHeaderNotFound":
		return "Secret"
	case s.Code == "bad_request_102" ||
		strings.Contains(strings.ToLower(s.Message), "metadata header"):
		return "Metadata"
	}
	return ""
}

var digits = lazy.Regexp{Expr: `\d{1,10}`} // [500011], or "[500011]"

// Read reads an error body:
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
func Read(header http.Header, body string, clean ...func(string) string) Said {
	s := saidIn([]byte(body))
	if s.Structured = s != (Said{}); !s.Structured {
		s = saidAround(body)
	}
	s.CorrelationID = cmp.Or(s.CorrelationID, header.Get("X-Correlation-Id"),
		header.Get("X-Ms-Request-Id"))
	for _, c := range clean {
		s = s.each(c)
	}
	return s.each(redact.Line)
}

// saidIn reads an object; it is empty if there is none, or one that says nothing.
func saidIn(body []byte) (s Said) {
	type object struct {
		Error         json.RawMessage `json:"error"` // a text, or an object
		Description   token.Text      `json:"error_description"`
		Code          token.Text      `json:"code"`
		Message       token.Text      `json:"message"`
		CorrelationID token.Text      `json:"correlationId"`
		Correlation   token.Text      `json:"correlation_id"`
		ErrorCode     token.Text      `json:"errorCode"`
		Exception     token.Text      `json:"exceptionMessage"`
		EntraNumbers  json.RawMessage `json:"error_codes"`
	}
	var outer, inner object
	if json.Unmarshal(body, &outer) != nil {
		return Said{}
	}
	_ = json.Unmarshal(outer.Error, &inner) // a string there leaves inner empty
	s = Said{
		Code: cmp.Or(token.TextOf(outer.Error), string(inner.Code), string(outer.Code),
			string(outer.ErrorCode)),
		Message: string(cmp.Or(outer.Description, outer.Message, inner.Message,
			outer.Exception)),
		CorrelationID: string(cmp.Or(outer.CorrelationID, outer.Correlation,
			inner.CorrelationID)),
	}
	s.Entra = entraNumber.Get().FindString(s.Message)
	if n := digits.Get().FindString(string(outer.EntraNumbers)); s.Entra == "" && n != "" {
		s.Entra = "AADSTS" + n
		s.Message = strings.TrimSpace(s.Entra + ": " + s.Message)
	}
	if s.Entra != "" { // what follows repeats IDs and the time
		s.Message, _, _ = strings.Cut(strings.TrimSpace(s.Message), "\n")
		s.Message, _, _ = strings.Cut(s.Message, " Trace ID:")
	}
	return s
}

// saidAround reads a text.
func saidAround(body string) Said {
	at := entraNumber.Get().FindStringIndex(body)
	if at == nil {
		return Said{Message: body}
	}
	if begin := strings.LastIndexByte(body[:at[0]], '{'); begin >= 0 {
		var object json.RawMessage
		if json.NewDecoder(strings.NewReader(body[begin:])).Decode(&object) == nil {
			if s := saidIn(object); s.FromEntra() {
				s.Structured = true
				return s
			}
		}
	}
	message := body[at[0]:]
	if end := strings.IndexAny(message, "\r\n\\<"); end >= 0 { // \ is of an escape, < of a page
		message = message[:end]
	}
	message, _, _ = strings.Cut(message, " Trace ID:")
	return Said{Message: message, Entra: body[at[0]:at[1]]}
}
