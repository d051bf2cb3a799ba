// Package acquire asks one endpoint for a token until it answers.
//
// A [Host] says what is particular to a host: what to send, what counts as its answer, when to try
// again. A [Client] does the rest, for all hosts alike. [Client.Acquire] is one acquisition
// (acquisition.go): it asks the retry package for waits, and makes its tries (send.go), each of
// which has a limited time that stands still while the try waits for a place (try.go, places.go).
// An answer is read once (answer.go). It is a token, a reason to ask again at once, or a refusal
// (refusal.go). No answer is a silence (silence.go). What all clients of a process know of one
// endpoint is in its [Node].
//
// The package doesn't know which hosts there are, who waits for a token, or where it is kept. It
// names no error that programs act on: what went wrong is a *failure.Failure. All of its types but
// the plain data may be used by several goroutines at once.
package acquire
