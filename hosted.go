package identity

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/tokencache"
)

// hosted is a host as the cache's source of tokens.
type hosted struct{ sender *sender }

// termsOf are the terms of a credential with these options.
func (h hosted) termsOf(o policy.RetryOptions) tokencache.Terms {
	t := tokencache.Terms{Patience: h.sender.rules.TryTimeout, Budget: h.sender.rules.Budget}
	if o.MaxRetries != 0 || o.TryTimeout != 0 || o.RetryDelay != 0 || o.MaxRetryDelay != 0 ||
		o.StatusCodes != nil {
		t.Rules = fmt.Sprint(o.MaxRetries, o.TryTimeout, o.RetryDelay, o.MaxRetryDelay,
			o.StatusCodes, o.StatusCodes == nil)
	}
	if o.ShouldRetry != nil { // functions can't be compared
		t.Owner = h.sender
	}
	return t
}

// Begin implements tokencache.Source.
func (h *hosted) Begin(ctx context.Context, r tokencache.Request) tokencache.Acquisition {
	ctx, end := h.sender.begin(ctx)
	return func(p *tokencache.Progress) (tokencache.Grant, error) {
		return acquisition(h, r.Resource, end, func() (grant, error) {
			return h.sender.acquire(ctx, askOf(r), p)
		})
	}
}

// Report implements tokencache.Source.
func (h *hosted) Report(r tokencache.Request, e tokencache.Event) {
	_, heeds := h.sender.source.(chooser)
	logEvent(h.logger(), h, r, e, heeds)
}

func (h *hosted) logger() *slog.Logger {
	src := h.sender.source
	log := h.sender.log.With("host", string(src.host()), "endpoint", src.endpoint())
	if id := src.identity(); id != nil {
		log = log.With("identity", describeID(id))
	}
	return log
}

// budget implements tokenSource.
func (h *hosted) budget(context.Context) time.Duration { return h.sender.rules.Budget }

// sign implements tokenSource.
func (h *hosted) sign(e *AuthenticationError) {
	src := h.sender.source
	e.Host, e.Endpoint, e.ID = src.host(), src.endpoint(), src.identity()
}
