package identitytest

import "syscall"

// Plan 9 has no numbers for errors. These are the words of the others.
var (
	errReset  = syscall.NewError("connection reset by peer")
	errClosed = syscall.NewError("broken pipe")
)
