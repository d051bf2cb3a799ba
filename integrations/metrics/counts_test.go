package identitymetrics_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
)

// naiveCounter is what a collector without memory exports: what the credential has now.
func naiveCounter(cred identity.Reporter) (n int64, ok bool) {
	for _, status := range cred.Statuses() {
		for _, r := range status.Resources {
			return r.Requests, true
		}
	}
	return 0, false
}

// TestCountersOutliveTokens: a service that asks once in two days, whose credential forgets in
// between. A naive counter is 1 each time: no request at all.
func TestCountersOutliveTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, _ := imds(t, nil)
		s := identitymetrics.NewSet(cred)
		other := "https://graph.microsoft.com" // asks meanwhile, and so has the store swept
		for day := range 5 {
			if err := get(t, cred, vault); err != nil {
				t.Fatal(err)
			}
			if got, want := read(t, s)[vault].Requests, int64(day+1); got != want {
				t.Errorf("the %d. time: got %d requests", want, got)
			}
			if naive, _ := naiveCounter(cred); naive != 1 && day > 0 {
				t.Errorf("a naive counter has %d: is nothing forgotten any more?", naive)
			}
			time.Sleep(48 * time.Hour)
			if err := get(t, cred, other); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			got, there := read(t, s)[vault]
			if !there || got.Requests != int64(day+1) || !got.ExpiresOn.IsZero() {
				t.Errorf("forgotten: %v, %+v", there, got)
			}
		}
	})
}

// TestCounters: what is read one after the other, and the counter after each.
func TestCounters(t *testing.T) {
	t.Parallel()
	const gone, broken = -1, -2
	type at struct {
		requests, acquisitions int64
		failure                int // of the last one, 0 for none; negative while a request is under way
	}
	for name, tt := range map[string]struct {
		reads []at
		want  []int64 // requests
	}{
		"grows":                      {[]at{{1, 1, 0}, {1, 1, 0}, {5, 3, 0}}, []int64{1, 1, 5}},
		"forgotten and asked again":  {[]at{{9, 5, 0}, {gone, 0, 0}, {3, 1, 0}}, []int64{9, 9, 12}},
		"by as much":                 {[]at{{1, 1, 0}, {gone, 0, 0}, {1, 1, 0}}, []int64{1, 1, 2}},
		"between two readings":       {[]at{{9, 5, 0}, {2, 1, 0}, {3, 2, 0}}, []int64{9, 11, 12}},
		"dips while one hangs":       {[]at{{9, 5, 0}, {4, 5, 0}, {10, 6, 0}}, []int64{9, 9, 10}},
		"panics, and goes on":        {[]at{{9, 5, 0}, {broken, 0, 0}, {10, 6, 0}}, []int64{9, 9, 10}},
		"panics when it forgets":     {[]at{{9, 5, 0}, {broken, 0, 0}, {2, 1, 0}}, []int64{9, 9, 11}},
		"forgotten before the first": {[]at{{gone, 0, 0}, {2, 1, 0}}, []int64{0, 2}},
		"by as much, in between":     {[]at{{1, 1, 1}, {1, 1, 1}, {1, 1, 2}}, []int64{1, 1, 2}},
		"a retry fails":              {[]at{{1, 1, 1}, {1, 1, -2}, {2, 2, 2}}, []int64{1, 1, 2}},
		"a retry fails, and grows":   {[]at{{1, 1, 1}, {2, 1, 2}, {2, 2, 2}}, []int64{1, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := at{}
			s := identitymetrics.NewSet(reporter{statuses: func() []identity.Status {
				switch now.requests {
				case gone:
					return nil
				case broken:
					panic("broken")
				}
				return holds(identity.ResourceStatus{Resource: vault, Requests: now.requests,
					Acquisitions: now.acquisitions, InFlight: now.failure < 0,
					LastErrorOn: time.Unix(int64(max(now.failure, -now.failure)), 0)}).statuses()
			}})
			var got []int64
			for _, now = range tt.reads {
				got = append(got, read(t, s)[vault].Requests)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestCountersOfFailures: where no token can be had, a resource is forgotten after each failure, so
// that a naive counter is 1 each time, as if nothing failed any more.
func TestCountersOfFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, endpoint := imds(t, nil)
		apart := identitymetrics.NewSet(holds(requests(vault, 100)), cred)
		shared := identitymetrics.NewSet(cred, cred)
		endpoint.Enqueue(identitytest.Response{Status: 400, For: 10 * time.Hour})
		for i := range 10 {
			if get(t, cred, vault) == nil {
				t.Fatal("the identity is gone, and there is a token")
			}
			if naive, _ := naiveCounter(cred); naive != 1 {
				t.Errorf("a naive counter has %d: is nothing forgotten any more?", naive)
			}
			for range 3 { // more often than it fails
				if got := read(t, shared)[vault]; got.Failures != int64(i+1) ||
					got.Requests != int64(i+1) || got.Acquisitions != int64(i+1) {
					t.Errorf("after %d failures: %+v", i+1, got)
				}
				if got := read(t, apart)[vault].Requests; got != 100 {
					t.Errorf("of two that share nothing: %d requests, want the larger count, 100", got)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(2 * time.Minute) // nobody reads that it is forgotten
		}
	})
}

// TestOther: a service that is asked for ever new resources has 1,000 series, and loses no count.
func TestOther(t *testing.T) {
	t.Parallel()
	const limit = 1000
	var now []identity.ResourceStatus
	s := identitymetrics.NewSet()
	removes := []func(){
		s.Add("", reporter{statuses: func() []identity.Status { return holds(now...).statuses() }}),
		s.Add("", reporter{statuses: func() []identity.Status { // whose labels are those of the rest
			return []identity.Status{{Resources: []identity.ResourceStatus{
				{Resource: identitymetrics.Other, Acquisitions: 1}}}}
		}}),
	}
	other := int64(0)
	for round, name := range []string{"a", "b", "c", "d", "c"} { // each forgets the last
		now = nil
		for i := range 600 {
			now = append(now, requests(name+strconv.Itoa(i), 2))
		}
		got := read(t, s)
		total := int64(0)
		for _, series := range got {
			total += series.Requests
		}
		if want := int64(round+1) * 600 * 2; total != want {
			t.Errorf("round %d: got %d requests, want %d", round, total, want)
		}
		if len(got) > limit+1 {
			t.Errorf("round %d: %d series", round, len(got))
		}
		if rest := got[identitymetrics.Other]; rest.Requests < other || !rest.ExpiresOn.IsZero() {
			t.Errorf("round %d: the rest is %+v after %d", round, rest, other)
		}
		other = got[identitymetrics.Other].Requests
	}
	if other != 2000*2 {
		t.Errorf("got %d requests of others, want 4000", other)
	}
	for _, remove := range removes {
		remove()
	}
	if got := s.Read(); len(got.Series) > 0 {
		t.Errorf("of none: %+v", got)
	}
}

// TestNoToken: no label has anything of a token.
func TestNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, endpoint := imds(t, nil)
		endpoint.Enqueue(identitytest.Response{Status: 400})
		if err := get(t, cred, vault); err == nil {
			t.Fatal("the fake was to refuse")
		}
		time.Sleep(time.Minute)
		token, err := identity.TokenFunc(cred, vault+"/.default")(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = get(t, cred, "https://example.com/"+token) // somebody took a token for a scope
		s := identitymetrics.NewSet(cred)
		s.Add(token, cred)
		mustNotShow(t, s.Read(), token)
	})
}
