// Command bench measures this library beside its peers, on the same work, and beside what is
// physically possible. It is a module of its own, so that the peers never reach a user's go.sum.
//
//	go -C internal/bench run .          # at most 10 minutes on two cores; writes docs/performance.md and its pictures
//	go -C internal/bench run . -short   # under a minute, for CI: fails for counts past a bound, or times far past it
//
// Each measurement is a line in measure_list.go, and a function that returns a section of the
// report with its verdicts. Each runs in a process of its own; see child.go.
package main
