package acquire

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestFoundNobody: whoever has waited for an answer long enough is told that there is none, also
// in the moment in which the request has come back and its error isn't read yet.
func TestFoundNobody(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, tt := range []struct {
		name string
		does func(*Node, *atomic.Bool)
		want bool
	}{
		{name: "nothing was asked", does: func(*Node, *atomic.Bool) {}},
		{name: "waits for an answer", want: true, does: func(n *Node, y *atomic.Bool) { n.enter(y) }},
		{name: "came back without one", want: true,
			does: func(n *Node, y *atomic.Bool) { n.enter(y); n.leave(y, true) }},
		{name: "its error is read", want: true, does: func(n *Node, _ *atomic.Bool) { n.silent() }},
		{name: "came back with an answer",
			does: func(n *Node, y *atomic.Bool) { n.enter(y); n.leave(y, false) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := NewNode(1)
			n.places.takeFree()
			tt.does(n, new(atomic.Bool))
			if got := n.FoundNobody(began); got != tt.want {
				t.Errorf("found nobody: %t, want %t", got, tt.want)
			}
		})
	}
}
