package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/usercode"
)

// ChainOptions are the optional settings of [NewChain]. The zero value is ready to use.
type ChainOptions struct {
	// ContinueOn reports whether an error means that a source can't be used here, so that the next one is tried. It is for
	// credentials of other packages: an error in which errors.Is finds [ErrUnavailable] means that anyway. It may be called
	// by several goroutines at once, and once for each failure. nil means that nothing else does.
	ContinueOn func(error) bool

	// Logger receives which source is in use, when that changes (Info), and why the ones before it are not. nil is silent.
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
	log        *slog.Logger
	made       time.Time   // with a monotonic reading, for route.next
	state      *chainState // a pointer, so that printing a Chain with %+v doesn't read it
}

// chainState is what changes with calls.
type chainState struct {
	routes  routes
	walks   atomic.Int64 // under way
	limit   int64        // of walks: maxWalks
	looks   atomic.Int64 // under way, of all routes
	telling atomic.Int64 // goroutines that write to the log
	told    atomic.Bool  // the log has said that the developer's sources are barred

	mu   sync.Mutex    // guards the rest; not held over I/O, nor over anything that isn't ours
	last []lastFailure // of each source
	// when each was last found unavailable, whatever the scope; zero if it has brought a token
	// since
	away []time.Time
}

// lastFailure is kept as text: an error may hold an answer's body, and its methods may do anything.
type lastFailure struct {
	why string // "" for none
	at  time.Time
}

var _ azcore.TokenCredential = (*Chain)(nil)

// link is one source.
type link struct {
	name   string
	source azcore.TokenCredential
	barred func() string // why it must not be used, "" while it may; nil for always
	// its ErrUnavailable is about the host or the tool, and so the same for every scope
	whole bool
	// what the first line of an error says of a failure that ends a pass; nil for nothing
	advice func(error) string
}

// foreignSource is a credential of another package. It is held by a pointer, so that printing a Chain doesn't print what is in it.
type foreignSource struct{ source *azcore.TokenCredential }

// GetToken asks it in the caller's goroutine and with the caller's ctx: what it makes of the ctx's
// values is the caller's alone. A panic is its failure.
func (f foreignSource) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (token azcore.AccessToken, err error) {
	defer func() {
		if p := recover(); p != nil {
			token, err = azcore.AccessToken{}, panicked(p)
		}
	}()
	return (*f.source).GetToken(ctx, options)
}

// NewChain makes a credential of several, which are tried in the order given. The next one is tried only after an error that
// says that a source can't be used here: one in which errors.Is finds [ErrUnavailable], or that options.ContinueOn takes for
// such. Any other error ends the try, so that a failure never turns into another identity. It sends nothing.
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
		if v := reflect.ValueOf(source); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, fmt.Errorf("identity: NewChain: sources[%d] is nil", i)
		}
		links[i] = link{name: sourceName(source), source: source}
	}
	return newChain("chain", links, options.ContinueOn, options.Logger), nil
}

func newChain(name string, links []link, continueOn func(error) bool, log *slog.Logger) *Chain {
	whole := continueOn == nil // what the user takes for unavailable may be about one scope
	for i := range links {
		switch source := links[i].source.(type) {
		case *Credential, *hostStep, *lastHost, *AzureCLICredential, *AzureDeveloperCLICredential:
			links[i].whole = true
		case *Chain:
			links[i].whole = source.whole
		default:
			links[i].source = foreignSource{&source}
		}
		whole = whole && links[i].whole
	}
	state := &chainState{limit: maxWalks, last: make([]lastFailure, len(links)),
		away: make([]time.Time, len(links))}
	return &Chain{name: name, links: links, whole: whole, continueOn: continueOn,
		log: usercode.Logger(log), made: time.Now(), state: state}
}

