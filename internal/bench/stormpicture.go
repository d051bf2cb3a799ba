package main

import (
	"fmt"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// playedStorm is one storm, as it went with each library.
type playedStorm struct {
	n            int
	ours, theirs stormOutcome
}

// stormPicture shows who has a token by when, in a panel for each number of processes.
func stormPicture(storms []playedStorm) draw.Picture {
	p := draw.Picture{
		File:  "storm.svg",
		Title: "Processes that start at once on one VM: how soon each has a token",
		X:     "time ÷ what 20 tokens a second take, which is IMDS's limit",
		Alt: "The share of processes with a token over time. This library's stay near what IMDS's " +
			"limit allows, azidentity's, which are simulated, stand still between their tries.",
	}
	for _, st := range storms {
		ideal := idealTime(st.n)
		limit := draw.Line{Name: "20 a second: " + wholeSeconds(ideal), Look: draw.Limit,
			X: []float64{0, 1}, Y: []float64{0, 100}}
		p.Panels = append(p.Panels, draw.Panel{
			Title: grouped(st.n) + " processes", Y: "with a token, %", Height: 130,
			Lines: []draw.Line{acquired(ours, draw.Ours, st.ours),
				acquired(azIdentity+" (simulated)", draw.Peer, st.theirs), limit},
		})
		p.Finding = fmt.Sprintf("%s processes: with identity the last one has its token after %s; with "+
			"azidentity %d get none.", grouped(st.n), wholeSeconds(st.ours.done()), st.theirs.failed)
	}
	return p
}

// acquired is a line of the picture, with as many points as can be seen.
func acquired(name string, look draw.Look, o stormOutcome) draw.Line {
	end := ":\nall after " + wholeSeconds(o.done())
	if o.failed > 0 {
		end = fmt.Sprintf(":\n%d failed after %s", o.failed, wholeSeconds(o.done()))
	}
	line := draw.Line{Name: name + end, Look: look, X: []float64{0}, Y: []float64{0}}
	ideal := idealTime(o.n).Seconds()
	for i, at := range o.tokens {
		if i == len(o.tokens)-1 || i%max(len(o.tokens)/150, 1) == 0 {
			line.X = append(line.X, at.Seconds()/ideal)
			line.Y = append(line.Y, 100*float64(i+1)/float64(o.n))
		}
	}
	return line
}

// wholeSeconds is a time with a decimal where it is short.
func wholeSeconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
