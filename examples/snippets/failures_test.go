package snippets

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// failures are those that docs/testing.md lists, each on IMDS, with what a service gets.
var failures = map[string]struct {
	options  *identitytest.Options
	response identitytest.Response
	want     error // nil: a token
}{
	"down": {nil, identitytest.Response{Status: 503, For: time.Hour}, context.DeadlineExceeded},
	"throttles": {nil, identitytest.Response{Status: 429, For: time.Hour},
		context.DeadlineExceeded},
	"taken away":     {nil, identitytest.Response{Status: 400}, identity.ErrIdentityNotFound},
	"hangs":          {nil, identitytest.Response{Delay: time.Minute}, context.DeadlineExceeded},
	"ends soon":      {nil, identitytest.Response{Lifetime: time.Minute}, nil},
	"ends soon, all": {&identitytest.Options{Lifetime: time.Minute}, identitytest.Response{}, nil},
	"another's": {&identitytest.Options{Identities: []identitytest.Identity{{System: true}, {}}},
		identitytest.Response{Identity: identitytest.Identity{System: true}},
		identity.ErrIdentityMismatch},
}

// TestFailures: a service that gives the host 30 s gets that error.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				endpoint := identitytest.NewIMDS(f.options)
				options := &identity.CredentialOptions{
					ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
				}
				if all := endpoint.Identities(); len(all) > 1 {
					options.ID = identity.ClientID(all[1].ClientID)
				}
				cred, err := identity.NewCredential(options)
				if err != nil {
					t.Fatal(err)
				}
				endpoint.Enqueue(f.response)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				_, err = identity.TokenFunc(cred, scope)(ctx)
				if !errors.Is(err, f.want) {
					t.Errorf("got %v, want %v", err, f.want)
				}
				time.Sleep(2 * time.Minute) // what nobody waits for ends
			})
		})
	}
}
