// Package bench measures this library beside azidentity, on the same work and the same fake host over loopback. It is a
// module of its own, so that the peers never reach a user's go.sum.
//
//	go -C internal/bench test -v -bench .
package main