// sourceName is what a source is called in messages: a credential of another package by its type.
func sourceName(source azcore.TokenCredential) string {
	switch s := source.(type) {
	case *Credential:
		if s.Host() == HostWorkloadIdentity {
			return "workload identity"
		}
		return "managed identity"
	case *AzureCLICredential:
		return azureCLI.name
	case *AzureDeveloperCLICredential:
		return azureDeveloperCLI.name
	case *Chain:
		return s.name
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", source), "*")
}

// lookEvery is how often sources before the one in use are looked at again: often enough that a program which started before its
// host's endpoint was up is soon itself, seldom enough that nobody notices.
const lookEvery = time.Minute

// GetToken returns a token of the source that last brought one for the scope and tenant, or else of
// the first that is available. Azure SDK clients call it.
//
// It takes as long as the sources do that it has to ask, one after the other, and ends with ctx.
// Credentials of this package share requests among their callers, and their callers leave with ctx;
// see [NewChain] for those of others. The ctx of a walk along the sources ends after 3 minutes; the
// source in use gets the caller's. When a source other than the first is in use, those before it
// are asked again in the background, at most once a minute, and the first that brings a token is
// used from then on; RefreshOn is a minute away at most, so that Azure SDK clients, which keep a
// token until then, come to know of it.
//
// The error has a line for each source, with its own reason, and a method Summary as
// [AuthenticationError.Summary]. errors.Is and errors.As find those that ended the walk: the last
// one, or all if all sources are unavailable; never an *azcore.ResponseError.
func (c *Chain) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	switch {
	case len(c.links) == 0:
		return azcore.AccessToken{}, errors.New("identity: GetToken: this Chain was not made by NewChain or NewDefaultCredential")
	case ctx == nil:
		return azcore.AccessToken{}, errors.New("identity: GetToken: nil Context")
	}
	r := c.known(&options)
	if r == nil {
		return c.walk(ctx, options, unasked)
	}
	i := int(r.inUse.Load()) - 1
	if i < 0 || c.bar(i) != "" {
		return c.walk(ctx, options, unasked)
	}
	token, err := c.links[i].source.GetToken(ctx, options)
	switch {
	case c.bar(i) != "": // it has turned out meanwhile that this is Azure
		return c.walk(ctx, options, unasked)
	case err == nil && i > 0:
		return c.lookBack(r, i, options, token), nil
	case err == nil:
		return token, nil
	}
	a := c.judge(ctx, i, err)
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, ctx.Err())
	}
	c.note(a)
	if !a.goesOn {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, nil)
	}
	return c.walk(ctx, options, a)
}

// bar says why a source must not be used, "" while it may.
func (c *Chain) bar(i int) string {
	if c.links[i].barred == nil {
		return ""
	}
	return c.links[i].barred()
}

// maxTelling bounds the goroutines that write to the log, if its handler hangs. Lines beyond that
// are lost: they are one for each change of the source in use.
const maxTelling = 100

// tell writes to the log when nobody waits for that: a handler may be slow, want a lock that the
// caller holds, or a token of this chain.
func (c *Chain) tell(write func()) {
	if c.state.telling.Add(1) > maxTelling {
		c.state.telling.Add(-1)
		return
	}
	go func() {
		defer c.state.telling.Add(-1)
		write()
	}()
}

// report has the log say what a walk or a look has changed. before is what was in use until then,
// as in route.inUse.
func (c *Chain) report(before int32, news func()) {
	switch first := c.announcement(before); {
	case first != nil && news != nil:
		c.tell(func() {
			first()
			news()
		})
	case first != nil:
		c.tell(first)
	case news != nil:
		c.tell(news)
	}
}

// announcement is what the log is to say, once, if the developer's sources are barred; nil for
// nothing. before is what was in use until then, as in route.inUse.
func (c *Chain) announcement(before int32) (news func()) {
	if c.state.told.Load() {
		return nil
	}

	for i := range c.links {
		why := c.bar(i)
		if why == "" {
			continue
		}
		if !c.state.told.CompareAndSwap(false, true) {
			return nil
		}
		level := slog.LevelInfo
		if before > 0 && c.links[before-1].barred != nil {
			level = slog.LevelWarn
		}
		return func() {
			c.log.Log(context.Background(), level,
				"this is Azure: the developer's credentials are not used from now on",
				"because", why)
		}
	}
	return nil
}

