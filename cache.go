package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/variants"
)

// cached is what the credentials of this package are made of: a way into a cache of tokens, and
// what acquires those that the cache doesn't have.
type cached struct {
	view tokencache.View
	// in place of view, where a token depends on more than the resource; nil elsewhere
	views  *views
	tokens *tokencache.Cache
	source tokenSource
}

// views are the Views of a credential whose host varies: two for each tenant, with claims
// challenges and without.
type views struct {
	*variants.Views
	source acquire.Varies
}

// view returns the View that options ask for, or why there is none. Claims are judged each time.
func (v *views) view(options policy.TokenRequestOptions) (*tokencache.View, error) {
	chosen, err := v.source.Variant(options)
	if err != nil {
		return nil, err
	}
	variant := tokencache.Variant{Tenant: chosen.Tenant, CAE: chosen.CAE}
	return v.View(spelled(&options), variant), nil
}

// spelled is the variant that a caller asks for, in the caller's words.
func spelled(options *policy.TokenRequestOptions) tokencache.Variant {
	return tokencache.Variant{Tenant: options.TenantID, CAE: options.EnableCAE}
}

// clientOptions are how Azure SDK clients ask.
func clientOptions(scope, claims string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true, Claims: claims}
}

const defaultSuffix = "/.default"

// resourceOf is the resource that a scope is for: the scope without one "/.default". A slash before
// that belongs to the resource.
func resourceOf(scope string) string { return strings.TrimSuffix(scope, defaultSuffix) }

// hit returns the token that can be handed out at once, nil if there is none.
func (k *cached) hit(options *policy.TokenRequestOptions) *azcore.AccessToken {
	if len(options.Scopes) != 1 || options.Claims != "" {
		return nil
	}
	return k.held(options.Scopes[0], options.TenantID, options.EnableCAE)
}

// held is hit of a scope without claims.
func (k *cached) held(scope, tenant string, cae bool) *azcore.AccessToken {
	v := &k.view
	if k.views != nil {
		if v = k.views.Known(tokencache.Variant{Tenant: tenant, CAE: cae}); v == nil {
			return nil
		}
	}
	return v.Hit(scope)
}

// miss is GetToken without a hit.
func (k *cached) miss(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	v, scope, err := k.check("GetToken", ctx, options)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	got, err := k.get(ctx, v, scope, tokencache.Request{Claims: options.Claims})
	return got.Token, err
}

// refresh is Refresh of any credential: past the cache.
func (k *cached) refresh(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, bool, error) {
	v, scope, err := k.check("Refresh", ctx, options)
	if err != nil {
		return azcore.AccessToken{}, false, err
	}
	got, err := k.get(ctx, v, scope, tokencache.Request{Anew: true})
	return got.Token, got.Changed, err
}

// lastFailure is the last failed request for a token that options ask for, and when that was; nil
// for none.
func (k *cached) lastFailure(options policy.TokenRequestOptions) (time.Time, error) {
	v, scope, err := k.check("Tokens", context.Background(), options)
	if err != nil {
		return time.Time{}, nil
	}
	for _, s := range k.tokens.Stats(v) {
		is := tokencache.Variant{Tenant: s.Tenant, CAE: s.CAE}
		if s.Resource == resourceOf(scope) && is == v.Variant() && s.LastErr != nil {
			return s.LastErrAt, sharedError(s.LastErr, k.source, s.Resource)
		}
	}
	return time.Time{}, nil
}

// get asks the cache.
func (k *cached) get(
	ctx context.Context, v *tokencache.View, scope string, r tokencache.Request,
) (tokencache.Result, error) {
	r.Resource, r.Budget = resourceOf(scope), k.source.budget(ctx)
	got, err := k.tokens.Get(ctx, v, scope, r, k.source)
	if err != nil {
		return tokencache.Result{}, callersError(ctx, err, k.source, r.Resource)
	}
	return got, nil
}

// check judges what a caller of a method says, and returns the View that it asks for.
func (k *cached) check(
	method string, ctx context.Context, options policy.TokenRequestOptions,
) (*tokencache.View, string, error) {
	v, scope, err := k.chosen(method, ctx, options)
	return v, scope, ours(err)
}

func (k *cached) chosen(
	method string, ctx context.Context, options policy.TokenRequestOptions,
) (*tokencache.View, string, error) {
	switch {
	case k.source == nil:
		return nil, "", errors.New(method +
			": this credential was not made by NewCredential or another constructor")
	case ctx == nil:
		return nil, "", errors.New(method + ": nil Context")
	case len(options.Scopes) != 1:
		return nil, "", fmt.Errorf("%s: %d scopes: a token is for exactly one, "+
			"such as https://vault.azure.net/.default", method, len(options.Scopes))
	}
	scope := options.Scopes[0]
	if err := check.Resource(method, resourceOf(scope)); err != nil {
		return nil, "", err
	}
	if k.views == nil {
		return &k.view, scope, nil
	}
	v, err := k.views.view(options)
	return v, scope, err
}

// shared is what credentials share: tokens, and what is known of endpoints.
type shared struct {
	tokens *tokencache.Cache
	mu     sync.Mutex                 // guards nodes and tools
	nodes  map[string]*acquire.Node   // by host and endpoint; a process sees one or two
	tools  map[string]*acquire.Places // of one place, by program

	silences sync.Map // by node: the recentSilence of each, for the default credential
	// why this is Azure, once something has said so; it never changes after that
	azure atomic.Pointer[string]
}

func newShared() *shared {
	return &shared{tokens: tokencache.New(), nodes: map[string]*acquire.Node{},
		tools: map[string]*acquire.Places{}}
}

// processShared is what all credentials of the process share, and the one global variable that
// changes. Fifty clients, each with a credential of the same identity, shall send one request, and
// the VM's limit of 5 at once holds for the process. Credentials with a Transport of their own stay
// out of it, so that tests never see each other's tokens.
var processShared = newShared()

// nodeKey is the key of an endpoint's node.
func nodeKey(h anyHost) string { return string(h.host()) + " " + h.Address() }

func (r *shared) node(h anyHost) *acquire.Node {
	key := nodeKey(h)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[key]
	if n == nil {
		n = acquire.NewNode(h.Rules().AtOnce)
		r.nodes[key] = n
	}
	return n
}

// tool hands out the one place for runs of a developer's tool.
func (r *shared) tool(program string) *acquire.Places {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tools[program] == nil {
		r.tools[program] = acquire.NewPlaces(1)
	}
	return r.tools[program]
}

// seen notes what says that this is Azure, and returns what said so first.
func (r *shared) seen(why string) string {
	r.azure.CompareAndSwap(nil, &why)
	return *r.azure.Load()
}
