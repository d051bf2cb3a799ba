package identity

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// TestReady: a valid token in an outage is ready, and bad scopes never are.
func TestReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		mustToken(t, cred)
		time.Sleep(20 * time.Hour)
		ep.Enqueue(identitytest.Response{Status: 503, For: 3 * time.Hour})
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Error(err)
		}
		for _, scopes := range [][]string{nil, {""}, {vaultScope, " "}} {
			if err := cred.Ready(t.Context(), scopes...); err == nil {
				t.Errorf("Ready(%q) = nil, want an error", scopes)
			}
		}
	})
}

// TestReadyWaits through all that may pass, and is ready soon after.
func TestReadyWaits(t *testing.T) {
	const other = "https://management.azure.com/.default"
	for name, down := range map[string]identitytest.Response{
		"nobody there yet": {Err: errors.New("connection refused")},
		"throttled":        {Status: 429},
		// a host that repeats an expired token will have another one soon
		"an expired token": {Body: `{"access_token":"t","expires_on":"946684800"}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				time.Sleep(time.Hour)
				ep := identitytest.NewIMDS(nil)
				down.For = 3 * time.Minute
				ep.Enqueue(down)
				cred := onIMDS(t, ep)
				start := time.Now()
				if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < 3*time.Minute || took > 3*time.Minute+12*time.Second {
					t.Errorf("ready after %v, want soon after 3 minutes", took)
				}
				before := len(ep.Requests())
				if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
					t.Fatal(err)
				}
				if n := len(ep.Requests()) - before; n != 0 {
					t.Errorf("Ready sent %d requests when warm, want 0", n)
				}
			})
		})
	}
}

// TestReadyGivesUp with its context, or at a refusal that won't pass.
func TestReadyGivesUp(t *testing.T) {
	mine := func(o *CredentialOptions) { o.ID = ClientID("x") }
	late := context.DeadlineExceeded
	for name, tt := range map[string]struct {
		transport policy.Transporter
		adjust    func(*CredentialOptions)
		took      time.Duration
		want      []error
	}{
		"unreachable": {always(403, "unreachable"), once, 20 * time.Second,
			[]error{late, ErrUnavailable}},
		"silence": {takes(time.Minute, identitytest.NewIMDS(nil)), once, 20 * time.Second,
			[]error{late}},
		"not assigned": {identitytest.NewIMDS(nil), mine, 0, []error{ErrIdentityNotFound}},
		"mismatch": {always(200, `{"access_token":"t","expires_in":60,"client_id":"y"}`), mine, 0,
			[]error{ErrIdentityMismatch}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				start := time.Now()
				err := onIMDS(t, tt.transport, tt.adjust).Ready(ctx, vaultScope)
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("gave up after %v, want %v", took, tt.took)
				}
			})
		})
	}
}
