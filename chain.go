package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/chain"
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
// safe for concurrent use, needs no Close, and leaves no goroutine behind but those that look
// whether a source has become available, each for a minute at most.
type Chain struct {
	engine *chain.Chain // nil in a Chain that no constructor has made
}

var _ azcore.TokenCredential = (*Chain)(nil)

// NewChain makes a credential of several, which are tried in the order given. The next source is
// tried only if the error of the one before says that it can't be used here: errors.Is finds
// [ErrUnavailable] in it, or options.ContinueOn says so. Any other error is returned, so that a
// failure never turns into another identity. NewChain sends nothing.
//
// A source of another package is asked in the goroutine of each caller, with the caller's context.
// So a source that reads a user from the context can give each user another token. Callers share
// requests only if the source sees to that itself. It has to return when its context ends, since
// its caller can't leave before. A panic in it is an error of that source. The source in use is
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
	links := make([]chain.Link, len(sources))
	for i, source := range sources {
		var ok bool
		if links[i], ok = linkOf(source); !ok {
			return nil, fmt.Errorf("identity: NewChain: sources[%d] is nil", i)
		}
	}
	return newChain("chain", links, options.ContinueOn, options.Logger), nil
}

func newChain(
	name string, links []chain.Link, continueOn func(error) bool, log *slog.Logger,
) *Chain {
	return &Chain{chain.New(chain.Options{Name: name, Links: links, ContinueOn: continueOn,
		Read: readForChain, Logger: log})}
}

// GetToken returns a token of the source that last brought one for the scope and tenant, or else of
// the first that is available. Azure SDK clients call it.
//
// It takes as long as the sources do that it has to ask, one after the other, and ends with ctx.
// Credentials of this package share requests among their callers, and their callers leave with ctx;
// see [NewChain] for those of others. A walk along the sources has a ctx that ends after 3 minutes;
// the source in use gets the caller's ctx. When a source other than the first is in use, those
// before it are asked again in the background, at most once a minute, and the first that brings a
// token is used from then on; RefreshOn is a minute away at most, so that Azure SDK clients, which
// keep a token until then, come to know of it.
//
// The error has a line for each source, with its own reason, and a method Summary as
// [AuthenticationError.Summary]. errors.Is and errors.As look into the error that ended the walk:
// the last source's, or those of all sources if all are unavailable. They never find an
// *azcore.ResponseError.
func (c *Chain) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (token azcore.AccessToken, err error) {
	if c.engine == nil {
		return azcore.AccessToken{}, unmadeChain("GetToken")
	}
	err = c.engine.Token(ctx, &options, &token)
	return token, err
}

// Ready is as [Credential.Ready]: nil once a token is held for each of the scopes, by whichever
// source. It waits while all sources are unavailable, and so needs a ctx that ends: a laptop on
// which nobody logs in is never ready.
func (c *Chain) Ready(ctx context.Context, scopes ...string) error { return ready(ctx, c, scopes) }

// Refresh is as [Credential.Refresh], of the source in use for the scope. It goes on to no other
// source: if that one fails, it returns an error as GetToken does. A source of another package is
// asked as by GetToken, and so are the sources while none is in use; changed then says whether
// another source has come into use.
func (c *Chain) Refresh(
	ctx context.Context, scope string,
) (token azcore.AccessToken, changed bool, err error) {
	if c.engine == nil {
		return azcore.AccessToken{}, false, unmadeChain("Refresh")
	}
	return c.engine.Refresh(ctx, clientOptions(scope, ""))
}

// unmadeChain is the error of a method of a zero Chain.
func unmadeChain(method string) error {
	return errors.New("identity: " + method +
		": this Chain was not made by NewChain or NewDefaultCredential")
}

// ownSource is a credential of this package. It shares requests among its callers by itself, and
// they leave it with their contexts.
type ownSource interface {
	azcore.TokenCredential
	chainLink() chain.Link
}

// chainLink implements ownSource: a chain may be a source of another.
func (c *Chain) chainLink() chain.Link {
	if c.engine == nil {
		return chain.Link{Source: c}
	}
	return c.engine.Link()
}

// linkOf makes a source of a user's choice a link, unless it is nil.
//
// A user's type that embeds a credential of ours has the methods of ours, but its own GetToken: it
// counts as the user's.
func linkOf(source azcore.TokenCredential) (l chain.Link, ok bool) {
	v := reflect.ValueOf(source)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return chain.Link{}, false
	}
	if own, ok := source.(ownSource); ok && v.Kind() == reflect.Pointer &&
		v.Type().Elem().PkgPath() == reflect.TypeFor[Chain]().PkgPath() {
		return own.chainLink(), true
	}
	return chain.Foreign(source), true
}

// readForChain says what an error of a source means, other than the error of a chain, which the
// engine reads itself.
func readForChain(err error) chain.Reading {
	r := chain.Reading{Unavailable: errors.Is(err, ErrUnavailable)}
	if own, ok := errors.AsType[*AuthenticationError](err); ok {
		r.Own, r.Passes = own, own.transient
		r.Answered = err == error(own) && own.soFar != nil
	}
	return r
}
