package chain

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/usercode"
)

// Options say what a chain is made of.
type Options struct {
	Name  string // in messages
	Links []Link // in order; at least one
	// ContinueOn is the user's: whether an error means that a source can't be used here. nil says
	// so of none.
	ContinueOn func(error) bool
	// Read says what an error of a source means. It may call the error's methods: what panics in it
	// is taken for a failure.
	Read   func(error) Reading
	Logger *slog.Logger // the user's; nil is silent
}

// Chain tries its sources in order. It is safe for concurrent use, needs no Close, and leaves no
// goroutine behind but looks at sources that were unavailable, each for a minute.
type Chain struct {
	name       string
	links      []Link // never changes
	whole      bool   // a source that is unavailable is so for every scope: one route serves all
	continueOn func(error) bool
	read       func(error) Reading
	made       time.Time // with a monotonic reading, for route.next

	memory memory
	log    log
	walks  atomic.Int64 // under way
	limit  int64        // of walks: maxWalks
	looks  atomic.Int64 // under way, of all routes
}

// New makes a chain. It asks nothing.
func New(o Options) *Chain {
	c := &Chain{name: o.Name, links: o.Links, continueOn: o.ContinueOn, read: o.Read,
		made: time.Now(), limit: maxWalks}
	c.whole = o.ContinueOn == nil // what the user takes for unavailable may be about one scope
	for i := range c.links {
		c.whole = c.whole && c.links[i].Whole
	}
	c.memory.last = make([]lastFailure, len(c.links))
	c.memory.away = make([]time.Time, len(c.links))
	c.log.to = usercode.Logger(o.Logger)
	return c
}

// maxWalks bounds the walks at once of a chain with sources of other packages. They are in
// goroutines of their callers, so the bound isn't there for many callers. It is there for a source
// that asks the chain it is in: without a bound that would end the program, by a stack of a
// gigabyte. At this many it has taken some 30 MB.
const maxWalks = 10_000

// lookEvery is how often sources before the one in use are looked at again: often enough that a
// program which started before its host's endpoint was up soon uses it, and seldom enough that
// nobody notices.
const lookEvery = time.Minute

// known is the route for what options ask for, or nil.
func (c *Chain) known(options *policy.TokenRequestOptions) *route {
	if c.whole {
		return &c.memory.routes.all
	}
	return c.memory.routes.known(options)
}

// routeFor is the same, and makes it if need be.
func (c *Chain) routeFor(options *policy.TokenRequestOptions) *route {
	if r := c.known(options); r != nil {
		return r
	}
	return c.memory.routes.find(routeKeyOf(options), true)
}

// bar says why a source must not be used, "" while it may.
func (c *Chain) bar(i int) string {
	if b := c.links[i].Bar; b != nil {
		return b.Why()
	}
	return ""
}

// resting reports whether a source was found unavailable within the last minute, whatever the
// scope, and has brought no token since.
func (c *Chain) resting(i int) bool {
	return !c.whole && c.links[i].Whole && c.memory.wasAway(i, lookEvery)
}
