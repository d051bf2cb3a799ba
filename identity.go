package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential authenticates as the managed identity of the place that the process runs in. Make one with
// [NewCredential] and pass it to any Azure SDK client. It is safe for concurrent use, needs no Close, and leaves no
// goroutine behind but a renewal under way.
type Credential struct {
	view     view
	variants *variants // in place of view, on hosts where a token depends on more than the resource; nil elsewhere
	sender   *sender
	tokens   *cache
}

var _ azcore.TokenCredential = (*Credential)(nil)

// NewCredential makes a credential for the host that this process runs on, see [Detect]. nil options mean the defaults:
// the detected host and its default identity. It sends nothing and starts nothing; what is wrong with the options or with
// the host's variables is an error here, one that names the field or the variable.
//
// # Defaults of CredentialOptions.Retry
//
// An acquisition may take 75 s on IMDS and 30 s elsewhere, all tries together; each try 40 s and 20 s; waits between tries
// are random up to 1 s (elsewhere 500 ms) doubling to 10 s (5 s; Service Fabric 1 s to 16 s), on top of Retry-After, and of
// 1 s after a 5xx of IMDS.
// Where connections fail or something answers that isn't IMDS, and IMDS never has, it ends after 5 s with [ErrUnavailable].
// An address that accepts connections and then says nothing is given the full time: a slow IMDS looks like that.
//
// TryTimeout, RetryDelay, MaxRetryDelay, StatusCodes and ShouldRetry replace those values; StatusCodes and ShouldRetry are
// asked about failures only, never about a token; a Retry-After beyond MaxRetryDelay ends the tries. A positive MaxRetries
// limits the tries and extends the time to what that many can take, as does a TryTimeout beyond it, up to an hour; a
// negative one means a single try. RetryDelay less than zero means no waits, and then three retries by default.
func NewCredential(options *CredentialOptions) (*Credential, error) {
	return newCredential(options, processEnvironment())
}

func newCredential(options *CredentialOptions, env environment) (*Credential, error) {
	if options == nil {
		options = &CredentialOptions{}
	}
	if options.Transport != nil {
		return newCredentialIn(newRealm(), options, env)
	}
	cred, err := newCredentialIn(processRealm, options, env)
	if err == nil && len(options.PerCallPolicies)+len(options.PerRetryPolicies) > 0 {
		cred.tokens = newCache() // what one credential's policies do to requests must not reach others
	}
	return cred, err
}

func newCredentialIn(shared *realm, options *CredentialOptions, env environment) (*Credential, error) {
	if err := validateID(options.ID); err != nil {
		return nil, err
	}
	for _, tenant := range options.AdditionallyAllowedTenants {
		if tenant != anyTenant {
			if err := validateTenant("CredentialOptions.AdditionallyAllowedTenants", tenant); err != nil {
				return nil, err
			}
		}
	}
	src, err := newSource(env, options)
	if err != nil {
		return nil, err
	}
	snd, err := newSender(src, options, shared.node(src))
	if err != nil {
		return nil, err
	}
	c := &Credential{view: view{identity: cacheKey(src)}, sender: snd, tokens: shared.tokens}
	if ch, ok := src.(chooser); ok {
		c.variants = &variants{source: ch, identity: c.view.identity}
	}
	return c, nil
}

// cacheKey is by what tokens of one identity are kept together. IDs are the same in any case; letters beyond ASCII, which the
// name of a resource group may have, are not folded, because two of them can fold into one.
func cacheKey(src source) string {
	endpoint := src.endpoint()
	if address := src.address(); address != endpoint { // what must not be shown, also by printing a Credential
		sum := sha256.Sum256([]byte(address))
		endpoint += " " + hex.EncodeToString(sum[:])
	}
	id := src.identity()
	if id == nil {
		return string(src.host()) + "\n" + endpoint + "\n\n"
	}
	return string(src.host()) + "\n" + endpoint + "\n" + idKind(id) + " " + asciiLower(normalID(id.String())) + "\n"
}

// key is what a variant adds to it.
func (v variant) key() string { return v.tenant + "\n" + strconv.FormatBool(v.cae) + "\n" }

const defaultSuffix = "/.default"

