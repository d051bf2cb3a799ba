// Package wording puts into words what the cache reports: a log line for each acquisition (log.go),
// and for a caller without a token what kept it (caller.go).
//
// It doesn't know who is asked for tokens, nor what a failed acquisition says: that text is given
// to it. It has no state, and all of it may be used by several goroutines at once. It calls the
// user's log handler and the caller's context, and no other code of the user's.
package wording
