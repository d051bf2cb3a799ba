package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

func TestStormIsDeterministic(t *testing.T) {
	t.Parallel()
	for _, p := range append(references(), startingLate(1, decorrelated(1, 5))) {
		a, b, other := typical(200, p, 7).run(), typical(200, p, 7).run(), typical(200, p, 8).run()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two runs of one seed differ", p.name)
		}
		if reflect.DeepEqual(a.tokens, other.tokens) {
			t.Errorf("%s: another seed brings the same run", p.name)
		}
	}
}

func TestStormAccounts(t *testing.T) {
	t.Parallel()
	for _, f := range families(true) {
		for _, n := range []int{1, 19, 50, 200} {
			s := typical(n, f.policies[0], 1)
			s.late = []time.Duration{time.Second}
			o := s.run()
			if got := len(o.tokens) + o.failed; got != n {
				t.Errorf("%s: %d tokens and failures of %d processes", f.name, got, n)
			}
			if !slices.IsSorted(o.requests) || !slices.IsSorted(o.tokens) || o.own > len(o.requests) ||
				o.own < n {
				t.Errorf("%s: the record is off: %d requests, %d of them own, %d processes", f.name,
					len(o.requests), o.own, n)
			}
			for i := perSecond; i < len(o.tokens); i++ { // a token is 10 to 50 ms older than its admission
				if d := o.tokens[i] - o.tokens[i-perSecond]; d < time.Second-41*time.Millisecond {
					t.Fatalf("%s: 21 tokens within %v", f.name, d)
				}
			}
		}
	}
}

// TestIdleProcesses: a process that is never refused never waits, and without processes nothing is
// asked.
func TestIdleProcesses(t *testing.T) {
	t.Parallel()
	never := backOff{name: "never", wait: func(*history) time.Duration { panic("asked for a wait") }}
	o := typical(5, never, 1).run()
	if len(o.tokens) != 5 || o.own != 5 || o.done() > 200*time.Millisecond {
		t.Errorf("5 processes: %d tokens, %d requests, done in %v", len(o.tokens), o.own, o.done())
	}
	if o := typical(0, never, 1).run(); len(o.requests) != 0 || o.failed != 0 || o.inStep() != 0 {
		t.Errorf("no process: %+v", o)
	}
}

// TestLimitsAgree: the simulation's limiter admits what identitytest's admits, of the same
// arrivals.
func TestLimitsAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		delay := 1 + upTo(random, 300*time.Millisecond)
		arrivals := make([]time.Duration, 400)
		for i := range arrivals {
			arrivals[i] = upTo(random, 10*time.Second)
		}
		slices.Sort(arrivals)

		var imds limits
		var leaving []time.Duration
		want := make([]bool, len(arrivals))
		for i, at := range arrivals {
			for len(leaving) > 0 && leaving[0] <= at {
				imds.leave()
				leaving = leaving[1:]
			}
			if want[i] = imds.enter(at); want[i] {
				leaving = append(leaving, at+delay)
			}
		}

		got := make([]bool, len(arrivals))
		synctest.Test(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(&identitytest.Options{RateLimit: true})
			ep.Enqueue(identitytest.Response{Delay: delay, For: time.Hour})
			var group sync.WaitGroup
			begin := time.Now()
			for i, at := range arrivals {
				time.Sleep(at - time.Since(begin))
				synctest.Wait()
				group.Go(func() {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
						"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net", nil)
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("Metadata", "true")
					resp, err := ep.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					_ = resp.Body.Close()
					got[i] = resp.StatusCode == http.StatusOK
				})
				synctest.Wait()
			}
			group.Wait()
		})
		if !slices.Equal(got, want) {
			t.Errorf("seed %d, answers in %v: identitytest admits others than the simulation", seed, delay)
		}
	}
}

// TestOursIsTheLibrarys: the simulated policy and the library itself come to the same figures.
func TestOursIsTheLibrarys(t *testing.T) {
	inTest = t
	const n, runs = 200, 3
	all, err := realStorms(n, runs)
	if err != nil {
		t.Fatal(err)
	}
	s := typical(n, ourPolicy(), 0)
	s.start, s.late = 0, []time.Duration{}
	got, want := figuresOf(all), measureStorms(s, 200)
	if len(all) != runs || got.failed != 0 {
		t.Errorf("%d runs, %d failed, want %d and none", len(all), got.failed, runs)
	}
	if g, w := mean(got.ratio), mean(want.ratio); g < 0.8*w || g > 1.2*w { // 6 standard deviations
		t.Errorf("time ÷ ideal: the library %.2f, the simulation %.2f", g, w)
	}
	if g, w := got.requests, want.requests; g < 0.94*w || g > 1.06*w {
		t.Errorf("requests per token: the library %.2f, the simulation %.2f", g, w)
	}
}

