package interop

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// inherited is the environment as it was, for npm.
var inherited = os.Environ()

// TestMain takes away every variable by which a host is recognised or that a proxy is in, so that
// the machine's own don't decide: also those that only the peers read.
func TestMain(m *testing.M) {
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		for _, prefix := range []string{"AZURE_", "IDENTITY_", "IMDS_", "MSI_", "DEFAULT_IDENTITY_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"} {
			if strings.HasPrefix(strings.ToUpper(name), prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
	status := m.Run()
	if peerDir != "" {
		_ = os.RemoveAll(peerDir)
	}
	os.Exit(status)
}

// withoutAgent skips what needs a machine without the agent of Azure Arc, which is seen before
// IMDS.
func withoutAgent(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/opt/azcmagent/bin/himds"); err == nil {
		t.Skip("this machine has the agent of Azure Arc")
	}
}

var resources atomic.Int64

// newScope is for a resource that no test has asked for: azidentity's cache is the process's, by
// resource and ID alone.
func newScope() string {
	return fmt.Sprintf("https://resource-%d.example/.default", resources.Add(1))
}

// exchange is one call of GetToken and what arrived of it.
type exchange struct {
	requests []*http.Request
	token    azcore.AccessToken
	err      error
}

// ask calls GetToken. Only one test at a time may ask an endpoint.
func ask(
	t *testing.T, ep *identitytest.Endpoint, cred azcore.TokenCredential,
	options policy.TokenRequestOptions,
) exchange {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := len(ep.Requests())
	token, err := cred.GetToken(ctx, options)
	return exchange{ep.Requests()[before:], token, err}
}

// anew asks for a token of a new resource.
func anew() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{newScope()}}
}

// both has the peer and us ask for a token of one new resource.
func both(
	t *testing.T, ep *identitytest.Endpoint, peer, ours azcore.TokenCredential,
) (theirs, own exchange) {
	t.Helper()
	options := anew()
	return ask(t, ep, peer, options), ask(t, ep, ours, options)
}
