package identitygrpc

import (
	"context"
	"errors"

	"github.com/keyless-go/identity"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// statusError is why a call has no token. gRPC takes the status of it for the call's, and hands on
// the error itself, so that the caller finds the cause in it.
type statusError struct {
	code codes.Code
	what string
	err  error
}

func (e *statusError) Error() string { return e.GRPCStatus().String() }

func (e *statusError) Unwrap() error { return e.err }

// GRPCStatus is what status.FromError looks for.
func (e *statusError) GRPCStatus() *status.Status {
	return status.New(e.code, e.what+": "+e.err.Error())
}

// codeOf is the code of a failure to get a token for a call. All of them are among those that gRPC
// leaves as they are: it makes Internal of a credential's NotFound, for example.
// https://github.com/grpc/proposal/blob/master/A54-restrict-control-plane-status-codes.md
func codeOf(ctx context.Context, err error) codes.Code {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case ended != nil:
		return codes.Canceled
	case identity.Passing(err):
		return codes.Unavailable
	}
	return codes.Unauthenticated
}
