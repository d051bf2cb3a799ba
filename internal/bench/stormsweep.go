package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// stormSizes are the numbers of processes that policies are compared by, with what a storm may
// cost: the time ÷ the ideal, the requests per token (0: no bound), and the fullest 100 ms after
// the first second ÷ the mean.
var stormSizes = [...]struct {
	n                     int
	time, requests, steps float64
}{
	{50, 2, 0, 5},
	{200, 1.5, 4, 5},
	{1000, 1.3, 10, 5},
}

// figures are what a policy comes to at one number of processes, over some runs.
type figures struct {
	runs      int
	ratio     []float64 // of each run, sorted
	requests  float64   // per token, mean
	steps     []float64 // of each run, sorted
	failed    int       // processes
	latecomer float64   // seconds that other tenants wait who start in the middle, mean
}

// quantile is that of a sorted list.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}

// measureStorms runs a storm with as many seeds. Half of the runs start exactly at once, unless the
// storm says when.
func measureStorms(s storm, runs int) figures {
	f := figures{runs: runs}
	start, tenants := s.start, s.late
	latecomers := 0
	for seed := range runs {
		s.seed, s.start, s.late = uint64(seed), start, tenants
		if start == 0 {
			s.start = time.Duration(seed%2) * 100 * time.Millisecond
		}
		if tenants == nil {
			s.late = []time.Duration{idealTime(s.n) / 4, idealTime(s.n) / 2, idealTime(s.n) * 3 / 4}
		}
		o := s.run()
		f.ratio = append(f.ratio, o.ratio())
		f.requests += o.perToken() / float64(runs)
		f.steps = append(f.steps, o.inStep())
		f.failed += o.failed
		for _, waited := range o.late {
			if waited >= 0 {
				latecomers++
				f.latecomer += waited.Seconds()
			}
		}
	}
	f.latecomer /= float64(max(latecomers, 1))
	slices.Sort(f.ratio)
	slices.Sort(f.steps)
	return f
}

// judged is a policy with its figures at each of stormSizes.
type judged struct {
	backOff
	at [len(stormSizes)]figures
	// mean seconds that a lone process waits after one 429, the delay before the first request
	// included
	lone  float64
	score float64
}

// judge measures a policy. Its score is better the lower: the sum of what each of the bounds is
// used up to, by 19 runs of 20 (the requests by the mean), with 1 for each bound that is broken,
// and a twentieth of the processes that fail; and a tenth of a second's wait of a lone process
// counts 0.05.
func judge(p backOff, runs int) judged {
	j := judged{backOff: p}
	for i, size := range stormSizes {
		s := typical(size.n, p, 0)
		s.start = 0 // half of them
		f := measureStorms(s, max(runs*50/size.n, 1))
		j.at[i] = f
		used := []float64{quantile(f.ratio, .95) / size.time, quantile(f.steps, .95) / size.steps}
		if size.requests > 0 {
			used = append(used, f.requests/size.requests)
		}
		for _, u := range used {
			j.score += u
			if u > 1 {
				j.score++
			}
		}
		j.score += 0.05 * float64(f.failed)
	}
	const lone = 1000
	for seed := range uint64(lone) {
		h := &history{refusals: 1, random: newRandom(seed)}
		j.lone += (p.delay/2 + p.wait(h)).Seconds() / lone
	}
	j.score += 0.5 * j.lone
	return j
}

// thrift is the requests per token among 1,000, or much more where a storm takes longer than its
// bound on average.
func (j judged) thrift() float64 {
	requests := j.at[len(j.at)-1].requests
	for i, size := range stormSizes {
		if mean(j.at[i].ratio) > size.time || j.at[i].failed > 0 {
			requests += 1000
		}
	}
	return requests
}

// judgeAll judges policies on all processors, in the order given.
func judgeAll(ctx context.Context, policies []backOff, runs int) ([]judged, error) {
	all := make([]judged, len(policies))
	next := make(chan int)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := range next {
				all[i] = judge(policies[i], runs)
			}
		})
	}
	for i := range policies {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	group.Wait()
	return all, ctx.Err()
}

