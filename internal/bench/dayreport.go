package main

import (
	"fmt"
	"strings"
	"time"
)

// daySection is the report of measureDay.
func daySection(names []string, days map[string]day, hit map[string]float64) section {
	var when []string
	for _, o := range outages {
		when = append(when, fmt.Sprintf("from %d to %d o'clock", int(o.from.Hours()), int(o.to.Hours())))
	}
	down := strings.Join(when, " and ")
	c := chart{
		file: "day.svg", title: "A day, host down " + down, logY: true,
		x: "o'clock", y: "how long a call takes, in milliseconds",
	}
	t := table{head: []string{"what", "longest call", "calls over 1 s", "errors",
		"requests to the host"}}
	s := section{
		title: "A day with an outage",
		text: []string{
			fmt.Sprintf("A service has started %d hours before the day with a token of 24 hours, and "+
				"calls GetToken once a minute, each time in a goroutine of its own. Its host, an App "+
				"Service, takes %s to answer, and is down (503) %s: when this library renews, in the middle "+
				"of the token's life, and when azidentity and MSAL do, 5 minutes before its end. The real "+
				"code of each library, in virtual time (testing/synctest).", int(evening.Hours()), hostAnswers, down),
			"A hit takes no virtual time, and is drawn at what it costs in real time.",
		},
	}
	for _, name := range names {
		var line series
		line.name = name
		var longest time.Duration
		slow, failed := 0, 0
		for _, call := range days[name].calls {
			longest = max(longest, call.took)
			if call.took > time.Second {
				slow++
			}
			if call.failed {
				failed++
			}
			line.x, line.y = append(line.x, call.at.Hours()),
				append(line.y, max(float64(call.took)/1e6, hit[name]/1e6))
		}
		c.series = append(c.series, line)
		t.rows = append(t.rows, []string{name, duration(longest), figure(float64(slow)),
			figure(float64(failed)), figure(float64(days[name].requests))})
		if name == ours {
			s.verdicts = append(s.verdicts,
				verdict{what: "errors of a day with two outages of 4 hours", got: float64(failed),
					bound: 0,
					why:   "what is renewed at half of its life outlives an outage of nearly half a day"},
				verdict{what: "the longest call of that day", got: float64(longest) / 1e6, bound: 1,
					unit: "ms", why: "nobody waits for a renewal"},
				verdict{what: "requests to the host on that day ÷ " + azIdentity + "'s",
					got:   float64(days[name].requests) / float64(days[azIdentity].requests),
					bound: 1, unit: "x",
					why: "a renewal is a single try, with 15 to 30 s between two"})
		}
		c.alt += fmt.Sprintf("%s: longest call %s, %d of %d calls over a second, %d errors. ", name,
			duration(longest), slow, len(days[name].calls), failed)
	}
	s.tables, s.charts = []table{t}, []chart{c}
	return s
}
