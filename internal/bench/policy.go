package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/keyless-go/identity/internal/retry"
)

// history is what a process knows of a storm: nothing but its own refusals.
type history struct {
	refusals int           // so far
	elapsed  time.Duration // since it started
	previous time.Duration // its last wait
	least    time.Duration // what the last refusal's Retry-After asks for
	rate     float64       // additiveIncrease's
	random   *rand.Rand
}

// backOff is a policy: when a refused process asks again.
type backOff struct {
	name  string
	delay time.Duration                // the first request waits at random up to this
	tries int                          // 0: as many as the budget allows
	wait  func(*history) time.Duration // on top of Retry-After
}

// waitBetween is a uniformly distributed time.
func waitBetween(h *history, low, high time.Duration) time.Duration {
	return low + upTo(h.random, high-low)
}

// grown is base × factor^steps, but not over limit.
func grown(base time.Duration, factor float64, steps int, limit time.Duration) time.Duration {
	return time.Duration(min(float64(base)*math.Pow(factor, float64(steps)), float64(limit)))
}

// secs is a time from a number of them.
func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// fullJitter waits from 0 to an upper end that grows by factor.
func fullJitter(base, factor, limit float64) backOff {
	return backOff{
		name: fmt.Sprintf("full jitter: 0 to %g s × %g to %g s", base, factor, limit),
		wait: func(h *history) time.Duration {
			return waitBetween(h, 0, grown(secs(base), factor, h.refusals-1, secs(limit)))
		},
	}
}

// equalJitter waits from half to the whole of an upper end that grows by factor.
func equalJitter(base, factor, limit float64) backOff {
	return backOff{
		name: fmt.Sprintf("equal jitter: half to whole of %g s × %g to %g s", base, factor, limit),
		wait: func(h *history) time.Duration {
			high := grown(secs(base), factor, h.refusals-1, secs(limit))
			return waitBetween(h, high/2, high)
		},
	}
}

// partThenEqual is full jitter the first time and share to whole of the upper end after that.
func partThenEqual(base, factor, limit, share float64) backOff {
	return backOff{
		name: fmt.Sprintf("0 to %g s, then %g to 1 of it × %g to %g s", base, share, factor, limit),
		wait: func(h *history) time.Duration {
			high := grown(secs(base), factor, h.refusals-1, secs(limit))
			if h.refusals == 1 {
				return waitBetween(h, 0, high)
			}
			return waitBetween(h, time.Duration(share*float64(high)), high)
		},
	}
}

// decorrelated waits from base to thrice the wait before.
func decorrelated(base, limit float64) backOff {
	return backOff{
		name: fmt.Sprintf("decorrelated jitter: %g s to 3 × the last wait, to %g s", base, limit),
		wait: func(h *history) time.Duration {
			low := secs(base)
			return min(waitBetween(h, low, max(3*h.previous, 3*low)), secs(limit))
		},
	}
}

// constantWait waits around the same time, share more or less; the first time from 0 to twice of
// it.
func constantWait(mean, share float64) backOff {
	return backOff{
		name: fmt.Sprintf("constant: 0 to %g s, then %g s ± %g %%", 2*mean, mean, 100*share),
		wait: func(h *history) time.Duration {
			if h.refusals == 1 {
				return waitBetween(h, 0, secs(2*mean))
			}
			return waitBetween(h, secs(mean*(1-share)), secs(mean*(1+share)))
		},
	}
}

// growingWindow waits from 0 to the end of a window that grows by step with each try.
func growingWindow(step, limit float64) backOff {
	return backOff{
		name: fmt.Sprintf("growing window: 0 to %g s × tries, to %g s", step, limit),
		wait: func(h *history) time.Duration {
			return waitBetween(h, 0, min(secs(step)*time.Duration(h.refusals), secs(limit)))
		},
	}
}

// additiveIncrease is AIMD: a process's rate grows by step per second and is halved by each
// refusal.
func additiveIncrease(rate, step, limit float64) backOff {
	return backOff{
		name: fmt.Sprintf("AIMD: %g a second, + %g each second, ÷ 2 at a refusal, at least one in %g s",
			rate, step, limit),
		wait: func(h *history) time.Duration {
			if h.refusals == 1 {
				h.rate = rate
			} else {
				h.rate = max((h.rate+step*h.previous.Seconds())/2, 1/limit)
			}
			mean := secs(1 / h.rate)
			if h.refusals == 1 {
				return waitBetween(h, 0, 2*mean)
			}
			return waitBetween(h, mean/2, mean*3/2)
		},
	}
}

// byTime is the library's with other numbers: the first wait is from 0 to first; then the upper end
// is second, or growth × the time taken so far, at most limit, and the wait is from share of it to
// the whole.
func byTime(first, second, growth, limit, share float64) backOff {
	return backOff{
		name: fmt.Sprintf("by time: 0 to %g s, then %g to 1 of %g × the time so far, from %g to %g s",
			first, share, growth, second, limit),
		wait: func(h *history) time.Duration {
			low, high := time.Duration(0), secs(first)
			if h.refusals > 1 {
				high = min(max(secs(second), time.Duration(growth*float64(h.elapsed))), secs(limit))
				low = time.Duration(share * float64(high))
			}
			if h.least > 0 { // which is added
				low = 0
			}
			return waitBetween(h, low, high)
		},
	}
}

