package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// nodeStorm measures what happens when many processes start at once on one VM, with the library and
// with other policies.
func nodeStorm(ctx context.Context, short bool, say func(string)) (section, error) {
	if short {
		return stormSection(ctx, effort{library: map[int]int{50: 8, 200: 4, 1000: 5}, policies: 20,
			others: 2, tooMany: 1}, say)
	}
	return stormSection(ctx, effort{library: map[int]int{50: 40, 200: 20, 1000: 5}, policies: 400,
		others: 20, tooMany: 10}, say)
}

// effort is how many runs figures are the mean of.
type effort struct {
	library  map[int]int // by the number of processes; without any, that number is left out
	policies int         // see judge
	others   int         // see conditions
	tooMany  int         // see budgets; 0 leaves it out
}

func stormSection(ctx context.Context, runs effort, say func(string)) (section, error) {
	s := section{
		title: "Node storm: many processes start at once on one VM",
		text: []string{
			"IMDS answers at most 20 token requests in any second and 5 at once per VM, and refuses the " +
				"rest with 429. The processes of a VM, or of a Kubernetes node, don't know of each other: " +
				"each sees its own refusals only. " +
				"Here n of them start at once (half of the runs exactly at once, half within 100 ms), each " +
				"with a cache of its own and one token to get; IMDS takes 10 to 50 ms for an answer. " +
				"The ideal is n ÷ 20 seconds. The first table is the library itself against the fake host of " +
				"`identitytest`, on virtual time; the others are a simulation that agrees with it.",
			"Why the waits are what they are, and what a sweep over other policies found, is in " +
				"[backoff.md](backoff.md).",
		},
	}
	real := table{caption: "The library itself, mean of the runs and worst run",
		head: []string{"processes", "runs", "failed", "time ÷ ideal", "requests per token",
			"fullest 100 ms ÷ mean"}}
	var played []playedStorm
	for _, size := range stormSizes {
		if runs.library[size.n] == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return s, err
		}
		say(fmt.Sprintf("node storm: the library with %d processes", size.n))
		all, err := realStorms(size.n, runs.library[size.n])
		if err != nil {
			return s, err
		}
		f := figuresOf(all)
		real.rows = append(real.rows, []string{grouped(size.n), fmt.Sprint(f.runs), fmt.Sprint(f.failed),
			fmt.Sprintf("%.2f, %.2f", mean(f.ratio), quantile(f.ratio, 1)), fmt.Sprintf("%.2f",
				f.requests), fmt.Sprintf("%.1f, %.1f", mean(f.steps), quantile(f.steps, 1))})
		processes := grouped(size.n) + " processes"
		s.verdicts = append(s.verdicts,
			verdict{what: processes + ": failed", got: float64(f.failed), bound: 0,
				why: "a start that needs more than the budget of 75 s is an outage"},
			verdict{what: processes + ": time ÷ ideal", got: mean(f.ratio), bound: size.time, unit: "x",
				why: "the ideal would need a queue at IMDS"},
			verdict{what: processes + ": fullest 100 ms after the first second ÷ mean", got: mean(f.steps),
				bound: size.steps, unit: "x", why: "more would be processes in step"})
		if size.requests > 0 {
			s.verdicts = append(s.verdicts, verdict{what: processes + ": requests per token",
				got: f.requests, bound: size.requests, why: "without knowing of each other, processes must " +
					"ask to find out"})
		}
		played = append(played, playedStorm{size.n, all[0], typical(size.n, azidentityPolicy(), 1).run()})
	}
	s.tables = append(s.tables, real)
	s.pictures = append(s.pictures, stormPicture(played))

	say("node storm: other policies")
	compared, err := judgeAll(ctx, references(), runs.policies)
	if err != nil {
		return s, err
	}
	s.tables = append(s.tables,
		stormTable("Policies, simulated: mean, and in brackets what 19 of 20 runs keep to",
			compared), conditions(runs.others))
	if runs.tooMany > 0 {
		say("node storm: more processes than the budget has room for")
		s.tables = append(s.tables, budgets(runs.tooMany))
	}
	return s, nil
}