// TestOurWaitsAreTheLibrarys: the library waits as the rules of the simulation have it, so that a
// number that changes in one of them must change in the other. TestOursIsTheLibrarys compares what
// comes of them.
func TestOurWaitsAreTheLibrarys(t *testing.T) {
	t.Parallel()
	got := make([][]time.Duration, 120)
	synctest.Test(t, func(t *testing.T) {
		for i := range got {
			begin := time.Now()
			options := &identity.CredentialOptions{Host: identity.HostIMDS}
			options.Transport = transportFunc(func(*http.Request) (*http.Response, error) {
				got[i] = append(got[i], time.Since(begin))
				return &http.Response{StatusCode: http.StatusTooManyRequests,
					Body: io.NopCloser(strings.NewReader(`{"error":"x"}`))}, nil
			})
			cred, err := identity.NewCredential(options)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}); err == nil {
				t.Fatal("a token from a host that refuses")
			}
		}
	})
	for _, times := range got {
		for i := 1; i < len(times)-1; i++ { // the last wait is cut
			low, high := ourRules.Range(i, times[i-1])
			if gap := times[i] - times[i-1]; gap < low || gap > high {
				t.Fatalf("after %v the library waits %v, want %v to %v", times[i-1], gap, low, high)
			}
		}
	}
}

// TestBounds: ours keeps them, and what breaks them is seen.
func TestBounds(t *testing.T) {
	t.Parallel()
	ours, step := judge(ourPolicy(), 40), judge(impatient(1), 40)
	for i, size := range stormSizes {
		f := ours.at[i]
		if f.failed > 0 || mean(f.ratio) > size.time || quantile(f.steps, .95) > size.steps ||
			size.requests > 0 && f.requests > size.requests {
			t.Errorf("%d processes: %+v, want it within %+v", size.n, f, size)
		}
		if f := step.at[i]; quantile(f.steps, .5) <= size.steps {
			t.Errorf("%d processes that all wait 1 s: the fullest bin is %.1f × the mean, want them seen in step", size.n, quantile(f.steps, .5))
		}
	}
	if step.at[2].failed == 0 || step.at[2].requests <= 10 || step.score <= ours.score {
		t.Errorf("1,000 processes that all wait 1 s: %+v", step.at[2])
	}
	if ours.lone < 0.8 || ours.lone > 0.95 {
		t.Errorf("a lone process waits %.2f s, want half of 1.75 s", ours.lone)
	}
	if j := judge(azidentityPolicy(), 40); mean(j.at[1].ratio) < 3 || j.at[2].failed == 0 {
		t.Errorf("azidentity: %+v, want the 5 × that were measured with it, or nearly", j.at)
	}
	if (verdict{got: 2.01, bound: 2}).holds(false) || !(verdict{got: 2, bound: 2}).holds(false) {
		t.Error("a verdict holds beyond its bound, or not at it")
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, f := range families(false) {
		for _, p := range f.policies {
			h := &history{random: newRandom(1)}
			for h.refusals = 1; h.refusals <= 40; h.refusals++ {
				h.previous = p.wait(h)
				if h.previous < 0 || h.previous > 40*time.Second {
					t.Fatalf("%s: wait %d is %v", p.name, h.refusals, h.previous)
				}
				h.elapsed += h.previous
			}
		}
	}
}

// TestRetryAfterIsAMinimum, with jitter on top.
func TestRetryAfterIsAMinimum(t *testing.T) {
	t.Parallel()
	s := typical(60, ourPolicy(), 3)
	s.start, s.retryAfter = 0, 3*time.Second
	o := s.run()
	early, seen := 0, map[time.Duration]bool{}
	for _, at := range o.requests {
		if at > time.Millisecond && at < 3*time.Second {
			early++
		}
		seen[at.Truncate(10*time.Millisecond)] = true
	}
	if early > 0 || len(seen) < 30 || o.failed > 0 {
		t.Errorf("%d requests before Retry-After was over, %d different times, %d failed", early,
			len(seen), o.failed)
	}
}

func TestNodeStorm(t *testing.T) {
	inTest = t
	var said []string
	few := effort{library: map[int]int{50: 4, 200: 2}, policies: 4, others: 1}
	s, err := stormSection(t.Context(), few, func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.verdicts {
		if !v.holds(false) && !strings.Contains(v.what, "time") { // of a few runs only
			t.Errorf("%s: %g, want at most %g", v.what, v.got, v.bound)
		}
	}
	if len(s.verdicts) != 7 || len(said) == 0 || len(s.pictures) != 1 || len(s.pictures[0].Panels) != 2 {
		t.Errorf("%d verdicts, %d lines of progress, pictures %+v", len(s.verdicts), len(said),
			s.pictures)
	}
	for _, line := range linesOf(s) {
		if len(line.X) != len(line.Y) || len(line.X) > 400 || !slices.IsSorted(line.X) || line.X[0] < 0 {
			t.Errorf("%s: %d and %d points from %v", line.Name, len(line.X), len(line.Y), line.X[0])
		}
	}
	checkTables(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodeStorm(ctx, true, func(string) {}); err == nil {
		t.Error("no error after its context has ended")
	}
}

func TestWriteBackOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "backoff.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("no place")
	if err := writeBackOff(t.Context(), path, true, func(string) {}); err == nil {
		t.Error("no error for a page without a place for the table")
	}
	write("# Waits\n" + backOffBegin + "\nold\n" + backOffEnd + "\nmore\n")
	if err := writeBackOff(t.Context(), path, true, func(string) {}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if !strings.HasPrefix(text, "# Waits\n"+backOffBegin) ||
		!strings.HasSuffix(text, backOffEnd+"\nmore\n") || strings.Contains(text, "old") ||
		!strings.Contains(text, "| **ours**") {
		t.Errorf("got page %q", text)
	}
}
