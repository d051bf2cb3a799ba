// Package devtool gets a developer's tokens from a tool that the developer is logged in with: az or
// azd.
//
// A [Tool] is what is particular to one of them (az.go, azd.go). A [Client] is one of its logins
// (client.go): it says by which key tokens are kept, refuses what must not be passed on, and
// acquires (run.go). It waits until no other run is under way, for as long as budget.go says, runs
// the tool by package command, and reads the token out of what that prints (output.go). Of a run
// that fails it reads the complaint (complaint.go) and says what that means (explain.go), and which
// login helps (login.go). Only a tool that is absent, and one that nobody is logged in with, is
// unavailable: no other failure may turn into another identity.
//
// The package doesn't know the cache of tokens, chains, this library's errors, or how a program is
// run. What a tool prints may hold secrets: none of it is in a Failure before it is cleaned.
//
// A Client may be used by several goroutines at once.
package devtool
