// Command mutation breaks the library on purpose, in one place at a time, and finds out whether a
// test notices.
//
//	go -C internal/mutation run .                  every mutation; ten minutes on two idle cores
//	go -C internal/mutation run . -only 'cool'     those whose name or file the regular expression finds
//	go -C internal/mutation run . -list            what there is, without running anything
//	go -C internal/mutation run . -write           writes docs/mutation.md, of a part its rows only
//
// Each mutation in the list is one edit of one file, in any folder of the module. The tests are run
// with that edit by go's -overlay, so that the tree stays as it is: first those that ought to
// notice, which may be in the file's own package or in the root, then, if none of them does, all
// tests of the two, none left out by -short. The exit status is 0 when each mutation made a test
// fail. One that survives, that compiles no more, that crashes the tests or hangs until their time
// is up is a reason to mend a test, or the list.
//
// A mutant may ask other addresses than the tests do, IMDS's real one among them. On Linux the
// tests therefore run in a network namespace of their own, whose only device is loopback;
// elsewhere, and where namespaces can't be made, this command does nothing unless -network allows
// it to use the machine's network.
//
// A mutation whose old text is not exactly once in its file is stale. TestList finds those, within
// a second or two, as a part of go test ./...: bring the mutation up to the code, or drop it if
// nothing stands there any more that could break.
package main
