package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// TestChainErrorOfWhoLeaves says of each source what is known of it.
func TestChainErrorOfWhoLeaves(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  bool // the third is ours and in use
		want []string
	}{
		{"a walk", false, []string{"chain: no token for https://vault.azure.net: gave up waiting: " +
			"context deadline exceeded",
			"identity.scripted: away", "identity.scripted: away", "managed identity: IMDS: gave up " +
				"waiting after 1s: context deadline exceeded", "identity.scripted: not asked"}},
		{"the source in use", true,
			[]string{"chain: no token for https://vault.azure.net: gave up waiting: context deadline " +
				"exceeded",
				"identity.scripted: away", "identity.scripted: away", "managed identity: IMDS: gave up " +
					"waiting after 1s: context deadline exceeded", "identity.scripted: not asked"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := &slowAtFirst{ep: identitytest.NewIMDS(nil), delay: 2 * time.Second}
				chain := mustChain(t, nil, &scripted{err: errAway}, &scripted{err: errAway}, onIMDS(t, ep),
					&scripted{})
				if tt.use {
					mustToken(t, chain)
					time.Sleep(24 * time.Hour) // its token has ended
					ep.delay = time.Hour
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := getToken(ctx, chain)
				got := strings.Split(strings.TrimPrefix(err.Error(), "identity: "), "\n\t")
				if len(got) != len(tt.want) || !errors.Is(err, context.DeadlineExceeded) ||
					errors.Is(err, ErrUnavailable) {
					t.Fatalf("error is %v", err)
				}
				for i, want := range tt.want {
					if !strings.HasPrefix(got[i], want) || strings.HasSuffix(want, "not asked") && got[i] != want {
						t.Errorf("line %d is %q, want %q", i, got[i], want)
					}
				}
			})
		})
	}
}

// TestChainError is what is read at night.
func TestChainError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		silent := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return respond(404, "<html>gateway</html>"), nil
		}))
		unassigned := onIMDS(t, ep, func(o *CredentialOptions) {
			o.ID = ClientID("11111111-2222-3333-4444-555555555555")
		})
		chain := mustChain(t, nil, silent, unassigned, &scripted{})
		_, err := getToken(t.Context(), chain)
		if err == nil {
			t.Fatal("got a token of the source behind one that has failed")
		}
		want := []string{
			"identity: chain: no token for https://vault.azure.net: managed identity failed",
			`managed identity: IMDS: 404 "<html>gateway</html>": not an answer of IMDS (token for ` +
				`https://vault.azure.net, `,
			`managed identity: IMDS: 400 invalid_request "Identity not found" (token for ` +
				`https://vault.azure.net, 1 attempt, `,
			"identity.scripted: not asked: the next source is for when one is unavailable, not for when " +
				"one fails",
		}
		lines := strings.Split(err.Error(), "\n\t")
		if len(lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%v", len(lines), len(want), err)
		}
		for i := range want {
			if !strings.HasPrefix(lines[i], want[i]) {
				t.Errorf("line %d is %q, want %q", i, lines[i], want[i])
			}
		}
		ae, ok := errors.AsType[*AuthenticationError](err)
		if !ok || ae.StatusCode != 400 || !errors.Is(err, ErrIdentityNotFound) ||
			errors.Is(err, ErrUnavailable) {
			t.Errorf("errors.As finds %v, want the 400 that ended it", ae)
		}
	})
}

// TestChainErrorIsEachCallersOwn: two callers of one pass may read the body of one answer.
func TestChainErrorIsEachCallersOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep, func(o *CredentialOptions) {
			o.ID = ClientID("11111111-2222-3333-4444-555555555555")
		})
		// so that they do share it
		chain := mustChain(t, nil, &scripted{err: errAway, took: time.Second}, cred)
		outer := mustChain(t, nil, chain)
		bodies := make(chan string, 10)
		for range cap(bodies) {
			go func() {
				_, err := getToken(t.Context(), outer)
				ae, ok := errors.AsType[*AuthenticationError](err)
				if !ok {
					bodies <- fmt.Sprint("no AuthenticationError: ", err)
					return
				}
				body, _ := io.ReadAll(ae.RawResponse.Body) // azcore would rewind it for the others
				bodies <- string(body)
			}()
		}
		for range cap(bodies) {
			if body := <-bodies; !strings.Contains(body, "Identity not found") {
				t.Errorf("a caller read %q", body)
			}
		}
	})
}
