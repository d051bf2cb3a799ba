package identity

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// probe finds out whether a host's endpoint is there: by a request without the header that a token takes, which IMDS refuses at
// once. For a token it may have to ask Entra, and that takes longer than can be waited for where nothing says that this is
// Azure. Unlike the peers' probes, it takes only the host's own answer for one: other clouds and gateways answer, too.
//
// https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/azidentity/managed_identity_client.go
//
// It has a place of its own: as many requests for tokens as may be under way can all wait for
// Entra.
func (s *sender) probe(ctx context.Context) {
	defer func() { _ = recover() }() // in the user's Transport or policy: the request for the token says so
	client, err := s.client()
	if err != nil {
		return
	}
	ctx = context.WithValue(ctx, tryKey{}, probing{})
	req, err := runtime.NewRequest(ctx, http.MethodGet, s.source.endpoint())
	if err != nil {
		return
	}
	resp, err := client.Pipeline().Do(req)
	if err != nil || resp == nil {
		return
	}
	body, err := runtime.Payload(resp)
	if err == nil && s.source.recognises(answer{status: resp.StatusCode, header: resp.Header, body: body, raw: resp}) {
		s.node.answered.Store(true)
	}
}
