package identity

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/bearer"
)

// Transport sends each request with a token in its Authorization header: for APIs that have no
// Azure SDK client. All fields but Base have to be set before the first request. It is safe for
// concurrent use if Credential and Base are.
//
// The token goes to any https host that a request is made for, so have an http.Client for each
// service. Plain http is an error. A redirect to another host or port is followed without a token,
// and so is every redirect after it. A request is one of a redirect if it has a Response, which
// http.Client sets. One 401 with a claims challenge is answered by another token and a second try,
// if the request has no body or its GetBody makes another; the second answer is the caller's,
// whatever it is.
type Transport struct {
	Credential azcore.TokenCredential
	Scope      string            // such as "https://monitor.azure.com/.default"
	Base       http.RoundTripper // that sends; nil means http.DefaultTransport
}

// CloseIdleConnections closes those of Base, if it can: http.Client's method of that name calls it.
func (t *Transport) CloseIdleConnections() {
	var base http.RoundTripper = http.DefaultTransport
	if t.Base != nil {
		base = t.Base
	}
	if idle, ok := base.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper. It changes nothing in the request, and blocks for a token
// as GetToken does, until the request's context ends. errors.Is and errors.As find the error of
// Credential in its own.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	ask := askFunc("Transport", t.Credential, t.Scope)
	return bearer.RoundTrip(r, base, func(ctx context.Context, claims string) (string, error) {
		token, err := ask(ctx, claims)
		return token.Token, err
	})
}
