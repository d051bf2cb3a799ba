package usercode

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
)

// Tracing is the user's TracingProvider as it is used here. Whatever panics in it, or ends its
// goroutine, costs a span and nothing else. A tracer that couldn't be made is wanted again for
// the next span.
func Tracing(user tracing.Provider) tracing.Provider {
	if reflect.ValueOf(user).IsZero() {
		return user
	}
	return tracing.NewProvider(func(module, version string) tracing.Tracer {
		var made atomic.Pointer[tracing.Tracer]
		return tracing.NewTracer(func(
			ctx context.Context, name string, options *tracing.SpanOptions,
		) (context.Context, tracing.Span) {
			var spanCtx context.Context
			var span tracing.Span
			returned := Shielded(func() {
				tracer := made.Load()
				if tracer == nil {
					t := user.NewTracer(module, version)
					tracer = &t
					made.Store(tracer)
				}
				spanCtx, span = tracer.Start(ctx, name, options)
			})
			if !returned || spanCtx == nil {
				return ctx, tracing.Span{}
			}
			return spanCtx, shieldedSpan(span)
		}, nil)
	}, nil)
}

func shieldedSpan(span tracing.Span) tracing.Span {
	return tracing.NewSpan(tracing.SpanImpl{
		End:           func() { Shielded(span.End) },
		SetAttributes: func(a ...tracing.Attribute) { Shielded(func() { span.SetAttributes(a...) }) },
		AddEvent: func(name string, a ...tracing.Attribute) {
			Shielded(func() { span.AddEvent(name, a...) })
		},
		SetStatus: func(code tracing.SpanStatus, text string) {
			Shielded(func() { span.SetStatus(code, text) })
		},
	})
}
