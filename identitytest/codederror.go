package identitytest

import (
	"net/http"
	"strings"
)

const jsonType = "application/json; charset=utf-8"

// jsonAnswer is an answer with no header but the type of its body.
func jsonAnswer(status int, body any) answer {
	return answer{status: status, header: http.Header{"Content-Type": {jsonType}},
		body: string(marshal(body))}
}

// codedError is what Service Fabric, Azure ML and Cloud Shell have in {"error": …}.
type codedError struct {
	CorrelationID string `json:"correlationId,omitempty"`
	Code          string `json:"code"`
	Message       string `json:"message"`
}

func (e codedError) answer(status int) answer {
	return jsonAnswer(status, map[string]codedError{"error": e})
}

// codedFailure is the error for a status that the host has no code of its own for: that of HTTP, in
// one word. A status that is no error has no body.
func codedFailure(status int) answer {
	if status < 400 {
		return answer{status: status, header: make(http.Header)}
	}
	text := http.StatusText(status)
	return codedError{Code: strings.ReplaceAll(text, " ", ""), Message: text}.answer(status)
}
