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
	// by several goroutines at once. nil means that nothing else does.
	ContinueOn func(error) bool

	// Logger receives which source is in use, when that changes (Info), and why the ones before it are not. nil is silent.
	Logger *slog.Logger
}

// Chain tries credentials in order, and remembers the one that last brought a token. Make one with [NewChain] or
// [NewDefaultCredential] and pass it to any Azure SDK client. It is safe for concurrent use, needs no Close, and leaves no
// goroutine behind but a bounded look at sources that were unavailable.
type Chain struct {
	name       string // in messages
	links      []link // in order; never changes
	continueOn func(error) bool
	log        *slog.Logger

	inUse atomic.Int32 // index of the source that last brought a token, plus 1; 0 for none
	made  time.Time    // with a monotonic reading, for next
	next  atomic.Int64 // when the sources before it may be looked at again, as time since made
	bars  atomic.Int32 // 1 once the log has said that the developer's sources are barred

	mu     sync.Mutex // guards the rest and link.last; not held over I/O
	passes map[passKey]*pass
}

var _ azcore.TokenCredential = (*Chain)(nil)

// link is one source.
type link struct {
	name   string
	source azcore.TokenCredential
	barred func() string // why it must not be used, "" while it may; nil for always

	last   error // the last failure
	lastAt time.Time
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
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Chain{name: name, links: links, continueOn: continueOn, log: log, made: time.Now(), passes: map[passKey]*pass{}}
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
// It takes as long as the sources do that it has to ask, and ends with ctx. Callers that want the same share one pass over
// the sources, and each leaves with its own ctx. When a source other than the first is in use, those before it are asked again
// in the background, at most once a minute, and the first that brings a token is used from then on; RefreshOn is a minute away
// at most, so that Azure SDK clients, which keep a token until then, come to know of it.
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
	known := attempt{index: -1}
	if n := c.inUse.Load(); n > 0 && c.bar(int(n-1)) == "" {
		i := int(n - 1)
		token, err := c.links[i].source.GetToken(ctx, options)
		switch {
		case err == nil && c.bar(i) == "":
			if i > 0 {
				token = c.lookBack(i, options, token)
			}
			return token, nil
		case err == nil: // it has turned out meanwhile that this is Azure
		case ctx.Err() == nil && c.goesOn(err):
			known = attempt{i, err}
			c.inUse.CompareAndSwap(n, 0)
		default:
			if ctx.Err() == nil {
				c.note(i, err)
			}
			return azcore.AccessToken{}, c.failure(options, []attempt{{i, err}}, ctx.Err())
		}
	}
	return c.join(ctx, options, known)
}

// bar says why a source must not be used, "" while it may.
func (c *Chain) bar(i int) string {
	if c.links[i].barred == nil {
		return ""
	}
	why := c.links[i].barred()
	if why != "" && c.bars.CompareAndSwap(0, 1) {
		level := slog.LevelInfo
		if n := c.inUse.Load(); n > 0 && c.links[n-1].barred != nil {
			level = slog.LevelWarn
		}
		c.log.Log(context.Background(), level, "this is Azure: the developer's credentials are not used from now on", "because", why)
	}
	return why
}

// goesOn reports whether an error means that the next source is to be tried.
func (c *Chain) goesOn(err error) bool {
	return errors.Is(err, ErrUnavailable) || c.continueOn != nil && c.continueOn(err)
}

// note remembers a failure for [Chain.Status].
func (c *Chain) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links[i].last, c.links[i].lastAt = err, time.Now()
}

// use makes a source the one in use.
func (c *Chain) use(i int, reasons []attempt) {
	c.next.Store(int64(time.Since(c.made) + lookEvery))
	for i := range c.links {
		_ = c.bar(i) // so that the log says it before
	}
	before := c.inUse.Swap(int32(i + 1))
	if int(before) == i+1 {
		return
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].name))
	}
	for _, r := range reasons {
		attrs = append(attrs, slog.String("not "+c.links[r.index].name, c.reason(r)))
	}
	c.log.LogAttrs(context.Background(), slog.LevelInfo, "source of tokens in use", attrs...)
}

// lookBack has the sources before the one in use looked at, if it is time, and dates a token so that who keeps it asks again
// soon.
func (c *Chain) lookBack(i int, options policy.TokenRequestOptions, token azcore.AccessToken) azcore.AccessToken {
	now := time.Now()
	due, passed := c.next.Load(), int64(now.Sub(c.made))
	if passed >= due && c.next.CompareAndSwap(due, passed+int64(lookEvery)) {
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

// look asks the sources before the one in use, for as long as until the next look.
func (c *Chain) look(end int, options policy.TokenRequestOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	for i := range end {
		if c.bar(i) != "" {
			continue
		}
		_, err := c.ask(ctx, i, options)
		switch {
		case err == nil && c.bar(i) == "":
			if c.inUse.Load() > int32(i+1) {
				c.use(i, nil)
			}
			return
		case err != nil && !c.goesOn(err): // not unavailable any more, and not of use: what is in use stays
			c.log.LogAttrs(ctx, slog.LevelWarn, "a source before the one in use fails", slog.String("source", c.links[i].name), slog.String("error", c.reason(attempt{i, err})))
			return
		}
	}
}

// ask asks one source, and remembers its failure. What panics in it, or ends its goroutine, is a failure: the goroutine is
// nobody's in which a caller could recover.
func (c *Chain) ask(ctx context.Context, i int, options policy.TokenRequestOptions) (token azcore.AccessToken, err error) {
	err = errAborted
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		if err != nil && ctx.Err() == nil {
			c.note(i, err)
		}
	}()
	return c.links[i].source.GetToken(ctx, options)
}

// Ready is as [Credential.Ready]: nil once a token is held for each of the scopes, by whichever source. It waits while all
// sources are unavailable, and so needs a ctx that ends: a laptop on which nobody logs in is never ready.
func (c *Chain) Ready(ctx context.Context, scopes ...string) error { return ready(ctx, c, scopes) }
