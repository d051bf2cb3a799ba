package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// slowCall is from when on a call is one that its caller notices.
const slowCall = time.Second

// dayCount is what the calls of a day came to.
type dayCount struct {
	calls, failed int
	slow          int // brought a token, and took longer than slowCall
	longest       time.Duration
}

func (d day) count() dayCount {
	n := dayCount{calls: len(d.calls)}
	for _, call := range d.calls {
		n.longest = max(n.longest, call.took)
		switch {
		case call.failed:
			n.failed++
		case call.took > slowCall:
			n.slow++
		}
	}
	return n
}

// daySection is the report of measureDay: days by host and library.
func daySection(days map[string]map[string]day) section {
	var when []string
	for _, o := range outages {
		when = append(when, fmt.Sprintf("from %d to %d o'clock", int(o.from.Hours()), int(o.to.Hours())))
	}
	s := section{
		title: "A day with an outage",
		text: []string{
			fmt.Sprintf("A service has started %d hours before the day with a token of 24 hours, and "+
				"calls GetToken once a minute, each time in a goroutine of its own. Its host "+
				"takes %s to answer, and is down (503) %s: when this library renews, in the middle "+
				"of the token's life, and when azidentity and MSAL do, 5 minutes before its end. The real "+
				"code of each library, in virtual time (testing/synctest).", int(evening.Hours()),
				hostAnswers, strings.Join(when, " and ")),
			"A call is slow if it brings a token after more than a second.",
		},
	}
	failed, longest, share := 0, time.Duration(0), 0.0
	for _, host := range dayHosts {
		t := table{caption: "On " + host.name, head: []string{"what", "longest call", "slow calls",
			"errors", "requests to the host"}}
		for _, name := range dayPeers {
			d := days[host.name][name]
			n := d.count()
			t.rows = append(t.rows, []string{name, duration(n.longest), figure(float64(n.slow)),
				figure(float64(n.failed)), figure(float64(d.requests))})
			if name == ours {
				failed += n.failed
				longest = max(longest, n.longest)
				share = max(share,
					float64(d.requests)/float64(days[host.name][azIdentity].requests))
			}
		}
		s.tables = append(s.tables, t)
	}
	s.pictures = []draw.Picture{dayPicture(dayHosts[0].name, days[dayHosts[0].name])}
	s.verdicts = []verdict{
		{what: "errors of a day with two outages of 4 hours", got: float64(failed), bound: 0,
			why: "what is renewed at half of its life outlives an outage of nearly half a day"},
		{what: "the longest call of that day", got: float64(longest) / 1e6, bound: 1, unit: "ms",
			why: "nobody waits for a renewal"},
		{what: "requests to the host on that day ÷ " + azIdentity + "'s", got: share, bound: 1,
			unit: "x", why: "a renewal is a single try, with 15 to 30 s between two"},
	}
	return s
}

// dayPicture shows each call of the day, of ours and of azidentity.
func dayPicture(host string, days map[string]day) draw.Picture {
	mine, theirs := days[ours].count(), days[azIdentity].count()
	words := func(n dayCount) string {
		return fmt.Sprintf("%s calls, %s slow, %s failed", grouped(n.calls), figure(float64(n.slow)),
			figure(float64(n.failed)))
	}
	p := draw.Picture{
		File:  "day.svg",
		Title: fmt.Sprintf("identity beside azidentity: a day on %s whose IMDS is down twice", host),
		Finding: fmt.Sprintf("identity renews hours before the token's end. azidentity asks 5 minutes "+
			"before it: %d calls fail after up to %.0f s.", theirs.failed, theirs.longest.Seconds()),
		Alt: fmt.Sprintf("Two panels over the same day, IMDS down in two shaded stretches. %s: %s. "+
			"%s: %s; the longest call took %s.", ours, words(mine), azIdentity, words(theirs),
			duration(theirs.longest)),
		X: "time of day, in hours (one call a minute)", StepX: 3,
	}
	for _, o := range outages {
		p.Bands = append(p.Bands, draw.Band{From: o.from.Hours(), To: o.to.Hours(),
			Name: "down (503)"})
	}
	for _, name := range []string{ours, azIdentity} {
		look := draw.Ours
		if name != ours {
			look = draw.Peer
		}
		quick := draw.Line{Name: name + ":\na token at once", Look: look}
		slow := draw.Line{Name: "a token after\nmore than a second", Look: draw.Slow}
		failed := draw.Line{Name: "an error (each mark\nis several calls)", Look: draw.Failure}
		for _, call := range days[name].calls {
			at, took := call.at.Hours(), call.took.Seconds()
			y := took
			switch {
			case call.failed:
				failed.X, failed.Y, y = append(failed.X, at), append(failed.Y, took), math.NaN()
			case call.took > slowCall:
				slow.X, slow.Y, y = append(slow.X, at), append(slow.Y, took), math.NaN()
			}
			quick.X, quick.Y = append(quick.X, at), append(quick.Y, y)
		}
		panel := draw.Panel{Title: name + ": " + words(days[name].count()), Y: "a call takes, s",
			Reach: []float64{0, 1.06 * max(mine.longest, theirs.longest).Seconds()},
			Lines: []draw.Line{quick}}
		for _, l := range []draw.Line{slow, failed} {
			if len(l.X) > 0 {
				panel.Lines = append(panel.Lines, l)
			}
		}
		p.Panels = append(p.Panels, panel)
	}
	return p
}
