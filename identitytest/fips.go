//go:build !go1.27

package identitytest

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
)

// In FIPS 140-3 mode (GOFIPS140, or GODEBUG=fips140=on) crypto/rand has generators whose seeds are
// made of the time that memory accesses take. In a testing/synctest bubble they take none: until
// Go 1.27 a generator that is made there panics, "fips140/drbg: failed to obtain initial entropy".
// The first read makes one, and so does each read that begins while another goroutine uses the
// generator that there is. So in a bubble crypto/rand works once it has been read outside, and for
// one goroutine at a time. A supply of generators wouldn't help: crypto/rand keeps them in a
// sync.Pool, which the garbage collector empties.
//
// Therefore this package reads crypto/rand once when it is imported. Later it reads in turn: when
// it makes a certificate, and in the handshakes of Endpoint.Client. All else has its bytes from
// random.

func init() { seedOutsideBubbles() }

// seedOutsideBubbles has crypto/rand make its generator now.
func seedOutsideBubbles() {
	if fips140.Enabled() {
		_, _ = rand.Read(make([]byte, 1))
	}
}

// turn holds one value while somebody reads crypto/rand. It is made outside of all bubbles, so it
// serves them all, and the clock of a bubble that waits for it stands still.
var turn = make(chan struct{}, 1)

// takeTurn waits until nobody else in this package reads crypto/rand. That takes a few milliseconds
// for each reader before this one. The caller must call done once. The error is the context's.
func takeTurn(ctx context.Context) (done func(), err error) {
	if !fips140.Enabled() {
		return func() {}, nil
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