// resourceOf is what a scope is for: one "/.default" is taken off, a slash before it belongs to the resource.
func resourceOf(scope string) string { return strings.TrimSuffix(scope, defaultSuffix) }

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK clients call it.
//
// A held token is returned at once, without a request and without an allocation, until it really ends; from half of its
// life on it is renewed in the background. Only without a valid token does GetToken block, until ctx ends and at most for
// the time that [NewCredential] documents; in the last 5 minutes of a long-lived token it may wait up to 2 s for the
// renewal. RefreshOn says when the renewal is due. Claims make it ask the host anew, at most once in 30 s for a resource,
// after a request that is under way already. Service Fabric is told which token was rejected, and workload identity repeats
// the claims to Entra; other hosts take none, and may repeat themselves from a cache of their own. On those two hosts
// EnableCAE, which Azure SDK clients set, gets tokens that can be challenged, and that are not those without it: set it to
// share theirs; Ready does. TenantID matters to workload identity only: see
// CredentialOptions.AdditionallyAllowedTenants.
//
// Errors are [*AuthenticationError], or plain ones about a bad argument. All callers of one identity and resource share
// one request; a caller whose ctx ends leaves at once, with an error that errors.Is finds ctx.Err() in.
func (c *Credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(options.Scopes) == 1 && options.Claims == "" {
		v := &c.view
		if c.variants != nil {
			v = c.variants.known(wishOf(options))
		}
		if h := v.fresh(options.Scopes[0]); h != nil {
			return h.token, nil
		}
	}
	return c.getToken(ctx, options)
}

// getToken is GetToken without a hit.
func (c *Credential) getToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	switch {
	case c.sender == nil:
		return azcore.AccessToken{}, errors.New("identity: GetToken: this Credential was not made by NewCredential")
	case ctx == nil:
		return azcore.AccessToken{}, errors.New("identity: GetToken: nil Context")
	case len(options.Scopes) != 1:
		return azcore.AccessToken{}, fmt.Errorf("identity: GetToken: %d scopes: a managed identity's token is for exactly one, such as https://vault.azure.net/.default", len(options.Scopes))
	}
	scope := options.Scopes[0]
	resource := resourceOf(scope)
	if err := validateResource(resource); err != nil {
		return azcore.AccessToken{}, err
	}
	v := &c.view
	if c.variants != nil {
		var err error
		if v, err = c.variants.view(options); err != nil {
			return azcore.AccessToken{}, err
		}
	}
	token, err := c.tokens.get(ctx, v, scope, options.Claims, c.sender)
	if err != nil {
		return azcore.AccessToken{}, c.ownError(err, resource)
	}
	return token, nil
}

// maxResourceLength is far above any App ID URI; it bounds the cache's keys.
const maxResourceLength = 2048

func validateResource(resource string) error {
	switch {
	case resource == "":
		return errors.New("identity: GetToken: empty scope: want one such as https://vault.azure.net/.default")
	case len(resource) > maxResourceLength:
		return fmt.Errorf("identity: GetToken: scope of %d characters, at most %d are allowed", len(resource), maxResourceLength)
	case strings.ContainsFunc(resource, func(r rune) bool { return r == ' ' || unprintable(r) }):
		return fmt.Errorf("identity: GetToken: scope %q contains a blank or a control character, or is not UTF-8", resource)
	}
	return nil
}

// ownError makes one caller's own copy of a shared error, and completes it.
func (c *Credential) ownError(err error, resource string) error {
	e, ok := err.(*AuthenticationError)
	if !ok {
		return err
	}
	e = e.forCaller()
	if e.Host == "" { // the cache's, which knows no hosts
		src := c.sender.source
		e.Host, e.Endpoint, e.ID, e.Resource = src.host(), src.endpoint(), src.identity(), resource
	}
	return e
}

// Host returns the host whose endpoint the credential asks: the detected one, or CredentialOptions.Host.
func (c *Credential) Host() Host {
	if c.sender == nil {
		return ""
	}
	return c.sender.source.host()
}

// readyPoll is how often Ready looks again. It costs no request while a cool-down lasts, and that is at least as long.
const readyPoll = 500 * time.Millisecond

// Ready returns nil once a valid token is held for each of the scopes, without a request when that is so already. It
// waits through start-up and unavailability, and has no limit of its own: it blocks until ctx ends, and then returns the
// last failure, in which errors.Is finds ctx.Err(). What waiting can't mend, such as [ErrIdentityNotFound] or an empty
// scope, it returns at once. It is safe for concurrent use, and meant for start-up and for readiness probes.
func (c *Credential) Ready(ctx context.Context, scopes ...string) error {
	if len(scopes) == 0 {
		return errors.New("identity: Ready: no scope: want at least one such as https://vault.azure.net/.default")
	}
	for _, scope := range scopes {
		if err := c.ready(ctx, scope); err != nil {
			return err
		}
	}
	return nil
}

func (c *Credential) ready(ctx context.Context, scope string) error {
	var last *AuthenticationError
	for {
		_, err := c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}) // as Azure SDK clients ask
		e, ok := errors.AsType[*AuthenticationError](err)
		switch {
		case !ok || !e.transient: // nil, too
			return err
		case ctx.Err() != nil && last == nil:
			return err
		case ctx.Err() != nil:
			last.cause = errors.Join(ctx.Err(), last.cause)
			last.what = strings.TrimLeft(last.what+"; not ready when the context ended: "+ctx.Err().Error(), "; ")
			return last
		}
		last = e
		timer := time.NewTimer(readyPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
