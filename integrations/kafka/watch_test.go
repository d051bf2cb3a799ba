package identitykafka_test

import "time"

// watch adds up how long something took.
type watch struct {
	sum   time.Duration
	times int
}

func (w *watch) time(f func()) {
	start := time.Now()
	f()
	w.sum += time.Since(start)
	w.times++
}

// mean is in nanoseconds.
func (w *watch) mean() float64 { return float64(w.sum) / float64(w.times) }
