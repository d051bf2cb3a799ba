package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// Outages of two hours: in the middle of the second wave of renewals, and between two waves. The
// waves are at 12 h, 24 h and so on after the start; with the library's jitter the second one lasts
// from 21.6 h to 26.4 h and the third begins at 32.4 h.
var (
	inWave  = [2]time.Duration{23 * time.Hour, 25 * time.Hour}
	offWave = [2]time.Duration{29 * time.Hour, 31 * time.Hour}
	never   = [2]time.Duration{}
)

// ourRule is the library's: newHeld and coolDown in renewal.go.
func ourRule() renewalRule { return plusMinus("**ours: half ± 10 %**", 10) }

// renewalRules are what is compared.
func renewalRules() []renewalRule {
	parted := plusMinus("half ± 10 %, the first and after a failure 25 to 55 %", 10)
	parted.first = share{0.25, 0.55}
	return []renewalRule{
		plusMinus("half, no jitter", 0), plusMinus("half ± 5 %", 5), ourRule(),
		plusMinus("half ± 20 % (40 to 60 % of the life)", 20),
		plusMinus("half ± 25 %", 25), plusMinus("half ± 50 %", 50), parted,
	}
}

// coolDowns are other answers to an outage.
func coolDowns() []renewalRule {
	cold, minutes, both := ourRule(), ourRule(), ourRule()
	cold.name, cold.tries = "retried as a cold acquisition", true
	minutes.name, minutes.cool = "cool-down to 5 min", 5*time.Minute
	both.name, both.tries, both.cool = "retried, cool-down to 5 min", true, 5*time.Minute
	return []renewalRule{ourRule(), cold, minutes, both}
}

// fleet measures what a million hosts that start within a minute are to the token service.
func fleet(ctx context.Context, short bool, say func(string)) (section, error) {
	hosts := 1_000_000
	if short {
		hosts = 100_000
	}
	return fleetSection(ctx, hosts, say)
}

