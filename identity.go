package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/variants"
)

// Credential authenticates as the managed identity of the place that the process runs in. Make one
// with [NewCredential] and pass it to any Azure SDK client. It is safe for concurrent use, needs no
// Close, and leaves no goroutine behind but a renewal under way.
type Credential struct {
	cached
	hosted hosted // the cache's source
	reason string // why this host
}

var _ azcore.TokenCredential = (*Credential)(nil)

// NewCredential makes a credential for the host that this process runs on, see [Detect]. nil
// options mean the defaults: the detected host and its default identity. It sends nothing and
// starts nothing. A mistake in the options or in the host's variables is an error here, which names
// the field or the variable.
//
// # Defaults of CredentialOptions.Retry
//
// On IMDS an acquisition may take 75 s, all tries together, and each try 40 s. Elsewhere these are
// 30 s and 20 s.
//
// The first wait between tries is random, up to 1.75 s on IMDS, 1 s on Service Fabric and 500 ms
// elsewhere. Each later wait is random between half of an upper end and the whole of it. The upper
// end grows with the time taken so far, to 16 s on Service Fabric and 5 s elsewhere. After a 5xx of
// IMDS a wait is at least 1 s. A Retry-After is a minimum, with a random wait on top. A 410 means
// that IMDS is being updated: it promises to be back within 70 s, and another try follows then,
// whatever it asked for before.
//
// An acquisition ends after 5 s, with [ErrUnavailable], where connections fail or something answers
// that isn't IMDS, and IMDS never has answered. Where a variable or the machine's chassis asset tag
// says that IMDS should be there, it ends after 30 s, with another error. The time in which a
// request waits for its turn, since a process sends at most 5 at once, doesn't count. An address
// that accepts connections and then says nothing is given the full time: a slow IMDS looks like
// that.
//
// If a refusal has an error number of Entra's that is known here, the number decides whether there
// is another try, and the status doesn't. If the server's certificate isn't accepted, there is
// none.
//
// All this is for callers that wait. While the held token has time left for another acquisition, a
// renewal is a single try, whatever CredentialOptions.Retry says. If it fails, the next renewal
// follows after a wait of up to 5 s, which doubles with each failure to 30 s.
//
// The fields of CredentialOptions.Retry replace those values. TryTimeout is the time of a try.
// RetryDelay is the upper end of the first wait. No later wait has a lower one. MaxRetryDelay is
// the upper end of all waits, and a Retry-After beyond it ends the tries. StatusCodes and
// ShouldRetry are asked about failures only, never about a token. A positive MaxRetries limits the
// tries, and extends the time to what that many tries can take, up to an hour; so does a TryTimeout
// that is longer than that time. A negative MaxRetries means a single try. A negative RetryDelay
// means no waits, and then three retries by default.
func NewCredential(options *CredentialOptions) (*Credential, error) {
	return newCredential(options, processEnvironment())
}

func newCredential(options *CredentialOptions, env environment) (*Credential, error) {
	if options == nil {
		options = &CredentialOptions{}
	}
	if options.Transport != nil {
		return newCredentialIn(newShared(), options, env)
	}
	return newCredentialIn(processShared, options, env)
}

func newCredentialIn(
	shared *shared, options *CredentialOptions, env environment,
) (*Credential, error) {
	return newCredentialOf(shared, settingsOf(options), env)
}

func newCredentialOf(shared *shared, options settings, env environment) (*Credential, error) {
	c, err := assemble(shared, options, env)
	return c, ours(err)
}

// assemble makes a credential of its parts. Its errors name a field or a variable.
func assemble(shared *shared, options settings, env environment) (*Credential, error) {
	if err := validateID(options.id, options.ID); err != nil {
		return nil, err
	}
	if err := check.AllowedTenants(options.allowed, options.AdditionallyAllowedTenants); err != nil {
		return nil, err
	}
	src, reason, err := newSource(env, options)
	if err != nil {
		return nil, err
	}
	c := &Credential{}
	if err := c.ask(src, reason, shared, options); err != nil {
		return nil, err
	}
	return c, nil
}

