package acquire

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Probe finds out whether a host's endpoint is there. It sends a request without the header that a
// token takes, which IMDS refuses at once. For a token IMDS may have to ask Entra, and that takes
// longer than can be waited for where nothing says that this is Azure. Unlike the peers' probes, it
// takes only the host's own answer for one: other clouds and gateways answer, too.
//
// https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/azidentity/managed_identity_client.go
//
// It has a place of its own: as many requests for tokens as may be under way can all wait for
// Entra. It blocks until ctx ends. What it finds out is in [Node.Answered].
func (c *Client) Probe(ctx context.Context) {
	// In the user's Transport or policy: the request for the token says so.
	defer func() { _ = recover() }()
	client, err := c.pipeline()
	if err != nil {
		return
	}
	ctx = context.WithValue(ctx, tryKey{}, probing{})
	req, err := runtime.NewRequest(ctx, http.MethodGet, c.host.Endpoint())
	if err != nil {
		return
	}
	resp, err := client.Pipeline().Do(req)
	if err != nil || resp == nil {
		return
	}
	if body, err := runtime.Payload(resp); err == nil &&
		c.host.Recognises(Answer{resp.StatusCode, resp.Header, body, resp}) {
		c.node.NoteAnswer()
	}
}
