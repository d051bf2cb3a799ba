package assertion

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
)

// read finds the assertion in an answer, or says why there is none. Of a success not a byte is
// shown: it may be a token in an unknown wrapping.
func (j *job) read(resp *http.Response, secrets []string) (string, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil { // it was read wholly before
		return "", failure.AtNextTry(errors.New(j.name + ": the answer was cut short"))
	}
	page := isPage(resp.Header, body)
	switch {
	case resp.StatusCode == http.StatusOK && !page:
		assertion, err := textIn(body, j.field)
		switch {
		case err != nil: // cut short on its way, most likely
			return "", failure.AtNextTry(errors.New(j.name + ": the answer is not JSON: is a proxy or a " +
				"gateway in the way?"))
		case assertion == "":
			return "", errors.New(j.name + ": the answer has no token in " + j.field + ": does " +
				j.endpoint + " have the endpoint for tokens?")
		}
		return assertion, nil
	case page:
		body = nil
	}
	refusal := errors.New(j.refusal(resp, body, page, secrets))
	if status := resp.StatusCode; status == http.StatusRequestTimeout ||
		status == http.StatusTooManyRequests || status >= 500 {
		return "", failure.After(refusal, retry.After(resp.Header, time.Now()))
	}
	return "", refusal
}

// refusal is the line for an answer without an assertion. A page of HTML is not quoted.
func (j *job) refusal(resp *http.Response, body []byte, page bool, secrets []string) string {
	status, what := resp.StatusCode, ""
	header := redact.Header(resp.Header, secrets)
	var said failure.Said
	if status >= 300 {
		if stray, _ := textIn(body, j.field); len(stray) >= redact.LeastSecret {
			secrets = append(slices.Clip(secrets), stray)
		}
		clean := redact.NewIndex(secrets)
		said = failure.Read(header, clean.Conceal(string(body)), clean.Text)
	}
	switch {
	case status >= 300 && status < 400:
		what = "a redirect, which is not followed"
	case page:
		what = "a page of HTML"
	case said.Code == "" && said.Message == "":
		what = "without a word"
	}
	words := []string{fmt.Sprint(status)}
	if said.Code != "" {
		words = append(words, said.Code)
	}
	if said.Message != "" {
		words = append(words, fmt.Sprintf("%q", said.Message))
	}
	if what != "" {
		words[len(words)-1] += ":"
		words = append(words, what)
	}
	line := j.name + ": " + strings.Join(words, " ")
	line += traces(header, said.CorrelationID)
	hint := j.hint(status)
	if page && hint == "" {
		hint = "is a proxy or a gateway in the way of " + j.endpoint + "?"
	}
	if hint != "" {
		line += ": " + hint
	}
	return redact.Printable(line)
}

// traces are what the endpoint's people find the request by, "" for nothing.
func traces(header http.Header, id string) string {
	var all []string
	id = cmp.Or(header.Get("X-Vss-E2eid"), header.Get("X-Github-Request-Id"), id)
	for _, trace := range [][2]string{
		{"correlation ID ", id}, {"x-msedge-ref ", header.Get("X-Msedge-Ref")},
	} {
		if value := redact.Line(trace[1]); value != "" {
			all = append(all, trace[0]+value)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// isPage reports whether an answer is a page for people: of a proxy, or of a service that wants
// them to sign in.
func isPage(header http.Header, body []byte) bool {
	return strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html") ||
		bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// textIn is the text in a field of a JSON object, "" if there is none. The field's name is exact.
func textIn(body []byte, field string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", err
	}
	var text string
	if json.Unmarshal(fields[field], &text) != nil {
		return "", nil
	}
	return text, nil
}
