// Package tokencache holds tokens, renews them, and sees to it that each is asked for once.
//
// It knows no HTTP, no hosts, and no errors of theirs. A token comes from a [Source], what the
// source's failures say of asking again is in a [Failure], and what became of an acquisition goes
// to the source's Report.
//
// A token is in one of these states:
//
//	fresh     before RefreshOn: handed out
//	stale     from RefreshOn: handed out, and renewed in the background
//	expiring  in the last 5 minutes of one that lived over 10: a caller waits up to 2 s for another
//	expired   from ExpiresOn, by the wall clock: a caller waits for a new one
//
// Nothing valid is dropped because of a failure.
//
// A credential has a [View] of a [Cache]. A call asks [View.Hit] first, which finds a fresh token
// without a lock. Otherwise it goes to [Cache.Get]. Get looks up the entry of the identity and the
// resource, and decides by the table above (decide.go): the token, the error of a cool-down, or a
// flight to wait for, which it starts or joins. A flight (flight.go) is one acquisition of a
// Source's in a goroutine of its own. It belongs to none of its callers, and settles its result
// into the entry when they may all have left. An entry has a lane for each set of [Terms]
// (lane.go): flights and cool-downs are shared by credentials with equal terms, tokens by all.
// When a token is renewed, and how long a failure is followed by silence, is in renewal.go; what
// leaves a full store is in eviction.go.
package tokencache
