// Package chain tries credentials in order, and remembers for each scope which of them last brought
// a token.
//
// It knows its sources as azcore does, and by what a [Link] says of each. It knows neither hosts
// nor developers' tools. What an error means is read for it by [Options.Read]: the source can't be
// used here, so that the next one is tried, or it has failed, which ends the call.
//
// A call goes to the source in use (walk.go, by route.go). Without one, or if that is unavailable,
// it walks along the sources in order, in the caller's goroutine. Of each failure judge.go says
// once what it means. memory.go keeps that, and error.go makes the error of all of them. When a
// source other than the first is in use, look.go asks those before it in the background.
package chain
