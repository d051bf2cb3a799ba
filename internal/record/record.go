// Package record is the file that says what was asked of an identity endpoint and what came back,
// without a secret and without whose identity it was: examples/whoami writes one, and
// identitytest.Replay plays it. Here are its format, the shapes of what stands in the place of a
// secret or an identifier, and the way back from the file to answers.
//
// It knows neither hosts nor credentials, so that a record of a host that behaves in a new way can
// be played, too.
package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Format is the version of the format. Another one can't be read.
const Format = 1

// Record is the content of a file.
type Record struct {
	Format int `json:"format"`
	// By is what has written it, with its Go release and system.
	By string `json:"by"`
	// Began is when the first request was sent, in UTC. Times in answers are relative to it.
	Began time.Time `json:"began"`
	// Constructor, Scope, Selector and ID say what was asked for: the library's function, and how
	// an identity was selected, if one was: "client ID", "object ID" or "resource ID".
	Constructor string `json:"constructor"`
	Scope       string `json:"scope"`
	Selector    string `json:"selector,omitempty"`
	ID          string `json:"id,omitempty"`
	// Application and Tenant are of a federated credential.
	Application string `json:"application,omitempty"`
	Tenant      string `json:"tenant,omitempty"`
	// Variables are those that decide which host is asked and how. An unset one isn't there.
	Variables map[string]string `json:"variables"`
	Exchanges []Exchange        `json:"exchanges"`
	Outcome   Outcome           `json:"outcome"`
}

// Exchange is a request and what came of it, in the order in which the requests were sent.
type Exchange struct {
	AtMS    float64  `json:"atMs"`   // after Began
	TookMS  float64  `json:"tookMs"` // until there was an answer, or none any more
	Request Request  `json:"request"`
	Answer  *Answer  `json:"answer,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"` // without an Answer there was none
	Notes   []string `json:"notes,omitempty"` // what was left out, in words
}

// Header are the lines of a header that the file keeps, by their names.
type Header map[string][]string

// Request is what was sent.
type Request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Header Header `json:"header,omitempty"`
	Body   string `json:"body,omitempty"`
}

// Answer is what came back.
type Answer struct {
	Status int    `json:"status"`
	Header Header `json:"header,omitempty"`
	Body   string `json:"body,omitempty"`
	// Received is how many bytes of the body came before the Fault that cut it short. The file
	// doesn't have them.
	Received int `json:"received,omitempty"`
}

// Outcome is what the credential made of it.
type Outcome struct {
	Claims  map[string]any `json:"claims,omitempty"` // of the token
	Opaque  bool           `json:"opaque,omitempty"` // there is a token, and it can't be read
	Error   string         `json:"error,omitempty"`
	Summary string         `json:"summary,omitempty"` // of the error: what stays the same
}

// Write writes a record as JSON that people can read.
func (r *Record) Write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // a query's & is one
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Read reads a record. It refuses what it doesn't know: to pass over it would play something else.
func Read(text []byte) (*Record, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	r := &Record{}
	if err := decoder.Decode(r); err != nil {
		return nil, fmt.Errorf("no record of whoami -record: %w", err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("a record of format %d, want %d", r.Format, Format)
	}
	return r, nil
}
