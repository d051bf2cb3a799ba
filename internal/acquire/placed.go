package acquire

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// placed gives each round trip a place. It stands below the user's policies, so that what these do
// holds nobody's place.
type placed struct {
	next policy.Transporter
	node *Node
}

// Do implements policy.Transporter.
func (p placed) Do(req *http.Request) (resp *http.Response, err error) {
	ctx := req.Context()
	switch y := ctx.Value(tryKey{}).(type) {
	case *try:
		if err := y.enter(ctx, p.node); err != nil {
			return nil, err
		}
		defer func() { p.node.leave(&y.connecting, err != nil) }() // a Transport may panic
		y.inspect(req.Header)
	case probing:
		if err := p.node.probes.take(ctx, false); err != nil {
			return nil, err
		}
		defer p.node.probes.Leave()
		if p.node.Answered() { // the probe before this one has found out
			return nil, errNoPlace
		}
	default: // a policy of the user's has exchanged the context
		if err := p.node.places.take(ctx, false); err != nil {
			return nil, err
		}
		defer p.node.places.Leave()
	}
	return p.next.Do(req)
}
