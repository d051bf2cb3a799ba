package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/tokencache"
)

// cached is what the credentials of this package are made of: a way into a cache of tokens, and
// what acquires those that the cache doesn't have.
type cached struct {
	view   tokencache.View
	views  *views // in place of view, where a token depends on more than the resource; nil elsewhere
	tokens *tokencache.Cache
	source tokenSource
}

// tokenSource is what the cache asks for tokens, with what this package wants to know of it.
type tokenSource interface {
	tokencache.Source
	// budget is how long an acquisition takes at the longest, if it starts for a caller with ctx. It
	// asks ctx for its deadline.
	budget(ctx context.Context) time.Duration
	// sign makes an error one of who was asked.
	sign(*AuthenticationError)
}

// views are those of a credential whose host varies: one for each tenant, with and without
// claims challenges.
type views struct {
	*tokencache.Views
	source acquire.Varies
}

// view returns the View that options ask for, or why there is none. Claims are judged each time.
func (v *views) view(options policy.TokenRequestOptions) (*tokencache.View, error) {
	chosen, err := v.source.Variant(options)
	if err != nil {
		return nil, err
	}
	return v.View(spelled(&options), tokencache.Variant{Tenant: chosen.Tenant, CAE: chosen.CAE}), nil
}

// spelled is the variant that a caller asks for, in the caller's words.
func spelled(options *policy.TokenRequestOptions) tokencache.Variant {
	return tokencache.Variant{Tenant: options.TenantID, CAE: options.EnableCAE}
}

const defaultSuffix = "/.default"

// resourceOf is what a scope is for: one "/.default" is taken off, a slash before it belongs to the
// resource.
func resourceOf(scope string) string { return strings.TrimSuffix(scope, defaultSuffix) }

// hit finds a token that is handed out without any more ado. It is nil if there is more to do than
// that.
func (k *cached) hit(options *policy.TokenRequestOptions) *azcore.AccessToken {
	if len(options.Scopes) != 1 || options.Claims != "" {
		return nil
	}
	v := &k.view
	if k.views != nil {
		if v = k.views.Known(spelled(options)); v == nil {
			return nil
		}
	}
	return v.Hit(options.Scopes[0])
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
	switch {
	case k.source == nil:
		return nil, "", errors.New("identity: " + method +
			": this credential was not made by NewCredential or another constructor")
	case ctx == nil:
		return nil, "", errors.New("identity: " + method + ": nil Context")
	case len(options.Scopes) != 1:
		return nil, "", fmt.Errorf("identity: %s: %d scopes: a token is for exactly one, "+
			"such as https://vault.azure.net/.default", method, len(options.Scopes))
	}
	scope := options.Scopes[0]
	if err := validateResource(method, resourceOf(scope)); err != nil {
		return nil, "", err
	}
	if k.views == nil {
		return &k.view, scope, nil
	}
	v, err := k.views.view(options)
	return v, scope, err
}

// maxResourceLength is far above any App ID URI; it bounds the cache's keys.
const maxResourceLength = 2048

func validateResource(method, resource string) error {
	switch {
	case resource == "":
		return errors.New("identity: " + method +
			": empty scope: want one such as https://vault.azure.net/.default")
	case len(resource) > maxResourceLength:
		return fmt.Errorf("identity: %s: scope of %d characters, at most %d are allowed",
			method, len(resource), maxResourceLength)
	case strings.ContainsFunc(resource, func(r rune) bool { return r == ' ' || redact.Unprintable(r) }):
		return fmt.Errorf("identity: %s: scope %q contains a blank or a control character, "+
			"or is not UTF-8", method, resource)
	}
	return nil
}
