package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/usercode"
)

// ChainOptions are the optional settings of [NewChain]. The zero value is ready to use.
type ChainOptions struct {
	// ContinueOn reports whether an error means that a source can't be used here, so that the next
	// one is tried. It is for credentials of other packages: an error in which errors.Is finds
	// [ErrUnavailable] means that anyway. It may be called by several goroutines at once, and once
	// for each failure. nil means that nothing else does.
	ContinueOn func(error) bool

	// Logger receives which source is in use, when that changes (Info), and why the ones before it
	// are not. nil is silent.
	Logger *slog.Logger
}

// Chain tries credentials in order, and remembers for each scope the one that last brought a token.
// Make one with [NewChain] or [NewDefaultCredential] and pass it to any Azure SDK client. It is
// safe for concurrent use, needs no Close, and leaves no goroutine behind but looks at sources that
// were unavailable, each for a minute.
type Chain struct {
	name       string // in messages
	links      []link // in order; never changes
	whole      bool   // a source that is unavailable is so for every scope: one route serves all
	continueOn func(error) bool
	made       time.Time   // with a monotonic reading, for route.next
	state      *chainState // a pointer, so that printing a Chain with %+v doesn't read it
}

// chainState is what changes with calls.
type chainState struct {
	memory chainMemory
	log    chainLog
	walks  atomic.Int64 // under way
	limit  int64        // of walks: maxWalks
	looks  atomic.Int64 // under way, of all routes
}

var _ azcore.TokenCredential = (*Chain)(nil)

// NewChain makes a credential of several, which are tried in the order given. The next one is tried
// only after an error that says that a source can't be used here: one in which errors.Is finds
// [ErrUnavailable], or that options.ContinueOn takes for such. Any other error ends the try, so
// that a failure never turns into another identity. It sends nothing.
//
// A source of another package is asked in the goroutine of each caller, with the caller's context,
// so that one which reads the caller from the context serves each caller its own token. It shares
// requests among callers only if it does that itself. It has to heed its context, since its caller
// can't leave before it returns. A panic in it is an error of that source. The source in use is
// remembered by scope and tenant, not by caller: a source that has a token for some callers only
// must fail for the others with an error that the chain doesn't go on from. It must not ask the
// chain that it is in.
func NewChain(sources []azcore.TokenCredential, options *ChainOptions) (*Chain, error) {
	if len(sources) == 0 {
		return nil, errors.New("identity: NewChain: no sources: want at least one")
	}
	if options == nil {
		options = &ChainOptions{}
	}
	links := make([]link, len(sources))
	for i, source := range sources {
		var ok bool
		if links[i], ok = linkOf(source); !ok {
			return nil, fmt.Errorf("identity: NewChain: sources[%d] is nil", i)
		}
	}
	return newChain("chain", links, options.ContinueOn, options.Logger), nil
}

func newChain(
	name string, links []link, continueOn func(error) bool, log *slog.Logger,
) *Chain {
	whole := continueOn == nil // what the user takes for unavailable may be about one scope
	for i := range links {
		whole = whole && links[i].whole
	}
	state := &chainState{limit: maxWalks}
	state.memory.last = make([]lastFailure, len(links))
	state.memory.away = make([]time.Time, len(links))
	state.log.to = usercode.Logger(log)
	return &Chain{name: name, links: links, whole: whole, continueOn: continueOn, made: time.Now(),
		state: state}
}

// maxWalks bounds the walks at once of a chain with sources of other packages. They are in
// goroutines of their callers, so this is not for those, but for a source that asks the chain it is
// in: without an end that ends the program, by a stack of a gigabyte. At this many it has taken
// some 30 MB.
const maxWalks = 10_000

// lookEvery is how often sources before the one in use are looked at again: often enough that a
// program which started before its host's endpoint was up is soon itself, seldom enough that
// nobody notices.
const lookEvery = time.Minute

// chainLink implements ownSource: a chain may be a source of another.
func (c *Chain) chainLink() link { return link{name: c.name, source: c, whole: c.whole} }

// known is the route for what options ask for, or nil.
func (c *Chain) known(options *policy.TokenRequestOptions) *route {
	if c.whole {
		return &c.state.memory.routes.all
	}
	return c.state.memory.routes.known(options)
}

// routeFor is the same, and makes it if need be.
func (c *Chain) routeFor(options *policy.TokenRequestOptions) *route {
	if r := c.known(options); r != nil {
		return r
	}
	return c.state.memory.routes.find(routeKeyOf(options), true)
}

// bar says why a source must not be used, "" while it may.
func (c *Chain) bar(i int) string {
	if c.links[i].barred == nil {
		return ""
	}
	return c.links[i].barred()
}

// failure is the error of a call; see newChainError.
func (c *Chain) failure(
	options policy.TokenRequestOptions, failed []attempt, ended error,
) *chainError {
	return newChainError(c.name, c.links, &c.state.memory, options, failed, ended)
}

// report has the log say what a walk or a look has changed. before is what was in use until then,
// as in route.inUse.
func (c *Chain) report(before int32, news func()) {
	if first := c.announcement(before); first != nil || news != nil {
		c.state.log.tell(first, news)
	}
}

// announcement are the news, once, that the developer's sources are barred; nil for none. before is
// what was in use until then, as in route.inUse.
func (c *Chain) announcement(before int32) (news func()) {
	if c.state.log.told.Load() {
		return nil
	}
	for i := range c.links {
		if why := c.bar(i); why != "" {
			return c.state.log.barred(why, before > 0 && c.links[before-1].barred != nil)
		}
	}
	return nil
}

// ask asks one source, and remembers what that says of it.
func (c *Chain) ask(
	ctx context.Context, i int, options policy.TokenRequestOptions,
) (azcore.AccessToken, attempt) {
	token, err := c.links[i].source.GetToken(ctx, options)
	if err == nil {
		c.state.memory.granted(i)
		return token, attempt{index: i}
	}
	a := c.links[i].judge(ctx, i, err, c.continueOn)
	if ctx.Err() == nil {
		c.state.memory.failed(i, a.why, a.away)
	}
	return azcore.AccessToken{}, a
}

// use makes a source the one in use, after those before it have been asked. since is what was in
// use when that began. It returns what is to be logged, nil for nothing.
func (c *Chain) use(
	r *route, i int, since int32, reasons []attempt, options policy.TokenRequestOptions,
) (news func()) {
	before, taken := r.take(i, since)
	if !taken {
		return nil
	}
	r.next.Store(int64(time.Since(c.made) + lookEvery))
	if int(before) == i+1 {
		return nil
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].name))
	}
	if !c.whole {
		attrs = append(attrs, slog.String("resource", wanted(options)))
	}
	for j := range i {
		if why, _ := reasonFor(j, reasons, &c.state.memory); why != "" {
			attrs = append(attrs, slog.String("not "+c.links[j].name, why))
		}
	}
	return c.state.log.inUse(attrs)
}

// resting reports whether a source was found unavailable within the last minute, whatever the
// scope, and has brought no token since.
func (c *Chain) resting(i int) bool {
	return !c.whole && c.links[i].whole && c.state.memory.wasAway(i, lookEvery)
}

// Ready is as [Credential.Ready]: nil once a token is held for each of the scopes, by whichever
// source. It waits while all sources are unavailable, and so needs a ctx that ends: a laptop on
// which nobody logs in is never ready.
func (c *Chain) Ready(ctx context.Context, scopes ...string) error { return ready(ctx, c, scopes) }
