package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const tokenLength = 1536 // a realistic token; Go gives it as many bytes

// heap is what is in use after what is garbage has gone. Twice, because the first run only finds
// what sync.Pools can drop.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// overheadBound is for what a held token may cost beyond itself: the key, the entry, its times and
// the way to it. It was 620 when the bound was set; a heap is as large on any machine.
const overheadBound = 768 // bytes

// measureMemory is what a held token takes, and what is left of it when it has expired.
func measureMemory(ctx context.Context, short bool, say func(string)) (section, error) {
	setAppService(nowhere)
	counts := []int{1, 10_000, 100_000}
	if short {
		counts = []int{1, scale.tokens}
	}
	t := table{
		caption: fmt.Sprintf("Bytes per held token, beyond the token's own %s. With one token it is a "+
			"whole credential with its cache, and for MSAL a client; its cache is the process's.", figure(tokenLength)),
		head: []string{"tokens held", ours, msal, "ratio of MSAL to ours"},
	}
	var last float64
	filled := 0
	f := &fake{length: tokenLength}
	client, err := newMSAL(f)
	if err != nil {
		return section{}, err
	}
	for _, n := range counts {
		say(fmt.Sprintf("%s tokens held", figure(float64(n))))
		scopes := scopesOf(n)
		before := heap()
		_, _, all, err := fillOurs(ctx, scopes, f)
		if err != nil {
			return section{}, err
		}
		mine := (heap() - before) / float64(n)
		runtime.KeepAlive(all)

		before = heap()
		if err := fillMSAL(ctx, client, scopes[filled:]); err != nil {
			return section{}, err
		}
		theirs := (heap() - before) / float64(n-filled)
		runtime.KeepAlive(scopes)
		filled = n
		last = mine - tokenLength
		t.rows = append(t.rows, []string{figure(float64(n)), size(last), size(theirs - tokenLength),
			ratio((theirs - tokenLength) / last)})
	}
	say("after they have expired")
	expired := scale.tokens
	mine, err := inBubble(func() (left, error) { return afterExpiry(expired, ours) })
	if err != nil {
		return section{}, err
	}
	theirs, err := inBubble(func() (left, error) { return afterExpiry(expired, msal) })
	if err != nil {
		return section{}, err
	}
	return section{
		title: "Memory",
		text: []string{"What is in use after a garbage collection. 100,000 tokens of ours are ten " +
			"credentials with caches of their own."},
		tables: []table{t, {
			caption: "10,000 tokens of an hour, and 3 hours later, when another has been asked for a " +
				"hundred times: an expired token stays for an hour, because a clock that was fast can be set " +
				"right again, and leaves when the cache is next used.",
			head: []string{"what", "while they are held", "3 hours later", "share that stays"},
			rows: [][]string{
				{ours, size(mine.held), size(mine.later), percent(mine.share())},
				{msal, size(theirs.held), size(theirs.later), percent(theirs.share())},
			},
		}},
		verdicts: []verdict{
			{what: "bytes per held token beyond the token", got: last, bound: overheadBound,
				unit: "B",
				why:  "a key, an entry with what Status tells, three times, and two ways to find it"},
			{what: "share of the memory that stays after the tokens have expired",
				got: mine.share() * 100, bound: 10, unit: "%",
				why: "the store's and the index's own tables, which Go's maps never give back"},
		},
	}, nil
}

func percent(x float64) string { return figure(float64(int(x*1000+0.5))/10) + " %" }

// left is memory over time.
type left struct{ held, later float64 }

func (l left) share() float64 { return max(l.later, 0) / l.held }

// afterExpiry is to run in a bubble.
func afterExpiry(n int, name string) (left, error) {
	ctx := context.Background()
	f := &fake{length: tokenLength, life: time.Hour}
	scopes := scopesOf(n + 1)
	for i, scope := range scopes {
		scopes[i] = "https://brief-" + scope[len("https://"):]
	}
	var fill func([]string) error
	var keep any
	before := heap()
	switch name {
	case ours:
		cred, err := newOurs(f)
		if err != nil {
			return left{}, err
		}
		keep = cred
		// the index of hits is renewed after 64 that missed it
		fill = func(scopes []string) error { return hits(cred, scopes)(2*len(scopes) + 100) }
	default:
		client, err := newMSAL(f)
		if err != nil {
			return left{}, err
		}
		keep = client
		fill = func(scopes []string) error { return fillMSAL(ctx, client, scopes) }
	}
	var l left
	if err := fill(scopes[:n]); err != nil {
		return l, err
	}
	l.held = heap() - before
	time.Sleep(3 * time.Hour)
	if err := fill(scopes[n:]); err != nil {
		return l, err
	}
	time.Sleep(time.Second)
	l.later = heap() - before
	runtime.KeepAlive(keep)
	runtime.KeepAlive(scopes)
	return l, nil
}
