// Package chain shows credentials of azidentity in a chain of this library's. It is all in the
// Example, which the tests run:
//
//	go -C examples test -v ./chain
package chain