func fleetSection(ctx context.Context, hosts int, say func(string)) (section, error) {
	scale := 1e6 / float64(hosts)
	s := section{
		title: "Fleet: a million hosts, four days, an outage of two hours",
		text: []string{
			fmt.Sprintf("A million hosts start within the same minute, each with one token of 24 hours "+
				"that it uses once a second, and renews as the library does. The token service of their "+
				"region is out for two hours. Simulated for four days; "+
				"%s hosts are played, scaled to a million where fewer. In the outage one host in %d is "+
				"played in full and counts for as many; the others enter %v before its end in a random "+
				"phase of their cool-down. "+
				"Peaks before and after are of one minute, so that chance doesn't make them; the peak right "+
				"after the outage is of one second. The mean is that of the long run, a renewal per host "+
				"and mean interval.", grouped(hosts), inFull, warmUp),
		},
	}
	play := func(rule renewalRule, outage [2]time.Duration, cached bool) *fleetOutcome {
		return fleetPlan{hosts: hosts, seed: 1, rule: rule, use: time.Second, outage: outage,
			cached: cached}.run()
	}
	const started = 10 * time.Minute
	hour := func(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

	waves := table{
		caption: "Renewals a second at the token service, where every renewal brings a new token (no " +
			"cache in between). Outage from hour 23 to 25, in the middle of a wave",
		head: []string{"renewed at", "covers an outage of", "mean", "peak ÷ mean: day 1",
			"day 2 but the outage", "day 3", "day 4", "due in the outage", "peak second after it", "÷ mean", "after an outage at hour 29 to 31"},
	}
	var pictured []fleetCourse
	for _, rule := range renewalRules() {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		say("fleet: " + rule.name)
		o, off := play(rule, inWave, false), play(rule, offWave, false)
		m := longRun(hosts, rule, false)
		peak := func(bins []int32, from, to float64) float64 {
			return busiest(bins, hour(from), hour(to), time.Minute) / m
		}
		day1 := busiest(o.renewals, started, inWave[0], time.Minute) / m
		day2 := max(peak(off.renewals, 0.5, 29), peak(o.renewals, 25.5, 48))
		after := busiest(o.renewals, inWave[1], inWave[1]+30*time.Minute, time.Second)
		afterOff := busiest(off.renewals, offWave[1], offWave[1]+30*time.Minute, time.Second)
		latest := max(rule.usual.high, rule.first.high)
		waves.rows = append(waves.rows, []string{rule.name, fmt.Sprintf("%.1f h", 24*(1-latest)),
			fmt.Sprintf("%.1f", m*scale),
			ratioOf(day1), ratioOf(day2), ratioOf(peak(o.renewals, 48, 72)),
			ratioOf(peak(o.renewals, 72, 96)),
			grouped(int(float64(o.due) * scale)), grouped(int(after * scale)), ratioOf(after / m), grouped(int(afterOff * scale))})
		switch rule.name {
		case ourRule().name:
			pictured = append(pictured, fleetCourse{name: "identity: half of the life ± 10 %",
				look: draw.Ours, renewals: o.renewals, scale: scale, mean: m * scale})
			s.verdicts = append(s.verdicts,
				verdict{what: "renewals after a common start: busiest minute ÷ mean, days 1 and 2",
					got: max(day1, day2), bound: 6, unit: "x", why: "a wave of half the life, ± 10 %, is 2.4 of " +
						"12 hours wide: 5 × is its floor"},
				verdict{what: "the same on day 4", got: peak(o.renewals, 72, 96), bound: 4, unit: "x",
					why: "waves run into each other, but an outage renews them"},
				verdict{what: "hosts without a token through an outage of 2 h: seconds per host",
					got: o.without.Seconds() / float64(hosts), bound: 0, why: "a token is renewed at least 10.8 " +
						"h before its end"},
				verdict{what: "a token renewed after the outage's end, the slowest of 99 in 100: seconds",
					got: quantile99(o.renewed), bound: 60, why: "the cool-down is 30 s at most"})
		case renewalRules()[0].name:
			pictured = append(pictured, fleetCourse{name: "half of the life, no jitter", look: draw.Peer,
				renewals: o.renewals, scale: scale, mean: m * scale})
		}
	}
	s.tables = append(s.tables, waves)
	s.pictures = append(s.pictures, fleetPicture(pictured))

	outages := table{
		caption: "The outage itself, ours and what else could be done: all requests a second at the " +
			"token service",
		head: []string{"a failed renewal", "requests a second at the end of the outage", "÷ mean",
			"busiest second after it", "half have their token after", "99 of 100 after"},
	}
	for _, rule := range coolDowns() {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		say("fleet: outage, " + rule.name)
		o := play(rule, inWave, false)
		m := longRun(hosts, rule, false)
		during := rate(o.requests, inWave[1]-5*time.Minute, inWave[1])
		outages.rows = append(outages.rows,
			[]string{rule.name, grouped(int(during * scale)), ratioOf(during / m),
				grouped(int(busiest(o.requests, inWave[1], inWave[1]+30*time.Minute, time.Second) * scale)),
				fmt.Sprintf("%.0f s", quantileOf(o.renewed, 0.5)), fmt.Sprintf("%.0f s",
					quantile99(o.renewed))})
	}
	s.tables = append(s.tables, outages)

	behind := table{
		caption: "Behind a cache of the host that repeats a token until it has ended, as IMDS is " +
			"documented: the service sees a host once in 24 hours, whatever the jitter",
		head: []string{"asked again at", "outage", "mean", "busiest minute ÷ mean",
			"busiest second after the outage", "asked in vain, per host and day", "hours that a host had " +
				"no token"},
	}
	for _, rule := range []renewalRule{renewalRules()[0], ourRule(), renewalRules()[3]} {
		for _, c := range []struct {
			name   string
			outage [2]time.Duration
		}{{"none", never}, {"hour 23 to 25, where all tokens end", inWave}, {"hour 29 to 31", offWave}} {
			if err := ctx.Err(); err != nil {
				return s, err
			}
			if c.outage != never && rule.name != ourRule().name {
				continue // the same
			}
			say("fleet: behind the host's cache, " + rule.name + ", outage: " + c.name)
			o := play(rule, c.outage, true)
			m := longRun(hosts, rule, true)
			after := "-"
			if c.outage != never {
				after = grouped(int(busiest(o.renewals, c.outage[1], c.outage[1]+30*time.Minute,
					time.Second) * scale))
			}
			behind.rows = append(behind.rows, []string{rule.name, c.name, fmt.Sprintf("%.1f", m*scale),
				ratioOf(busiest(o.renewals, started, fleetTime, time.Minute) / m),
				after, fmt.Sprintf("%.1f", float64(o.asked)/float64(hosts)/fleetDays), fmt.Sprintf("%.2f",
					o.without.Hours()/float64(hosts))})
		}
	}
	s.tables = append(s.tables, behind)
	s.text = append(s.text, fleetReasons...)
	return s, nil
}

// longRun is the mean of renewals a second, once the start is forgotten.
func longRun(hosts int, rule renewalRule, cached bool) float64 {
	interval := fleetLife.Seconds()
	if !cached {
		interval *= (rule.usual.low + rule.usual.high) / 2
	}
	return float64(hosts) / interval
}

// fleetReasons are what follows from the figures.
var fleetReasons = []string{
	"**± 10 % stays.** Renewals that follow a common start come in a wave that is as wide as the " +
		"jitter: a tenth of the life, 2.4 hours, of the 12 between two waves, so that its peak is 5 " +
		"times the mean: 116 a second for a million hosts. " +
		"Without jitter it is a second start, 16,700 a second, every twelve hours for ever. More " +
		"jitter flattens it further, and pays with the time that a held token covers an outage: ± 20 " +
		"% halves the peak, for 1.2 of 10.8 hours. " +
		"The service took 16,700 a second when the fleet started; whether a wave is 0.7 % or 0.35 % of " +
		"that is nothing it can notice, while 1.2 hours of an outage are. A wider jitter of the first " +
		"token alone would flatten the waves to about 2 × at the same cover; it would be the thing to " +
		"do if a service ever were sized by its renewals.",
	"**What a service notices is an outage**, and there the jitter of renewals does little: all " +
		"hosts that came due in it ask until it answers, once in 15 to 30 s, because a renewal is a " +
		"single try as long as the held token outlives an acquisition. " +
		"That has every token renewed within half a minute of the end. The second table shows what it " +
		"costs: a fifth of what it would if renewals were retried as who has no token is. Cool-downs " +
		"of minutes would cost a tenth of that again, while the held token is good for hours; but " +
		"then a recovery would go unnoticed for minutes, which readiness and health pages show.",
	"**Behind IMDS's cache the client's jitter never reaches the token service**: IMDS repeats a " +
		"token to its end, so that a fleet's tokens, which began in one minute, end in one minute, " +
		"every day. The client can only ask again right after that end; spreading that is for the host " +
		"to do. Whether IMDS renews before the end isn't documented.",
}

func ratioOf(r float64) string {
	switch {
	case math.IsNaN(r) || math.IsInf(r, 0):
		return "-"
	case r < 100:
		return fmt.Sprintf("%.1f", r)
	}
	return grouped(int(r))
}

func quantileOf(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))].Seconds()
}

func quantile99(sorted []time.Duration) float64 { return quantileOf(sorted, 0.99) }
