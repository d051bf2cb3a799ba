package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/keyless-go/identity/internal/usercode"
)

// bodyGrace is how long a body that has been told to end is waited for, so that it can say by
// itself what went wrong.
const bodyGrace = 100 * time.Millisecond

// errBodyGoesOn is of a body that doesn't end with its request's context.
var errBodyGoesOn = errors.New("the Transport's body ignores that its request has ended")

// readBody reads a body wholly, up to limit bytes and one more, and closes it. It ends with ctx
// also where the body doesn't: the goroutine that reads it is then left to itself. What panics in
// the body, or ends its goroutine, does so here.
func readBody(ctx context.Context, body io.ReadCloser, limit int64) ([]byte, error) {
	type outcome struct {
		data     []byte
		err      error
		panicked any
		returned bool
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.data, o.err = io.ReadAll(io.LimitReader(body, limit+1))
		_ = body.Close() // everything that is needed has been read
		o.returned = true
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		grace := time.NewTimer(bodyGrace)
		defer grace.Stop()
		select {
		case o = <-done:
		case <-grace.C:
			go usercode.Shielded(func() { _ = body.Close() }) // which may block, too
			return nil, errors.Join(errBodyGoesOn, ctx.Err())
		}
	}
	switch {
	case o.returned:
	case o.panicked != nil:
		panic(o.panicked)
	default:
		runtime.Goexit()
	}
	return o.data, o.err
}

// refuseUpgrade closes the connection of an answer that makes it another protocol's. Its body never
// ends.
func refuseUpgrade(resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		body := resp.Body
		resp.Body = http.NoBody
		go usercode.Shielded(func() { _ = body.Close() })
	}
}
