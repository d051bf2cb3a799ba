package lazy

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestValue: made once, whoever comes first, and only when somebody comes.
func TestValue(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	v := Value[int64]{Make: func() int64 { return calls.Add(1) }}
	if n := calls.Load(); n != 0 {
		t.Errorf("made %d times before the first Get", n)
	}
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if got := v.Get(); got != 1 {
				t.Errorf("got %d, want 1", got)
			}
		})
	}
	wait.Wait()
}