// sweep judges all families, and returns the best of each as judged again with more runs, best
// first, and how many policies there were.
func sweep(
	ctx context.Context, short bool, say func(string),
) (best []judged, tried int, err error) {
	runs, again := 40, 400
	if short {
		runs, again = 2, 2
	}
	var finalists []backOff
	for _, f := range families(short) {
		all, err := judgeAll(ctx, f.policies, runs)
		if err != nil {
			return nil, 0, err
		}
		tried += len(all)
		slices.SortStableFunc(all, func(a, b judged) int { return cmp.Compare(a.score, b.score) })
		say(fmt.Sprintf("%s: %d policies, best: %s", f.name, len(all), all[0].name))
		finalists = append(finalists, all[0].backOff)
		thrifty := slices.MinFunc(all, func(a, b judged) int {
			return cmp.Compare(a.thrift(), b.thrift())
		})
		if thrifty.name != all[0].name {
			finalists = append(finalists, thrifty.backOff)
		}
	}
	best, err = judgeAll(ctx, append(finalists, references()...), again)
	slices.SortStableFunc(best, func(a, b judged) int { return cmp.Compare(a.score, b.score) })
	return best, tried, err
}

// references are shown whatever the sweep finds.
func references() []backOff {
	return []backOff{ourPolicy(), formerPolicy(), azidentityPolicy(), fullJitter(3, 1.3, 8),
		impatient(1)}
}

// stormTable shows policies side by side.
func stormTable(caption string, policies []judged) table {
	t := table{caption: caption, head: []string{"policy", "50: × ideal", "200: × ideal", "requests",
		"1,000: × ideal", "requests", "fullest 100 ms at 50, 200, 1,000", "failed of 1,000", "one 429 " +
			"alone", "latecomer among 1,000"}}
	for _, j := range policies {
		ratio := func(i int) string {
			return fmt.Sprintf("%.2f (%.2f)", mean(j.at[i].ratio), quantile(j.at[i].ratio, .95))
		}
		row := []string{j.name, ratio(0), ratio(1), fmt.Sprintf("%.2f", j.at[1].requests), ratio(2),
			fmt.Sprintf("%.2f", j.at[2].requests),
			fmt.Sprintf("%.1f, %.1f, %.1f", quantile(j.at[0].steps, .95), quantile(j.at[1].steps, .95),
				quantile(j.at[2].steps, .95)),
			fmt.Sprintf("%.0f", float64(j.at[2].failed)/float64(j.at[2].runs)), fmt.Sprintf("%.1f s",
				j.lone), fmt.Sprintf("%.0f s", j.at[2].latecomer)}
		t.rows = append(t.rows, row)
	}
	return t
}

// The table of docs/backoff.md stands between these.
const (
	backOffBegin = "<!-- the sweep's table: written by internal/bench, see writeBackOff -->"
	backOffEnd   = "<!-- end of the table -->"
)

// writeBackOff runs the sweep and puts its table into docs/backoff.md, the page at path.
func writeBackOff(ctx context.Context, path string, short bool, say func(string)) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := insertTable(string(page), table{}, 0); err != nil {
		return err // before minutes are spent
	}
	best, tried, err := sweep(ctx, short, say)
	if err != nil {
		return err
	}
	text, err := insertTable(string(page), stormTable("", best), tried)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// insertTable exchanges the table of a page.
func insertTable(page string, t table, tried int) (string, error) {
	head, rest, ok := strings.Cut(page, backOffBegin)
	_, tail, also := strings.Cut(rest, backOffEnd)
	if !ok || !also {
		return "", fmt.Errorf("no place for the table: want a line %q and, after it, %q", backOffBegin,
			backOffEnd)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n%d policies were tried; these are the best of each kind, and some to "+
		"compare with.\n\n", head, backOffBegin, tried)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.head, " | "),
		strings.Repeat(" --- |", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintf(&b, "\n%s%s", backOffEnd, tail)
	return b.String(), nil
}
