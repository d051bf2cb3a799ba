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

// Chain tries credentials in order, and remembers the one that last brought a token. Make one with [NewChain] or
// [NewDefaultCredential] and pass it to any Azure SDK client. It is safe for concurrent use, needs no Close, and leaves no
// goroutine behind but a pass along its sources, for 3 minutes, and a look at those that were unavailable, for one.
type Chain struct {
	name       string // in messages
	links      []link // in order; never changes
	continueOn func(error) bool
	log        *slog.Logger
	made       time.Time   // with a monotonic reading, for chainState.next
	state      *chainState // a pointer, so that printing a Chain with %+v doesn't read it
}

// chainState is what changes with calls.
type chainState struct {
	inUse   atomic.Int32 // index of the source that last brought a token, plus 1; 0 for none
	next    atomic.Int64 // when the sources before it may be looked at again, as time since Chain.made
	looking atomic.Bool  // that is under way
	told    atomic.Bool  // the log has said that the developer's sources are barred

	mu     sync.Mutex // guards the rest; not held over I/O, nor over anything that isn't ours
	passes map[passKey]*pass
	last   []lastFailure // of each source
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
	ours   bool          // its callers share a request and leave with their own ctx, so that it needs no pass for that
}

// foreignSource is a credential of another package. It is held by a pointer, so that printing a Chain doesn't print what is in it.
type foreignSource struct{ source *azcore.TokenCredential }

func (f foreignSource) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return (*f.source).GetToken(ctx, options)
}

// NewChain makes a credential of several, which are tried in the order given. The next one is tried only after an error that
// says that a source can't be used here: one in which errors.Is finds [ErrUnavailable], or that options.ContinueOn takes for
// such. Any other error ends the try, so that a failure never turns into another identity. It sends nothing.
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
	for i := range links {
		switch links[i].source.(type) {
		case *Credential, *hostStep, *AzureCLICredential, *AzureDeveloperCLICredential, *Chain:
			links[i].ours = true
		default:
			source := links[i].source
			links[i].source = foreignSource{&source}
		}
	}
	state := &chainState{passes: map[passKey]*pass{}, last: make([]lastFailure, len(links))}
	return &Chain{name: name, links: links, continueOn: continueOn, log: shieldedLogger(log), made: time.Now(), state: state}
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

// GetToken returns a token of the source that last brought one, or else of the first that is available. Azure SDK clients
// call it.
//
// It takes as long as the sources do that it has to ask, at most 3 minutes for a pass over them, and ends with ctx. Callers that
// want the same share one pass, and each leaves with its own ctx. When a source other than the first is in use, those before it
// are asked again in the background, at most once a minute, and the first that brings a token is used from then on; RefreshOn
// is a minute away at most, so that Azure SDK clients, which keep a token until then, come to know of it.
//
// The error has a line for each source, with its own reason. errors.Is and errors.As find those that ended the pass: the last
// one, or all if all sources are unavailable; never an *azcore.ResponseError.
func (c *Chain) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	switch {
	case len(c.links) == 0:
		return azcore.AccessToken{}, errors.New("identity: GetToken: this Chain was not made by NewChain or NewDefaultCredential")
	case ctx == nil:
		return azcore.AccessToken{}, errors.New("identity: GetToken: nil Context")
	}
	i := int(c.state.inUse.Load()) - 1
	if i < 0 || !c.links[i].ours || c.bar(i) != "" {
		return c.join(ctx, options, attempt{index: -1})
	}
	token, err := c.links[i].source.GetToken(ctx, options)
	switch {
	case c.bar(i) != "": // it has turned out meanwhile that this is Azure
		return c.join(ctx, options, attempt{index: -1})
	case err == nil && i > 0:
		return c.lookBack(i, options, token), nil
	case err == nil:
		return token, nil
	}
	a := c.judge(i, err)
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, -1, ctx.Err())
	}
	c.note(a)
	if !a.goesOn {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, -1, nil)
	}
	return c.join(ctx, options, a)
}

// bar says why a source must not be used, "" while it may.
func (c *Chain) bar(i int) string {
	if c.links[i].barred == nil {
		return ""
	}
	return c.links[i].barred()
}

