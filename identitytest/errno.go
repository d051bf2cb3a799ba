//go:build !plan9

package identitytest

import "syscall"

// What a system says of a connection that the other side has reset, and of one that nobody reads
// any more.
const (
	errReset  = syscall.ECONNRESET
	errClosed = syscall.EPIPE
)
