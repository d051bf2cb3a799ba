package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// challenged are the claims of a challenge as azcore hands them to a credential.
const challenged = `{"access_token":{"nbf":{"essential":true,"value":"1726077595"},"xms_caeerror":{"value":"10012"}}}`

// TestClaims: what a challenge makes of a request, as azcore makes it: with CAE always, and with
// the claims in the end. Both ask the host anew. Only Service Fabric has parameters for it.
func TestClaims(t *testing.T) {
	for _, h := range []host{imds, appService, azureML, cloudShell, serviceFabric} {
		t.Run(h.name, func(t *testing.T) {
			ep := h.start(t, three...)
			peer, ours := h.credentials(t, ep, noSelector, identitytest.Identity{})
			scope := newScope()
			options := policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}
			theirs, own := ask(t, ep, peer, options), ask(t, ep, ours, options)
			var first, second []difference
			if h.name == serviceFabric.name {
				sum := sha256.Sum256([]byte(own.token.Token))
				first = []difference{capability}
				second = append(first, difference{"query token_sha256_to_refresh", none,
					hex.EncodeToString(sum[:]),
					"without it the service repeats the refused token; MSAL for .NET sends it, too"})
			}
			compare(t, theirs.requests, own.requests, h.differences(first...))
			sameIdentity(t, theirs, own)

			options.Claims = challenged
			theirsAgain, ownAgain := ask(t, ep, peer, options), ask(t, ep, ours, options)
			compare(t, theirsAgain.requests, ownAgain.requests, h.differences(second...))
			sameIdentity(t, theirsAgain, ownAgain)
			if theirs.token.Token != theirsAgain.token.Token {
				t.Error("the peer got past the host's cache")
			}
			if got, want := own.token.Token != ownAgain.token.Token,
				h.name == serviceFabric.name; got != want {
				t.Errorf("got past the host's cache: %v, want %v", got, want)
			}
		})
	}
}

// TestScopes: how a scope becomes a resource.
func TestScopes(t *testing.T) {
	// Each run has resources of its own, as azidentity has one cache for the process.
	for _, test := range []struct {
		name, scope string
		meant       []difference
	}{
		{"without suffix", "https://plain-%d.example", nil},
		{"suffix", "https://suffix-%d.example/.default", nil},
		{"trailing slash", "https://slash-%d.example//.default", nil},
		{"only a slash", "https://only-%d.example/", nil},
		{"application ID", "api://00000000-1111-4222-8333-%012d/.default", nil},
		{"GUID", "55555555-6666-4777-8888-%012d/.default", nil},
		{"characters with a meaning", "https://a-%d.example/b?c=d&e=f+g%%20h;i#j/.default", nil},
		{"not ASCII", "https://münchen-%d.example/.default", nil},
		{"upper-case suffix", "https://upper-%d.example/.DEFAULT", nil},
		{"suffix within", "https://within-%d.example/.default/read", nil},
		{"a permission", "https://graph-%d.example/Mail.Read", nil},
		{
			"suffix twice", "https://twice-%d.example/.default/.default",
			[]difference{{"query resource", `https://twice-\d+\.example`,
				`https://twice-\d+\.example/\.default`,
				"one is the suffix; MSAL takes off another after azidentity did"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			ep := imds.start(t)
			peer, ours := imds.credentials(t, ep, noSelector, identitytest.Identity{})
			options := policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf(test.scope,
				resources.Add(1))}}
			theirs, own := ask(t, ep, peer, options), ask(t, ep, ours, options)
			compare(t, theirs.requests, own.requests, imds.differences(test.meant...))
			switch {
			case strings.HasSuffix(test.scope, "/.DEFAULT"): // a resource that Entra doesn't know
				sameRefusal(t, theirs, own, http.StatusBadRequest, nil)
			case len(test.meant) == 0:
				sameToken(t, theirs, own)
			}
		})
	}
}

// TestScopesWithoutResource: azidentity asks the host, which refuses as it likes. We don't.
func TestScopesWithoutResource(t *testing.T) {
	for _, scope := range []string{"", "/.default", newScope() + "/a b/.default", newScope() + "/\n/.default"} {
		t.Run(fmt.Sprintf("%q", scope), func(t *testing.T) {
			ep := imds.start(t)
			peer, ours := imds.credentials(t, ep, noSelector, identitytest.Identity{})
			options := policy.TokenRequestOptions{Scopes: []string{scope}}
			theirs, own := ask(t, ep, peer, options), ask(t, ep, ours, options)
			if len(theirs.requests) != 1 || len(own.requests) != 0 || own.err == nil {
				t.Errorf("the peer sent %d requests, we sent %d and got error %v; want 1, 0 and one",
					len(theirs.requests), len(own.requests), own.err)
			}
		})
	}
}