// note remembers a failure for [Chain.Status], and for other scopes if it is about them, too.
func (c *Chain) note(a attempt) {
	now := time.Now()
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	c.state.last[a.index] = lastFailure{a.why, now}
	if a.away {
		c.state.away[a.index] = now
	}
}

// lookBack has the sources before the one in use looked at, if it is time, and dates a token so that who keeps it asks again
// soon.
func (c *Chain) lookBack(
	r *route, i int, options policy.TokenRequestOptions, token azcore.AccessToken,
) azcore.AccessToken {
	now := time.Now()
	due := func() bool { return int64(now.Sub(c.made)) >= r.next.Load() }
	if due() && r.looking.CompareAndSwap(false, true) {
		if !due() || !c.mayLook() { // another look has just ended, or too many are under way
			r.looking.Store(false)
			return askedAgain(token, now)
		}
		options.Claims, options.Scopes = "", slices.Clone(options.Scopes)
		go c.look(r, i, options)
	}
	return askedAgain(token, now)
}

// askedAgain is a token that Azure SDK clients keep for lookEvery and no longer.
func askedAgain(token azcore.AccessToken, now time.Time) azcore.AccessToken {
	if soon := now.Add(lookEvery).UTC(); token.RefreshOn.IsZero() || token.RefreshOn.After(soon) {
		token.RefreshOn = soon
	}
	return token
}

// maxLooks bounds the looks at once of all routes: each is a goroutine, and its source may ignore
// its ctx for good. Ten that take a second each look after 600 scopes a minute.
const maxLooks = 10

// mayLook takes one of the looks at once, if any is left. look gives it back.
func (c *Chain) mayLook() bool {
	if c.state.looks.Add(1) > maxLooks {
		c.state.looks.Add(-1)
		return false
	}
	return true
}

// look asks the sources before the one in use, for a minute at most and without a caller's values.
// There is one look at a time for a route.
func (c *Chain) look(r *route, end int, options policy.TokenRequestOptions) {
	before := r.inUse.Load()
	var news func()
	defer func() { // also if a source ends this goroutine
		r.next.Store(int64(time.Since(c.made) + lookEvery))
		r.looking.Store(false)
		c.state.looks.Add(-1)
		c.report(before, news)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	for i := range end {
		if c.bar(i) != "" || c.resting(i) {
			continue
		}
		_, a := c.ask(ctx, i, options)
		switch {
		case a.err == nil && c.bar(i) == "":
			news = c.use(r, i, 0, nil, options)
			return
		case a.err != nil && !a.goesOn: // not unavailable any more, and not of use: what is in use stays
			news = func() {
				c.log.LogAttrs(context.Background(), slog.LevelWarn,
					"a source before the one in use fails",
					slog.String("source", c.links[i].name), slog.String("error", a.why))
			}
			return
		}
	}
}

// ask asks one source, and remembers what that says of it.
func (c *Chain) ask(
	ctx context.Context, i int, options policy.TokenRequestOptions,
) (azcore.AccessToken, attempt) {
	token, err := c.links[i].source.GetToken(ctx, options)
	if err == nil {
		c.state.mu.Lock()
		c.state.away[i] = time.Time{}
		c.state.mu.Unlock()
		return token, attempt{index: i}
	}
	a := c.judge(ctx, i, err)
	if ctx.Err() == nil {
		c.note(a)
	}
	return azcore.AccessToken{}, a
}

// Ready is as [Credential.Ready]: nil once a token is held for each of the scopes, by whichever source. It waits while all
// sources are unavailable, and so needs a ctx that ends: a laptop on which nobody logs in is never ready.
func (c *Chain) Ready(ctx context.Context, scopes ...string) error { return ready(ctx, c, scopes) }
