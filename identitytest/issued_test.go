package identitytest

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestVerify: what a host has handed out is known until its end, and nothing else is.
func TestVerify(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		var issued []Token
		e := host.new(&Options{Dir: dir, Lifetime: time.Hour,
			Issued: func(token Token) { issued = append(issued, token) }})
		get := func() string { return tokenOf(t, host.ask(t, inMemory(e), throughDo(e))) }
		first := get()
		want := Token{Raw: first, Identity: e.Identities()[0], Resource: vault,
			ExpiresOn: time.Now().Add(time.Hour)}
		verified(t, e, want)
		time.Sleep(time.Hour - time.Second)
		second := get()
		verified(t, e, want) // the one before is good until its own end
		time.Sleep(time.Second)
		refused(t, e, first, "has ended 0s ago, at 2000-01-01T01:00:00Z")
		time.Sleep(time.Hour - 2*time.Second)
		refused(t, e, first, "has ended 59m58s ago")
		if _, err := e.Verify(second); err != nil {
			t.Errorf("1 s before the end: %v", err)
		}
		refused(t, e, second+"x", "no token of this endpoint's")
		refused(t, e, "", "no token of this endpoint's")
		refused(t, NewIMDS(nil), second, "no token of this endpoint's")
		if len(issued) != 2 || issued[0].Raw != first || issued[1].Raw != second {
			t.Errorf("Issued was told of %d tokens, want both", len(issued))
		}
	})
}

func verified(t *testing.T, e *Endpoint, want Token) {
	t.Helper()
	got, err := e.Verify(want.Raw)
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func refused(t *testing.T, e *Endpoint, raw, want string) {
	t.Helper()
	got, err := e.Verify(raw)
	if got != (Token{}) || err == nil || !strings.HasPrefix(err.Error(), "identitytest: Verify: ") ||
		!strings.Contains(err.Error(), want) || raw != "" && strings.Contains(err.Error(), raw) {
		t.Errorf("got %+v, %v; want an error with %q", got, err, want)
	}
}

// TestVerifyJobs: the tokens of jobs are nobody's, and have an audience in the resource's place.
func TestVerifyJobs(t *testing.T) {
	t.Parallel()
	for _, constructor := range []func(*Options) *Endpoint{NewGitHubActions, NewAzurePipelines} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Second / 2)
			e := constructor(nil)
			e.Enqueue(Response{Lifetime: time.Minute})
			for _, lifetime := range []time.Duration{time.Minute, workflowLifetime} {
				raw := jobToken(t, e, throughDo(e))
				want := time.Now().Add(lifetime).Truncate(time.Second)
				verified(t, e, Token{Raw: raw, Resource: exchangeAudience, ExpiresOn: want})
				if c, err := readAssertion(raw); err != nil || c.Expires != want.Unix() {
					t.Errorf("got a token that ends at %d, %v; want %d", c.Expires, err, want.Unix())
				}
			}
		})
	}
}

// TestIssuedComesFirst: a token's answer waits for Issued, and so does that of another request for
// what the host's cache then has.
func TestIssuedComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string]bool{}
		var e *Endpoint
		e = NewIMDS(&Options{HostCache: true, Issued: func(token Token) {
			if _, err := e.Verify(token.Raw); err != nil { // without a lock
				t.Error(err)
			}
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			told[token.Raw] = true
		}})
		seen := map[string]bool{}
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				raw := accessToken(t, do(t, e, imdsRequest(t, "")))
				mu.Lock()
				defer mu.Unlock()
				if seen[raw] = true; !told[raw] {
					t.Error("got a token that Issued hasn't been told of")
				}
			})
		}
		group.Wait()
		if len(seen) != 1 {
			t.Errorf("got %d tokens of a host with a cache, want 1", len(seen))
		}
	})
}