// ask completes a new credential: it asks src, and shares its tokens as far as they may be shared.
func (c *Credential) ask(src anyHost, reason string, shared *shared, options settings) error {
	h, err := newHosted(src, options, shared.node(src))
	if err != nil {
		return err
	}
	c.hosted, c.reason = h, reason
	identity, terms := cacheKey(src), c.hosted.termsOf(options.Retry)
	c.view, c.source = tokencache.NewView(identity, tokencache.Variant{}, terms), &c.hosted
	c.tokens = shared.tokens
	proves, ok := src.(*federated) // nobody can tell what a function goes by
	if len(options.PerCallPolicies)+len(options.PerRetryPolicies) > 0 || ok && proves.Proof() == "" {
		// what one credential's policies do to requests must not reach others
		c.tokens = tokencache.New()
	}
	if ch, ok := src.(acquire.Varies); ok {
		c.views = &views{variants.New(identity, terms), ch}
	}
	return nil
}

// cacheKey is the key under which the tokens of one identity are kept.
func cacheKey(src anyHost) string {
	endpoint, address := src.Endpoint(), src.Address()
	if p, ok := src.(acquire.Proves); ok {
		address += "\n" + p.Proof()
	}
	if address != endpoint { // the rest is secret, and a Credential may be printed
		sum := sha256.Sum256([]byte(address))
		endpoint += " " + hex.EncodeToString(sum[:])
	}
	return string(src.host()) + "\n" + endpoint + "\n" + selected(src.identity()).Key() + "\n"
}

// chainLink implements ownSource.
func (c *Credential) chainLink() chain.Link {
	name := "managed identity"
	if c.Host() == HostWorkloadIdentity {
		name = "workload identity"
	}
	return chain.Link{Name: name, Source: c, Whole: true, Refresh: c.refresh,
		Failed: c.lastFailure, Held: c.held}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it.
//
// A held token is returned at once, without a request and without an allocation, until it really
// ends; from half of its life on it is renewed in the background. Only without a valid token does
// GetToken block, until ctx ends and at most for the time that [NewCredential] documents; in the
// last 5 minutes of a long-lived token it may wait up to 2 s for the renewal. RefreshOn says when
// the renewal is due. With Claims it asks the host anew, at most once in 30 s for a resource. If a
// request is under way already, it first waits for that one. Service Fabric is told which token was
// rejected, and workload identity repeats the claims to Entra; other hosts take none, and may
// repeat themselves from a cache of their own. On Service Fabric and with workload identity
// EnableCAE asks for tokens that can be challenged. Tokens with it and tokens without it are kept
// apart: set it, as Azure SDK clients, Ready and [TokenFunc] do, so that in an outage you get the
// token that those hold. TenantID matters to workload identity only: see
// CredentialOptions.AdditionallyAllowedTenants.
//
// Errors are [*AuthenticationError], or plain ones about a bad argument. All callers of one
// identity and resource share one request, as far as their credentials have the same Retry; a
// caller whose ctx ends leaves at once, with an error in which errors.Is finds ctx.Err().
//
// A request outlives its callers. Therefore it sees none of the values in ctx, and no method of ctx
// is called after GetToken has returned: a Transport or a policy that looks for a value of the
// caller's in its request's context doesn't find it, and hooks of httptrace aren't called. Only a
// TracingProvider gets what it asks ctx for when the span begins.
func (c *Credential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.hit(&options); held != nil {
		return *held, nil
	}
	return c.miss(ctx, options)
}

// Refresh asks the host for a token although a valid one is held. Use it after the identity was
// given a role or put into a group, which shows only in a new token. It returns the token that is
// held from then on, and whether that is another one than before. Azure SDK clients have that token
// once they ask again.
//
// Most hosts have a cache of their own, for about a day, and nothing makes them look past it: then
// changed is false, and the log says when the token, and with it that cache's entry, ends. Workload
// identity has none, so that each Refresh brings another token.
//
// It sends at most one request in 30 s for a resource; calls in that time get what it brought. It
// blocks until ctx ends, and at most for the time that [NewCredential] documents. If a request is
// under way already, it first waits for that one. A failure is returned and costs nothing: the held
// token stays in use. Errors are those of [Credential.GetToken]. It is safe for concurrent use.
func (c *Credential) Refresh(
	ctx context.Context, scope string,
) (token azcore.AccessToken, changed bool, err error) {
	return c.refresh(ctx, clientOptions(scope, ""))
}

// Host returns the host whose endpoint the credential asks: the detected one, or
// CredentialOptions.Host.
func (c *Credential) Host() Host {
	if c.hosted.hostParts == nil {
		return ""
	}
	return c.hosted.host.host()
}
