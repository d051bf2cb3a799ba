package tokencache

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// teller is a host whose Report takes its time.
type teller struct {
	*host
	takes time.Duration
	ended atomic.Int64
}

func (t *teller) Report(r Request, e Event) {
	time.Sleep(t.takes)
	t.ended.Add(1)
	t.host.Report(r, e)
}

// TestFailureIsToldFirst: whoever gets a failure gets it when the Source has heard of it, also from
// the cool-down. A Source that takes long to hear of it holds nobody up for more than a moment, and
// nobody at all who gets a token.
func TestFailureIsToldFirst(t *testing.T) {
	bubbles(t, map[string]struct {
		takes time.Duration // the Report
		ill   answer
		leave time.Duration // the caller's deadline, 0 for none
		want  time.Duration // that the caller waits
		told  bool          // when the caller returns
	}{
		"at once":        {ill: refuses, told: true},
		"soon":           {takes: telling / 2, ill: refuses, want: telling / 2, told: true},
		"late":           {takes: time.Hour, ill: refuses, want: telling},
		"a caller's end": {takes: time.Hour, ill: refuses, leave: telling / 4, want: telling / 4},
		"a token":        {takes: time.Minute},
	}, func(t *testing.T, tt struct {
		takes time.Duration
		ill   answer
		leave time.Duration
		want  time.Duration
		told  bool
	}) {
		c := newClient()
		c.ill = tt.ill
		s := &teller{host: c.host, takes: tt.takes}
		ctx := t.Context()
		if tt.leave > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, tt.leave)
			defer cancel()
		}
		var all sync.WaitGroup
		for i := range 3 { // the first one's flight, its company, and one in the cool-down
			all.Go(func() {
				start := time.Now()
				_, err := c.cache.Get(ctx, c.view, vault, Request{Resource: vault}, s)
				took := time.Since(start)
				if (err != nil) != (tt.ill != nil) || took != tt.want {
					t.Errorf("caller %d: %v after %v, want %v", i, err, took, tt.want)
				}
				if told := s.ended.Load() > 0; told != tt.told && tt.ill != nil {
					t.Errorf("caller %d returns, and the Source has heard of it: %v", i, told)
				}
			})
			if i == 1 {
				synctest.Wait() // the flight has ended
			}
		}
		all.Wait()
		if n := len(c.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		time.Sleep(2 * tt.takes)
	})
}
