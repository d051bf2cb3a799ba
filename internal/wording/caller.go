package wording

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/tokencache"
)

// ForCaller says why one caller has no token, though no acquisition says so, and what its error
// unwraps to, nil for nothing. It is called while that caller is there: ctx, which is its own, is
// asked why it has ended.
func ForCaller(ctx context.Context, e *tokencache.Error) (what string, cause error) {
	switch e.Why {
	case tokencache.Left:
		return left(ctx, e.Waited)
	case tokencache.Overdue: // for a flight that began with options that allow it more, for two
		// flights in a row, or for a Transport that ignores its context
		what = "no token after " + redact.Round(e.Waited).String() + ", the request goes on"
	case tokencache.Crowded:
		what = fmt.Sprintf("%d other resources are waiting for a token of the host already",
			e.UnderWay)
	}
	return what, nil
}

// left says why a caller has left while the request for its token went on.
func left(ctx context.Context, waited time.Duration) (what string, cause error) {
	what = "gave up waiting after " + redact.Round(waited).String() + ": " + ctx.Err().Error()
	// errgroup, for one, makes a sibling's error the cause. An SDK's must not come out of here as
	// if it were the credential's; even its Error method may not be called by several goroutines.
	var response *azcore.ResponseError
	if cause := context.Cause(ctx); cause != ctx.Err() && !errors.As(cause, &response) {
		return what + ", because " + redact.Line(cause.Error()), errors.Join(ctx.Err(), cause)
	}
	return what, ctx.Err()
}
