package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/devtool"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/usercode"
	"github.com/keyless-go/identity/internal/variants"
)

// toolSource is a developer's tool as the cache's source of tokens.
type toolSource struct {
	client *devtool.Client
	log    *slog.Logger
}

// newToolCredential completes k, which brings a tool's tokens from then on.
func newToolCredential(
	k *cached, shared *shared, env environment, t *devtool.Tool, options devtool.Options,
	log *slog.Logger,
) error {
	client, err := devtool.New(t, options, devtool.Machine{Getenv: env.getenv, Run: env.run,
		Place: shared.tool(t.Program)})
	if err != nil {
		return ours(err)
	}
	s := &toolSource{client, usercode.Logger(log)}
	identity, terms := client.Key(), s.terms(options.ProcessTimeout)
	k.tokens, k.source = shared.tokens, s
	k.view = tokencache.NewView(identity, tokencache.Variant{}, terms)
	k.views = &views{variants.New(identity, terms), s}
	return nil
}

// terms are those of the options. A run isn't repeated.
func (s *toolSource) terms(timeout time.Duration) tokencache.Terms {
	t := tokencache.Terms{Patience: s.client.Patience(), Budget: s.client.Budget(time.Time{})}
	if timeout > 0 {
		t.Rules = timeout.String()
	}
	return t
}

// Variant implements acquire.Varies.
func (s *toolSource) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	tenant, err := s.client.Tenant(options.Scopes[0], options.TenantID)
	return acquire.Variant{Tenant: tenant}, err
}

// Begin implements tokencache.Source. A tool gets nothing of the caller's context.
func (s *toolSource) Begin(_ context.Context, r tokencache.Request) tokencache.Acquisition {
	return func(p *tokencache.Progress) (tokencache.Grant, error) {
		return acquisition(s, r.Resource, func(error) {}, func() (tokencache.Grant, *failure.Failure) {
			t, f := s.client.Acquire(context.Background(), requestOf(r), r.Budget, p.Sent)
			return grantFrom(t), f
		})
	}
}

// Launched implements tokencache.Source. No fake stands in for a tool.
func (*toolSource) Launched() {}

// Report implements tokencache.Source.
func (s *toolSource) Report(r tokencache.Request, e tokencache.Event) {
	logEvent(s.logger(), s, r, e, s.client.TakesClaims)
}

func (s *toolSource) logger() *slog.Logger {
	log := s.log.With("source", s.client.Name)
	if s.client.Tenants.Own != "" {
		log = log.With("tenant", s.client.Tenants.Own)
	}
	if s.client.Subscription != "" {
		log = log.With("subscription", s.client.Subscription)
	}
	return log
}

// budget implements tokenSource.
func (s *toolSource) budget(ctx context.Context) time.Duration {
	deadline, ok := chain.CallersDeadline(ctx)
	if !ok {
		deadline = time.Time{}
	}
	return s.client.Budget(deadline)
}

// sign implements tokenSource.
func (s *toolSource) sign(e *AuthenticationError) { e.tool = s.client.Name }

// challenged is the error of a claims challenge where the tool takes no claims: it says what the
// developer has to do. The token that was refused is asked for anew at the next use.
func (k *cached) challenged(ctx context.Context, options policy.TokenRequestOptions) error {
	v, scope, err := k.check("GetToken", ctx, options)
	if err != nil {
		return err
	}
	k.tokens.Distrust(v, resourceOf(scope))
	s := k.source.(*toolSource)
	e := &AuthenticationError{Resource: resourceOf(scope)}
	e.what, e.hint = s.client.Challenged(v.Variant().Tenant, options.Claims)
	s.sign(e)
	return e
}

// toolStatus is the Status of a tool's credential. Who is logged in, the tool alone knows.
func (k *cached) toolStatus() Status {
	s, ok := k.source.(*toolSource)
	if !ok {
		return Status{Resources: []ResourceStatus{}}
	}
	list, _ := k.resources()
	return Status{Reason: s.client.Name, Resources: list}
}
