// Package assertion gets the tokens by which an application proves to Entra who it is.
//
// Entra calls such a token an assertion: another issuer has signed it, and the application has a
// federated credential that says which issuer and which subject it trusts. A [Source] is one place
// that has them.
//
// The package doesn't know what an assertion is exchanged for, how often that is tried, or who
// waits for it. An assertion is as secret as a token: no error has a byte of one.
package assertion

import (
	"context"
)

// Request is what an assertion is for.
type Request struct {
	TenantID string // of the token that the assertion is exchanged for
	Audience string // what the assertion has to be made out to
	// For is what the token is for that the assertion is exchanged for, in any form that tells two
	// apart.
	For string
	// Stale is an assertion that Entra has just refused as not in its time, "" for none.
	Stale string
}

// Source is where assertions come from. Its methods may be called by several goroutines at once.
type Source interface {
	// Get returns an assertion that is good for an exchange now. It blocks until ctx ends at the
	// longest. An error says what to do, and never a byte of a secret.
	// Where waiting helps it is one of failure.InAWhile; how long the other side asks to be left
	// alone is kept.
	Get(ctx context.Context, r Request) (string, error)
	// Proof is by what tokens may be shared in the process: a path, a URL, a service connection.
	// Credentials that differ in it share none. "" means that only the credential itself may have
	// its tokens.
	Proof() string
	// Name is the source's in errors and hints: `the token in "/path"`, "GitHub Actions' OIDC
	// endpoint".
	Name() string
}