// ourRules are the rules of the library, with the numbers of its imds.go. TestOursIsTheLibrarys and
// TestOurWaitsAreTheLibrarys compare.
var ourRules = retry.Rules{
	Budget:   75 * time.Second,
	Delay:    1750 * time.Millisecond,
	MaxDelay: 5 * time.Second,
}

func ourPolicy() backOff {
	return backOff{
		name: "**ours**: 0 to 1.75 s, then half to whole of 5/4 × the time so far, from 3.06 to 5 s",
		wait: func(h *history) time.Duration {
			low, high := ourRules.Range(h.refusals, h.elapsed)
			if h.least > 0 { // which is added
				low = 0
			}
			return waitBetween(h, low, high)
		},
	}
}

// formerPolicy is what the library did before that.
func formerPolicy() backOff {
	p := fullJitter(1, 2, 10)
	p.name = "ours before: full jitter, 0 to 1 s × 2 to 10 s"
	return p
}

// azidentityPolicy is that of azidentity 1.15 on IMDS: azcore's retry policy with 6 retries, 2 s,
// at most 25 s.
func azidentityPolicy() backOff {
	return backOff{
		name:  "azidentity 1.15: (2^n - 1) × 2 s × 0.8 to 1.3, at most 25 s, 6 retries",
		tries: 7,
		wait: func(h *history) time.Duration {
			d := time.Duration((1<<h.refusals)-1) * 2 * time.Second
			return min(time.Duration(float64(d)*(0.8+0.5*h.random.Float64())), 25*time.Second)
		},
	}
}

// startingLate is a policy with a random wait before the first request.
func startingLate(delay float64, p backOff) backOff {
	p.name = fmt.Sprintf("first request after 0 to %g s; %s", delay, p.name)
	p.delay = secs(delay)
	return p
}

// impatient waits always the same time.
func impatient(wait float64) backOff {
	return backOff{
		name: fmt.Sprintf("no jitter: every %g s", wait),
		wait: func(*history) time.Duration { return secs(wait) },
	}
}

// family is a kind of policy with the parameters that are tried.
type family struct {
	name     string
	policies []backOff
}

// families are all policies of the sweep. With short there is one of each family.
func families(short bool) []family {
	var all []family
	add := func(name string, policies []backOff) {
		if short {
			policies = policies[len(policies)/2:][:1]
		}
		all = append(all, family{name, policies})
	}
	factors := []float64{1.1, 1.2, 1.3, 1.5, 2}
	var ps []backOff
	for _, base := range []float64{0.5, 1, 1.5, 2, 3, 4} {
		for _, factor := range append([]float64{1}, factors...) {
			for _, limit := range []float64{4, 5, 6, 8, 10, 15, 25} {
				if base <= limit && (factor > 1 || limit == 4) {
					ps = append(ps, fullJitter(base, factor, limit))
				}
			}
		}
	}
	add("full jitter", ps)
	ps = nil
	for _, base := range []float64{1, 1.5, 2, 2.5, 3} {
		for _, factor := range factors {
			for _, limit := range []float64{4, 5, 6, 8, 10} {
				ps = append(ps, equalJitter(base, factor, limit))
			}
		}
	}
	add("equal jitter", ps)
	ps = nil
	for _, base := range []float64{0.25, 0.5, 0.75, 1, 1.25, 1.5, 2} {
		for _, limit := range []float64{3, 4, 5, 6, 8, 10, 25} {
			ps = append(ps, decorrelated(base, limit))
		}
	}
	add("decorrelated jitter", ps)
	ps = nil
	for _, mean := range []float64{0.5, 1, 1.5, 2, 2.5, 3, 4} {
		for _, share := range []float64{0.1, 0.25, 0.5, 1} {
			ps = append(ps, constantWait(mean, share))
		}
	}
	add("constant", ps)
	ps = nil
	for _, step := range []float64{0.5, 0.75, 1, 1.5, 2, 3} {
		for _, limit := range []float64{4, 5, 6, 8, 10, 25} {
			ps = append(ps, growingWindow(step, limit))
		}
	}
	add("growing window", ps)
	ps = nil
	for _, rate := range []float64{0.5, 1, 2} {
		for _, step := range []float64{0.01, 0.02, 0.05, 0.1, 0.2} {
			for _, limit := range []float64{4, 5, 6, 10} {
				ps = append(ps, additiveIncrease(rate, step, limit))
			}
		}
	}
	add("AIMD", ps)
	ps = nil
	for _, base := range []float64{1.5, 1.75, 2, 2.25, 2.5, 3} {
		for _, factor := range factors {
			for _, limit := range []float64{4, 4.5, 5, 6} {
				for _, share := range []float64{0.5, 0.67} {
					ps = append(ps, partThenEqual(base, factor, limit, share))
				}
			}
		}
	}
	add("parted first, then equal jitter", ps)
	ps = nil
	for _, first := range []float64{1.25, 1.5, 1.75, 2} {
		for _, second := range []float64{2.5, 2.75, 3, 3.25} {
			for _, growth := range []float64{1, 1.25, 1.5} {
				for _, limit := range []float64{4.5, 5, 5.5} {
					for _, share := range []float64{0.5, 0.6} {
						ps = append(ps, byTime(first, second, growth, limit, share))
					}
				}
			}
		}
	}
	add("by time", ps)
	ps = nil
	for _, delay := range []float64{0.5, 1, 2} {
		for _, limit := range []float64{5, 8, 10} {
			ps = append(ps, startingLate(delay, fullJitter(2, 1.5, limit)))
		}
		ps = append(ps, startingLate(delay, ourPolicy()))
	}
	add("late start", ps)
	return all
}
