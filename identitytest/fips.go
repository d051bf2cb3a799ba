//go:build !go1.27

package identitytest

import (
	"crypto/fips140"
	"crypto/rand"
)

func init() { seedOutsideBubbles() }

// seedOutsideBubbles has crypto/rand get its seed now, which it otherwise does when it is first read. In FIPS 140-3 mode
// (GOFIPS140, or GODEBUG=fips140=on) the seed is made of the time that memory accesses take, and in a testing/synctest
// bubble they take none: until Go 1.27 the first read in a bubble panics, "fips140/drbg: failed to obtain initial
// entropy". TLS reads crypto/rand, and so may a user's code.
//
// It can't help where two goroutines read at the same instant: the second gets a generator of its own, with a seed of its
// own. So of this package only TLS reads crypto/rand, see random.
func seedOutsideBubbles() {
	if fips140.Enabled() {
		_, _ = rand.Read(make([]byte, 1))
	}
}
