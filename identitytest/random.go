package identitytest

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// random returns n bytes. The generator of math/rand/v2 is ChaCha8 with a seed of the system's,
// which nobody guesses. crypto/rand would be the habit, but can panic in a testing/synctest bubble,
// see takeTurn.
func random(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.NativeEndian.AppendUint64(b, rand.Uint64())
	}
	return b[:n]
}

// randomGUID returns a GUID.
func randomGUID() string { return guid([16]byte(random(16))) }

// randomHex returns twice as many digits as bytes.
func randomHex(bytes int) string { return hex.EncodeToString(random(bytes)) }