// announce has the log say, once, that the developer's sources are barred. before is what was in use until then, as in inUse.
// It is called when nobody waits any more: a handler may be slow, want a lock that the caller holds, or a token of this chain.
func (c *Chain) announce(before int32) {
	for i := range c.links {
		why := c.bar(i)
		if why == "" {
			continue
		}
		if !c.state.told.CompareAndSwap(false, true) {
			return
		}
		level := slog.LevelInfo
		if before > 0 && c.links[before-1].barred != nil {
			level = slog.LevelWarn
		}
		c.log.Log(context.Background(), level, "this is Azure: the developer's credentials are not used from now on", "because", why)
	}
}

// note remembers a failure for [Chain.Status].
func (c *Chain) note(a attempt) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	c.state.last[a.index] = lastFailure{a.why, time.Now()}
}

// use makes a source the one in use, after those before it have been asked. since is what was in use when that began: one before
// it that has come into use meanwhile, by another pass or a look, stays. It returns what is to be logged.
func (c *Chain) use(i int, since int32, reasons []attempt) (news func()) {
	before := c.state.inUse.Load()
	for {
		if before > 0 && before <= int32(i) && before != since {
			return nil
		}
		if c.state.inUse.CompareAndSwap(before, int32(i+1)) {
			break
		}
		before = c.state.inUse.Load()
	}
	c.state.next.Store(int64(time.Since(c.made) + lookEvery))
	if int(before) == i+1 {
		return nil
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].name))
	}
	for _, r := range reasons {
		attrs = append(attrs, slog.String("not "+c.links[r.index].name, r.why))
	}
	return func() { c.log.LogAttrs(context.Background(), slog.LevelInfo, "source of tokens in use", attrs...) }
}

// lookBack has the sources before the one in use looked at, if it is time, and dates a token so that who keeps it asks again
// soon.
func (c *Chain) lookBack(i int, options policy.TokenRequestOptions, token azcore.AccessToken) azcore.AccessToken {
	now := time.Now()
	due := func() bool { return int64(now.Sub(c.made)) >= c.state.next.Load() }
	if due() && c.state.looking.CompareAndSwap(false, true) {
		if !due() { // another look has just ended
			c.state.looking.Store(false)
			return askedAgain(token, now)
		}
		options.Claims, options.Scopes = "", slices.Clone(options.Scopes)
		go c.look(i, options)
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

// look asks the sources before the one in use, for a minute at most. There is one look at a time: a source may ignore its ctx.
func (c *Chain) look(end int, options policy.TokenRequestOptions) {
	before := c.state.inUse.Load()
	defer func() {
		c.state.next.Store(int64(time.Since(c.made) + lookEvery))
		c.state.looking.Store(false)
		c.announce(before)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	for i := range end {
		if c.bar(i) != "" {
			continue
		}
		_, a := c.ask(ctx, i, options)
		switch {
		case a.err == nil && c.bar(i) == "":
			if news := c.use(i, 0, nil); news != nil {
				c.announce(before)
				news()
			}
			return
		case a.err != nil && !a.goesOn: // not unavailable any more, and not of use: what is in use stays
			c.log.LogAttrs(ctx, slog.LevelWarn, "a source before the one in use fails", slog.String("source", c.links[i].name), slog.String("error", a.why))
			return
		}
	}
}

// ask asks one source, and remembers its failure. What panics in it, or ends its goroutine, is a failure: the goroutine is
// nobody's in which a caller could recover.
func (c *Chain) ask(ctx context.Context, i int, options policy.TokenRequestOptions) (token azcore.AccessToken, a attempt) {
	err := errEnded
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
		if err == nil {
			return
		}
		a = c.judge(i, err)
		if ctx.Err() == nil {
			c.note(a)
		}
	}()
	token, err = c.links[i].source.GetToken(ctx, options)
	return token, attempt{index: i}
}

// Ready is as [Credential.Ready]: nil once a token is held for each of the scopes, by whichever source. It waits while all
// sources are unavailable, and so needs a ctx that ends: a laptop on which nobody logs in is never ready.
func (c *Chain) Ready(ctx context.Context, scopes ...string) error { return ready(ctx, c, scopes) }
