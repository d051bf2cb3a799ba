package interop

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// TestRetries: after which statuses azidentity and we ask again, by default, and that it is the
// same request then. The waits are those of a bubble. There is no status that only the peer
// retries.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		host           host
		both, onlyOurs []int
	}{
		// 408 is nobody's but a gateway's here, and passes; Microsoft's page wants all of 5xx retried,
		// without exceptions. 421 is the guest proxy agent's, as 403 and 503 are.
		{imds, []int{404, 410, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511},
			[]int{408, 421, 509, 599}},
		{appService, azcoreStatuses, otherServerErrors},
		{azureML, azcoreStatuses, otherServerErrors},
		{cloudShell, azcoreStatuses, otherServerErrors},
		{serviceFabric, azcoreStatuses, otherServerErrors},
	} {
		t.Run(test.host.name, func(t *testing.T) {
			h, ep := test.host, test.host.make(nil)
			if h.inMemory {
				withoutAgent(t)
			} else {
				setVariables(t, ep)
				h.inMemory = true
			}
			synctest.Test(t, func(t *testing.T) {
				retries(t, ep, 1, test.both, test.onlyOurs,
					func(policy.TokenRequestOptions) (peer, ours azcore.TokenCredential, meant [][]difference) {
						peer, ours = h.credentials(t, ep, noSelector, identitytest.Identity{})
						return peer, ours, [][]difference{h.differences()}
					})
			})
		})
	}
	t.Run("workload identity", func(t *testing.T) {
		pod := newPod(t)
		pod.entra.next = pod.Endpoint // see host.posts
		synctest.Test(t, func(t *testing.T) {
			// 401 says that the assertion has expired, and we read the file again. 404 has no body, as
			// Entra's about a path, so that something else may have answered, for a moment.
			onlyOurs := append([]int{http.StatusUnauthorized, http.StatusNotFound}, otherServerErrors...)
			retries(t, pod.Endpoint, 1, azcoreStatuses, onlyOurs,
				func(options policy.TokenRequestOptions) (peer, ours azcore.TokenCredential,
					meant [][]difference) {
					peer, ours = pod.credentials(t,
						undiscovered, identity.CredentialOptions{})
					return peer, ours, [][]difference{exchanges(options.Scopes[0])}
				})
		})
	})
}

// azcore's list, which azidentity has for all hosts but IMDS, knows four of 5xx. Whatever else in
// that range a gateway before the host may say, it is no refusal of the host's.
var (
	azcoreStatuses    = []int{408, 429, 500, 502, 503, 504}
	otherServerErrors = []int{501, 505, 506, 507, 508, 509, 510, 511, 599}
)

// statuses are those that have a meaning, and two that have none.
var statuses = []int{
	400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
	422, 423, 424, 425, 426,
	428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 511, 599,
}

// retries lets the endpoint answer once with each of the statuses. New credentials, with the
// differences that are meant, ask it, which takes so many requests for a token otherwise.
func retries(t *testing.T, ep *identitytest.Endpoint, usual int, wantBoth, wantOnlyOurs []int,
	credentials func(policy.TokenRequestOptions) (peer, ours azcore.TokenCredential,
		meant [][]difference),
) {
	t.Helper()
	var both, onlyPeer, onlyOurs []int
	for _, status := range statuses {
		if status == http.StatusUnauthorized && usual > 1 {
			continue // a challenge
		}
		options := anew()
		peer, ours, meant := credentials(options)
		ep.Enqueue(identitytest.Response{Status: status})
		theirs := ask(t, ep, peer, options)
		ep.Enqueue(identitytest.Response{Status: status})
		own := ask(t, ep, ours, options)
		switch byPeer, byUs := retried(t, status, usual, theirs), retried(t, status, usual, own); {
		case byPeer && byUs:
			both = append(both, status)
			compare(t, theirs.requests, own.requests, meant...)
		case byPeer:
			onlyPeer = append(onlyPeer, status)
		case byUs:
			onlyOurs = append(onlyOurs, status)
		}
	}
	if !slices.Equal(both, wantBoth) || len(onlyPeer) > 0 || !slices.Equal(onlyOurs, wantOnlyOurs) {
		t.Errorf("retried by both %v, only by the peer %v, only by us %v; want %v, none, %v", both,
			onlyPeer, onlyOurs, wantBoth, wantOnlyOurs)
	}
}

// retried: the host recovers at once, so that there is an error after the first request or a token
// after the usual ones that follow it.
func retried(t *testing.T, status, usual int, e exchange) bool {
	t.Helper()
	again := len(e.requests) == 1+usual
	if !again && len(e.requests) != 1 || again != (e.err == nil) {
		t.Errorf("%d: got %d requests and error %v", status, len(e.requests), e.err)
	}
	return again
}

// setVariables sets those of an endpoint that is used as a transport.
func setVariables(t *testing.T, ep *identitytest.Endpoint) {
	t.Helper()
	base := "http://127.0.0.1:1"
	if ep.TLSConfig() != nil {
		base = "https://127.0.0.1:1"
	}
	for _, line := range ep.Env(base) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
}
