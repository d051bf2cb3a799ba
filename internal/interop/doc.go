// Package interop takes the peers for witnesses: it runs azidentity for Go and @azure/identity for
// JavaScript against the fakes of identitytest, and this library against the same fakes, and
// compares what arrived, header by header and parameter by parameter, and what came of it. A
// difference that is meant stands in a table, with its reason; any other fails, and so does one in
// a table that is there no more. They also get tokens from examples/devserver, which runs as a
// process. It is a module of its own, so that the peers never reach a user's go.sum.
//
//	go -C internal/interop test -v .
//
// The witness for JavaScript wants node and npm, which gets it from the registry that npm is
// configured for; without them it is skipped. The witness for Azure Arc wants Linux and namespaces.
package interop
