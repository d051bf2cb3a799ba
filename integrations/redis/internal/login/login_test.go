package login

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

type credentialFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f credentialFunc) GetToken(
	ctx context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return f(ctx, o)
}

// TestGetAsks as identity.Ready does, which keeps tokens that can't be challenged apart.
func TestGetAsks(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]string{"": Scope, "x/.default": "x/.default"} {
		var asked policy.TokenRequestOptions
		s := &Source{User: "me", Scope: scope, Credential: credentialFunc(
			func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
				asked = o
				return azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(time.Hour)}, nil
			})}
		if _, err := s.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(asked.Scopes, []string{want}) || !asked.EnableCAE {
			t.Errorf("asked %+v, want %s with EnableCAE", asked, want)
		}
	}
}

// TestGetFails: the last token is used while it is valid, but not for a caller who has left.
func TestGetFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lives    time.Duration
		canceled bool
		want     error // nil for the last token
	}{
		"valid":                  {time.Hour, false, nil},
		"ended":                  {-time.Hour, false, errOutage},
		"the caller has left":    {time.Hour, true, context.Canceled},
		"ended, and he has left": {-time.Hour, true, context.Canceled},
	} {
		fails := false
		s := &Source{User: "me", Credential: credentialFunc(
			func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
				if fails {
					return azcore.AccessToken{}, cmp.Or(ctx.Err(), errOutage)
				}
				return azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(tt.lives)}, nil
			})}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := s.Get(ctx); err != nil {
			t.Fatal(err)
		}
		if fails = true; tt.canceled {
			cancel()
		}
		got, err := s.Get(ctx)
		cancel()
		if !errors.Is(err, tt.want) || (err == nil) != (got.Token.Token == "a") {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, tt.want)
		}
	}
}

var errOutage = errors.New("an outage")
