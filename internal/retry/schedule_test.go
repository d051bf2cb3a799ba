package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestNext: what a schedule makes of the past of one acquisition, over the whole range of its
// jitter.
func TestNext(t *testing.T) {
	t.Parallel()
	const second = time.Second
	limited := ofIMDS
	limited.MaxRetryAfter = 2 * second
	thrice := ofIMDS
	thrice.MaxTries = 3
	for _, tt := range []struct {
		name        string
		rules       Rules
		waits       int // before this one
		past        Past
		least, most time.Duration // -1: Stop
	}{
		{name: "the first wait", past: Past{Status: 429}, most: 1750 * time.Millisecond},
		{name: "a later wait", waits: 3, past: Past{Status: 429, Elapsed: 3200 * time.Millisecond},
			least: 2 * second, most: 4 * second},
		{name: "the longest wait", waits: 3, past: Past{Status: 429, Elapsed: 30 * second},
			least: 2500 * time.Millisecond, most: 5 * second},
		{name: "after a 5xx", past: Past{Status: 500}, least: second, most: 1750 * time.Millisecond},
		{name: "Retry-After", past: Past{Status: 429, Wait: 20 * second, OfHost: true},
			least: 20 * second, most: 21750 * time.Millisecond},
		{name: "Retry-After beyond the budget", past: Past{Status: 429, Wait: 90 * second, OfHost: true},
			least: Stop, most: Stop},
		{name: "the same with what passes", past: Past{Status: 410, Wait: 90 * second, OfHost: true},
			least: 70 * second, most: 72500 * time.Millisecond},
		{name: "Retry-After beyond the options", rules: limited,
			past: Past{Status: 429, Wait: 3 * second, OfHost: true}, least: Stop, most: Stop},
		{name: "a stranger's Retry-After", past: Past{Status: 503, Wait: time.Hour, Stranger: true},
			least: 70 * second, most: 72500 * time.Millisecond},
		{name: "silence", past: Past{Status: -1, Stranger: true, Unanswered: true, Elapsed: 3 * second},
			most: second},
		{name: "silence for long enough", past: Past{Status: -1, Stranger: true, Unanswered: true,
			Tried: 4 * second, Elapsed: 4500 * time.Millisecond}, least: Stop, most: Stop},
		{name: "the same in waits for a place", past: Past{Status: -1, Stranger: true,
			Unanswered: true, Tried: 4 * second, Elapsed: 4500 * time.Millisecond,
			Queued: 4 * second, QueuedBefore: 4 * second}, most: 1750 * time.Millisecond},
		{name: "found out by others",
			past: Past{Status: -1, Stranger: true, Unanswered: true, Deserted: true,
				Elapsed: 4500 * time.Millisecond, Queued: 4500 * time.Millisecond}, least: Stop, most: Stop},
		{name: "the second of three tries", rules: thrice, waits: 1, past: Past{Status: 429},
			least: time.Nanosecond, most: 3062500 * time.Microsecond},
		{name: "the last of three tries", rules: thrice, waits: 2, past: Past{Status: 429}, least: Stop,
			most: Stop},
		{name: "the budget is spent", waits: 9,
			past: Past{Status: 429, Tried: 73 * second, Elapsed: 73 * second}, least: Stop, most: Stop},
		{name: "the last wait is cut", waits: 9,
			past: Past{Status: 429, Tried: 68 * second, Elapsed: 69500 * time.Millisecond},
			most: 3 * second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.rules.Budget == 0 {
				tt.rules = ofIMDS
			}
			seen := map[time.Duration]bool{}
			for range 200 {
				s := NewSchedule(tt.rules)
				s.waits = tt.waits
				wait := s.Next(tt.past)
				seen[wait] = true
				if wait < tt.least || wait > tt.most || wait == 0 {
					t.Fatalf("got %v, want %v to %v, and not 0", wait, tt.least, tt.most)
				}
			}
			if tt.most != Stop && len(seen) < 100 && tt.name != "silence" {
				t.Errorf("%d waits in 200 runs: processes would come back in step", len(seen))
			}
		})
	}
}

// TestWaitsGrow: those of a process that is always refused, by the numbers of IMDS.
func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	// an eighth off the mean is 5.3 standard deviations of the first wait's then: 1 in 8 million
	const runs = 600
	var sums [8]time.Duration
	seen := map[time.Duration]bool{}
	for range runs {
		s, elapsed := NewSchedule(ofIMDS), time.Duration(0)
		for i := 0; ; i++ {
			wait := s.Next(Past{Status: 429, Tried: elapsed, Elapsed: elapsed})
			if wait == Stop {
				if elapsed < 70*time.Second || elapsed > 72500*time.Millisecond {
					t.Fatalf("the last try is after %v, want it 70 to 72.5 s after the first", elapsed)
				}
				break
			}
			seen[wait] = true
			if i < len(sums) {
				sums[i] += wait
			}
			elapsed += wait
		}
	}
	// Half of 1.75 s; three quarters of 1.75 × that; of 5/4 of the 3.2 s that are over by then; and
	// of 5 s.
	for i, want := range []time.Duration{875, 2297, 2970, 3750, 3750} {
		want *= time.Millisecond
		if mean := sums[i] / runs; mean < want*7/8 || mean > want*9/8 {
			t.Errorf("mean wait %d is %v, want about %v", i+1, mean, want)
		}
	}
	if len(seen) < runs {
		t.Errorf("%d different waits in %d runs: processes would retry in step", len(seen), runs)
	}
}

// TestRun: the loop ends with a value, what is final, the schedule, or the context.
func TestRun(t *testing.T) {
	t.Parallel()
	errTry := errors.New("no")
	for _, tt := range []struct {
		name        string
		failures    int
		final       bool
		asks        time.Duration // of the answer, before the next try
		ends        time.Duration // of the context, 0 for never
		tries       int
		err         error
		least, most time.Duration
	}{
		{name: "at once", tries: 1},
		{name: "after two", failures: 2, tries: 3, least: 1500 * time.Millisecond, most: 5 * time.Second},
		{name: "final", failures: 9, final: true, tries: 1, err: errTry},
		{name: "too many", failures: 99, tries: 4, err: errTry, least: time.Second,
			most: 10 * time.Second},
		{name: "the context ends", failures: 99, asks: 10 * time.Second, ends: 5 * time.Second, tries: 1,
			err: context.DeadlineExceeded, least: 5 * time.Second, most: 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.ends > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.ends)
					defer cancel()
				}
				rules, began, tries := ofIMDS, time.Now(), 0
				rules.MaxTries = 4
				value, err := Run(ctx, NewSchedule(rules), func() (string, *Past, error) {
					switch tries++; {
					case tries > tt.failures:
						return "token", nil, nil
					case tt.final:
						return "", nil, errTry
					}
					return "", &Past{Status: 429, Wait: tt.asks, Elapsed: time.Since(began)}, errTry
				})
				took := time.Since(began)
				if !errors.Is(err, tt.err) || (err == nil) != (value == "token") || tries != tt.tries ||
					took < tt.least || took > tt.most {
					t.Errorf("%q, %v after %d tries in %v, want %v after %d in %v to %v",
						value, err, tries, took, tt.err, tt.tries, tt.least, tt.most)
				}
			})
		})
	}
}
