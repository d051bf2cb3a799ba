package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// contender is one of those that take turns. run does the work n times.
type contender struct {
	name string
	run  func(n int) error
}

// turns is what they took: nanoseconds per call, by contender and round.
type turns map[string][]float64

// scale is how much is done. Tests of this tool do less: the race detector makes all of it ten
// times as slow.
var scale = struct {
	// rounds: 400 make the median of ratios good to about one in a hundred on a busy machine
	long, short int
	tokens      int           // that are many for one cache
	calls       int           // in a situation
	peers       int           // in situations: the first so many
	ripens      time.Duration // until a token with refreshIn is due
	exchange    time.Duration // of a slow Entra
	every       time.Duration // between the calls of a day
}{400, 80, ourMost, 1000, len(peers), refreshIn + time.Second, 3 * time.Second, time.Minute}

// below a scheduler's time slice, above a clock's grain by four orders
const batch = time.Millisecond

func roundsOf(short bool) int {
	if short {
		return scale.short
	}
	return scale.long
}

// takeTurns measures the contenders in rounds, forwards and backwards in turn, so that a busy
// machine is as bad for each of them. The first tenth of the rounds is thrown away. A call that
// takes longer than a batch is a batch.
func takeTurns(ctx context.Context, rounds int, contenders ...contender) (turns, error) {
	counts := make([]int, len(contenders))
	for i, c := range contenders {
		n := 1
		for {
			quickest := time.Hour
			for range 3 { // a hiccup must not decide
				began := time.Now()
				if err := c.run(n); err != nil {
					return nil, err
				}
				quickest = min(quickest, time.Since(began))
			}
			if quickest >= batch/2 {
				break
			}
			n *= 2
		}
		counts[i] = n
	}
	runtime.GC()
	t := turns{}
	for round := range rounds {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for k := range contenders {
			i := k
			if round%2 == 1 {
				i = len(contenders) - 1 - k
			}
			c := contenders[i]
			began := time.Now()
			if err := c.run(counts[i]); err != nil {
				return nil, err
			}
			t[c.name] = append(t[c.name], float64(time.Since(began))/float64(counts[i]))
		}
	}
	for name, all := range t {
		t[name] = all[len(all)/10:]
	}
	return t, nil
}

// ns is a contender's median.
func (t turns) ns(name string) float64 { return median(t[name]) }

// ratio is the median of the ratios within a round.
func (t turns) ratio(of, to string) float64 {
	ratios := make([]float64, len(t[of]))
	for i, x := range t[of] {
		ratios[i] = x / t[to][i]
	}
	return median(ratios)
}

// quiet is the ratio of what both take when nothing else is going on: of the quickest tenth of the
// rounds. It is for work that waits for other goroutines and for sockets, where a busy machine adds
// to each wait, and not in proportion.
func (t turns) quiet(of, to string) float64 { return quickest(t[of]) / quickest(t[to]) }

func quickest(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)/10]
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// onAllCores makes n calls of run into n calls of all cores together.
func onAllCores(run func(n int) error) func(n int) error {
	return func(n int) error {
		cores := runtime.GOMAXPROCS(0)
		each := max(n/cores, 1)
		errs := make([]error, cores)
		var wg sync.WaitGroup
		for i := range cores {
			wg.Go(func() { errs[i] = run(each) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
