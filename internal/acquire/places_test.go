package acquire

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPlaces(2)
		ctx, leave := context.WithCancel(t.Context())
		var mu sync.Mutex
		var order []string
		wait := func(ctx context.Context, name string, urgent bool) {
			go func() {
				err := p.take(ctx, urgent)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					name += " leaves"
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		if !p.takeFree() {
			t.Error("no place is free")
		}
		wait(t.Context(), "first", false)
		if p.takeFree() {
			t.Error("a third place of two")
		}
		wait(t.Context(), "second", false)
		wait(ctx, "third", false)
		wait(t.Context(), "fourth", false)
		wait(t.Context(), "urgent", true)
		wait(t.Context(), "urgent, too", true)
		leave()
		synctest.Wait()
		for range 6 {
			p.Leave()
			synctest.Wait()
		}
		want := []string{"first", "third leaves", "urgent", "urgent, too", "second", "fourth"}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if p.free != 2 || len(p.urgent)+len(p.others) > 0 {
			t.Errorf("afterwards %d places are free, want 2", p.free)
		}
	})
}

// TestPlacesAreNotLost: a place that comes at the moment at which its request gives up goes to the
// next one.
func TestPlacesAreNotLost(t *testing.T) {
	t.Parallel()
	const limit = 3
	p := NewPlaces(limit)
	var now, most, taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+j)%3 == 0 {
					go cancel()
				}
				if p.take(ctx, j%2 == 0) == nil {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					taken.Add(1)
					now.Add(-1)
					p.Leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if p.free != limit || most.Load() > limit || taken.Load() == 0 ||
		len(p.urgent)+len(p.others) > 0 {
		t.Errorf("%d places are free, want %d; %d were taken at once; %d wait", p.free, limit,
			most.Load(), len(p.urgent)+len(p.others))
	}
}