// figuresOf is the figures of runs.
func figuresOf(all []stormOutcome) figures {
	f := figures{runs: len(all)}
	for _, o := range all {
		f.ratio = append(f.ratio, o.ratio())
		f.steps = append(f.steps, o.inStep())
		f.requests += o.perToken() / float64(len(all))
		f.failed += o.failed
	}
	slices.Sort(f.ratio)
	slices.Sort(f.steps)
	return f
}

// grouped is a number with a comma between thousands.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// conditions is the library's policy in other storms than the typical one. With slow answers 5 at
// once is the limit, and the ideal is by that.
func conditions(runs int) table {
	t := table{
		caption: "Ours in other circumstances, simulated: time ÷ ideal and requests per token",
		head:    []string{"", "50", "200", "1,000", "failed of 1,000"},
	}
	ms := func(low, high int) [2]time.Duration {
		return [2]time.Duration{time.Duration(low) * time.Millisecond,
			time.Duration(high) * time.Millisecond}
	}
	usual := typical(0, ourPolicy(), 0)
	for _, c := range []struct {
		name       string
		start      time.Duration
		service    [2]time.Duration
		retryAfter time.Duration
	}{
		{"starts exactly at once", 1, usual.service, 0},
		{"starts within 100 ms", 100 * time.Millisecond, usual.service, 0},
		{"starts within 1 s", time.Second, usual.service, 0},
		{"starts within 10 s", 10 * time.Second, usual.service, 0},
		{"IMDS answers in 1 to 5 ms", 100 * time.Millisecond, ms(1, 5), 0},
		{"in 100 to 200 ms", 100 * time.Millisecond, ms(100, 200), 0},
		{"in 200 to 400 ms: 16.7 a second, by 5 at once", 100 * time.Millisecond, ms(200, 400), 0},
		{"Retry-After: 1", 100 * time.Millisecond, usual.service, time.Second},
		{"Retry-After: 3", 100 * time.Millisecond, usual.service, 3 * time.Second},
	} {
		row := []string{c.name}
		failed := 0.0
		for _, size := range stormSizes {
			st := typical(size.n, ourPolicy(), 0)
			st.start, st.service, st.retryAfter, st.late = c.start, c.service, c.retryAfter,
				[]time.Duration{}
			n := max(runs*200/size.n, 1)
			f := measureStorms(st, n)
			best := max(idealTime(size.n), time.Duration(size.n)*(c.service[0]+c.service[1])/2/atOnce,
				c.start)
			row = append(row, fmt.Sprintf("%.2f, %.2f",
				mean(f.ratio)*idealTime(size.n).Seconds()/best.Seconds(), f.requests))
			failed = float64(f.failed) / float64(n)
		}
		t.rows = append(t.rows, append(row, fmt.Sprintf("%.1f", failed)))
	}
	return t
}

// budgets is how many processes fail where there are too many of them.
func budgets(runs int) table {
	t := table{
		caption: "Too many processes: failed ones by budget, simulated. 75 s are 1,500 tokens at best",
		head:    []string{"processes", "ideal", "75 s", "90 s", "120 s", "requests per token with 75 s"},
	}
	for _, n := range []int{1000, 1200, 1300, 1400, 1500, 2000} {
		row := []string{grouped(n), fmt.Sprintf("%.0f s", math.Ceil(idealTime(n).Seconds()))}
		requests := 0.0
		for _, budget := range []time.Duration{75 * time.Second, 90 * time.Second, 120 * time.Second} {
			st := typical(n, ourPolicy(), 0)
			st.budget, st.late = budget, []time.Duration{}
			f := measureStorms(st, runs)
			row = append(row, fmt.Sprintf("%.0f", float64(f.failed)/float64(runs)))
			if budget == ourRules.Budget {
				requests = f.requests
			}
		}
		t.rows = append(t.rows, append(row, fmt.Sprintf("%.1f", requests)))
	}
	return t
}
