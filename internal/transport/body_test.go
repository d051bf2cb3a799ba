package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadBodyWaitsALittle: a body that ends with its context says by itself how far it came.
func TestReadBodyWaitsALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		data, err := readBody(ctx, io.NopCloser(readerFunc(func([]byte) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("cut: %w", ctx.Err())
		})), 10)
		if len(data) != 0 || !errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, errBodyGoesOn) {
			t.Errorf("got %q, %v", data, err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
