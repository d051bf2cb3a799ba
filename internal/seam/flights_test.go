package seam

import (
	"context"
	"testing"
)

func TestFlights(t *testing.T) {
	t.Parallel()
	var f Flights
	var early, late Activity
	ctx := With(t.Context(), &f)
	defer Watch("feed0001", &late)()
	Meet(ctx, &early)
	f.Launched()
	MeetAt(ctx, "/feed0001/metadata/identity/oauth2/token") // in a flight, which counts
	Meet(ctx, &early)                                       // again, which doesn't
	f.Launched()
	for name, a := range map[string]*Activity{"early": &early, "late": &late} {
		if n := a.Count(); n != 2 {
			t.Errorf("%s: got %d under way, want 2", name, n)
		}
	}
	idle, also := early.Idle(), early.Idle()
	f.Landed()
	select {
	case <-idle:
		t.Error("idle with one under way")
	default:
	}
	f.Landed()
	for _, ended := range []<-chan struct{}{idle, also, late.Idle()} {
		select {
		case <-ended:
		default:
			t.Error("not idle with none under way")
		}
	}
}

// TestStrangers: of whoever isn't known nothing is counted.
func TestStrangers(t *testing.T) {
	t.Parallel()
	var f Flights
	var a Activity
	unwatch := Watch("feed0002", &a)
	Meet(context.Background(), &a)
	MeetAt(context.Background(), "/feed0002/x")
	MeetAt(With(t.Context(), &f), "/feed0003/x")
	unwatch()
	MeetAt(With(t.Context(), &f), "/feed0002/x")
	f.Launched()
	if n := a.Count(); n != 0 {
		t.Errorf("got %d under way, want none", n)
	}
}
