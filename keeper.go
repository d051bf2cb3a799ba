package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// keeper is what the credentials of this package are made of: a way into a cache of tokens, and what acquires those that the
// cache doesn't have.
type keeper struct {
	view     view
	variants *variants // in place of view, where a token depends on more than the resource; nil elsewhere
	tokens   *cache
	acquirer acquirer
}

const defaultSuffix = "/.default"

// resourceOf is what a scope is for: one "/.default" is taken off, a slash before it belongs to the resource.
func resourceOf(scope string) string { return strings.TrimSuffix(scope, defaultSuffix) }

// hit finds a token that is handed out without any more ado: one look-up, one reading of the clock, and one copy by the
// caller. It is nil if there is more to do than that.
func (k *keeper) hit(options *policy.TokenRequestOptions) *held {
	if len(options.Scopes) != 1 || options.Claims != "" {
		return nil
	}
	v := &k.view
	if k.variants != nil {
		if v = k.variants.known(wishOf(options)); v == nil {
			return nil
		}
	}
	index := v.index.Load()
	if index == nil {
		return nil
	}
	e := (*index)[options.Scopes[0]]
	if e == nil {
		return nil
	}
	h := e.held.Load()
	if h == nil || !h.rests(time.Now()) {
		return nil
	}
	if !e.used.Load() { // a write by each hit would have processors fetch it from one another
		e.used.Store(true)
	}
	return h
}

// miss is GetToken without a hit.
func (k *keeper) miss(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	v, scope, err := k.check("GetToken", ctx, options)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	got, err := k.tokens.get(ctx, v, scope, ask{claims: options.Claims}, k.acquirer)
	if err != nil {
		return azcore.AccessToken{}, k.ownError(err, resourceOf(scope))
	}
	return got.token, nil
}

// check judges what a caller of a method says, and returns the view that it asks for.
func (k *keeper) check(method string, ctx context.Context, options policy.TokenRequestOptions) (*view, string, error) {
	switch {
	case k.acquirer == nil:
		return nil, "", errors.New("identity: " + method + ": this credential was not made by NewCredential or another constructor")
	case ctx == nil:
		return nil, "", errors.New("identity: " + method + ": nil Context")
	case len(options.Scopes) != 1:
		return nil, "", fmt.Errorf("identity: %s: %d scopes: a token is for exactly one, such as https://vault.azure.net/.default", method, len(options.Scopes))
	}
	scope := options.Scopes[0]
	if err := validateResource(method, resourceOf(scope)); err != nil {
		return nil, "", err
	}
	if k.variants == nil {
		return &k.view, scope, nil
	}
	v, err := k.variants.view(options)
	return v, scope, err
}

// maxResourceLength is far above any App ID URI; it bounds the cache's keys.
const maxResourceLength = 2048

func validateResource(method, resource string) error {
	switch {
	case resource == "":
		return errors.New("identity: " + method + ": empty scope: want one such as https://vault.azure.net/.default")
	case len(resource) > maxResourceLength:
		return fmt.Errorf("identity: %s: scope of %d characters, at most %d are allowed", method, len(resource), maxResourceLength)
	case strings.ContainsFunc(resource, func(r rune) bool { return r == ' ' || redact.Unprintable(r) }):
		return fmt.Errorf("identity: %s: scope %q contains a blank or a control character, or is not UTF-8", method, resource)
	}
	return nil
}

// ownError makes one caller's own copy of a shared error, and completes it.
func (k *keeper) ownError(err error, resource string) error {
	e, ok := err.(*AuthenticationError)
	if !ok {
		return err
	}
	e = e.forCaller()
	complete(e, k.acquirer, resource)
	return e
}

// complete adds to an error of the cache's, which knows no hosts, who was asked for what.
func complete(err error, a acquirer, resource string) {
	if e, ok := err.(*AuthenticationError); ok && e.Host == "" && e.tool == "" {
		a.sign(e)
		e.Resource = resource
	}
}
