// Package transport makes HTTP clients that are safe to ask for tokens.
//
// [Node] asks endpoints on the machine, [Internet] asks Entra, and [Pin] asks the owner of one
// certificate only. None follows a redirect or keeps a connection, and what is for the machine goes
// through no proxy. [Options] puts such a client, or a user's own, below azcore's pipeline: answers
// are read wholly there and are bounded, and the secrets of the request ([WithSecrets]) are taken
// out of whatever comes back, before azcore's log and tracing see it. Code that makes a request
// uses [WithQuery] and [Header], so that no variable's own query can select an identity.
//
// A failed request is an [*Error] if the Transport has failed, a [*BodyError] if an answer began
// and did not end well, and anything else if a policy of the user's has failed.
//
// The package knows no host, no token and no retry. Everything in it may be used by several
// goroutines at once.
package transport
