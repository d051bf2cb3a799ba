package main

import (
	"fmt"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// tokensSection is the report of measureTokens.
func tokensSection(holdings []holding, flat map[int]float64, turn turns) section {
	t := table{
		caption: "Per hit, for the one in the middle.",
		head: []string{"tokens held", ours, "the limit", "ratio to the limit",
			"ratio to ours with one token", awsColumn, msal, azIdentity, "ratio of azidentity to ours"},
	}
	var points []hitPoint
	for _, h := range holdings {
		p := hitPoint{held: float64(h.n), ns: map[string]float64{}}
		for _, name := range hitLines {
			p.ns[name] = h.turns.ns(name)
		}
		points = append(points, p)
	}
	for _, h := range holdings {
		ns := h.turns.ns
		t.rows = append(t.rows, []string{figure(float64(h.n)), nanoseconds(ns(ours)),
			nanoseconds(ns(theLimit)), ratio(h.turns.ratio(ours, theLimit)), ratio(flat[h.n]),
			nanoseconds(ns(awsCache)), nanoseconds(ns(msal)), nanoseconds(ns(azIdentity)), ratio(ns(azIdentity) / ns(ours))})
	}
	s := section{
		title: "A hit with many tokens",
		text: []string{
			"A cache of this library holds 10,000 keys, past that the tokens that were used longest ago " +
				"leave; 100,000 tokens are ten credentials with caches of their own. MSAL's cache, which is " +
				"azidentity's, is one for the process and is searched from end to end. The limit is " +
				limitOfHit + "; a larger map costs it a little, too.",
		},
		tables: []table{t, {
			caption: "Each of 10,000 tokens in turn, so that nothing is in the processor's nearest cache. " +
				"The limit keeps a token 64 bytes away from its map; here the entry, which is replaced under " +
				"running readers, and the token's times are two more places. Without a bound: nobody calls " +
				"that way.",
			head: []string{"what", ours, "the limit", "ratio"},
			rows: [][]string{{"hit, each in turn", nanoseconds(turn.ns(ours)),
				nanoseconds(turn.ns(theLimit)), ratio(turn.ratio(ours, theLimit))}},
		}},
		pictures: []draw.Picture{hitPicture(points)},
	}
	for _, h := range holdings {
		if h.n >= scale.tokens {
			s.verdicts = append(s.verdicts,
				verdict{what: fmt.Sprintf("hit with %s tokens held beside one",
					figure(float64(h.n))), got: flat[h.n], bound: hitBound,
					inShort: ratioInShort * hitBound, unit: "x",
					why: "a look-up does not depend on how many there are"})
		}
	}
	return s
}
