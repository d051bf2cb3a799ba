// Package usercode runs what is the user's so that it hurts only itself.
//
// A program hands this library code of its own: contexts, errors of a Transport, log handlers,
// tracers. Much of it runs in goroutines in which nobody recovers, or for callers who have left, or
// for many callers at once. [Shielded] keeps a panic and a runtime.Goexit from the caller;
// [Logger] and [Tracing] are a user's Logger and TracingProvider with that shield. [Borrow] lends a
// caller's context for as long as the caller waits. [Share] makes an error one that many may use.
//
// The package knows neither hosts nor tokens. It has no state, and all of it may be used by several
// goroutines at once.
package usercode
