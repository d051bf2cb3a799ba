package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/keyless-go/identity"
)

// report is all that is found out, in its order. It has no secret in it: Detect withholds those
// that are in variables, and the token is not kept. -json prints it as it is here.
type report struct {
	Fake     string              `json:"fake,omitempty"` // the stand-in
	Host     identity.Host       `json:"host"`
	Reason   string              `json:"reason"`
	Endpoint string              `json:"endpoint"`
	Evidence []identity.Evidence `json:"evidence"`

	Asked   asked    `json:"asked"`
	Sources []source `json:"sources,omitempty"` // of the default credential

	Answers   bool       `json:"answers"`            // the host's endpoint does, if only to refuse
	Status    int        `json:"status,omitempty"`   // of the last answer, if that was no token
	Requests  int64      `json:"requests"`           // sent; a run of a developer's tool is none
	ElapsedMS float64    `json:"elapsedMs"`          // until there was a token, or an error
	Identity  *principal `json:"identity,omitempty"` // nil without a token, and for one that is opaque
	Token     *token     `json:"token,omitempty"`    // nil without
	Error     *problem   `json:"error,omitempty"`    // nil with
}

// asked is what a token is wanted of.
type asked struct {
	Credential string `json:"credential"` // the library's constructor
	Identity   string `json:"identity"`   // in words
	Scope      string `json:"scope"`
}

// token is what may be told of one.
type token struct {
	// its audience; the resource that was asked for if it is opaque
	For       string    `json:"for"`
	Opaque    bool      `json:"opaque"`    // no JWT: it can't be read
	ExpiresOn time.Time `json:"expiresOn"` // UTC, whole seconds
}

// look is what is known before anything is sent.
func (c config) look() *report {
	d := identity.Detect()
	return &report{
		Fake: c.fake.Name, Host: d.Host, Reason: d.Reason, Endpoint: d.Endpoint,
		Evidence: append([]identity.Evidence{selection()}, d.Evidence...),
		Asked: asked{
			Credential: c.constructor(), Identity: c.asked(identity.Status{}), Scope: c.scope,
		},
	}
}

// printJSON prints the report as one object.
func (r *report) printJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // a query's & is one
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
