package main

import (
	"math/rand/v2"
	"time"

	"github.com/keyless-go/identity/internal/retry"
)

// IMDS's limits for tokens, per virtual machine:
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#rate-limiting
const (
	perSecond = 20
	atOnce    = 5
)

// storm is one run on virtual time: n processes of one VM, each with one token to get.
type storm struct {
	n          int
	policy     backOff
	seed       uint64
	start      time.Duration    // processes start at random within this time; 0 is exactly at once
	service    [2]time.Duration // IMDS takes a random time between these for an answer
	connect    time.Duration    // from a process to IMDS, one way
	retryAfter time.Duration    // what IMDS's refusals ask for; it sends none today
	budget     time.Duration    // 0 for ourRules.Budget
	// other tenants, one process each, that start then; they are not counted in n
	late []time.Duration
}

// typical is the storm that policies are compared by: IMDS's answers from its cache, processes that
// a node starts together.
func typical(n int, p backOff, seed uint64) storm {
	return storm{n: n, policy: p, seed: seed, start: 100 * time.Millisecond,
		service: [2]time.Duration{10 * time.Millisecond,
			50 * time.Millisecond}, connect: 300 * time.Microsecond}
}

// stormOutcome is what became of a storm.
type stormOutcome struct {
	n        int
	tokens   []time.Duration // when each was there, in order
	failed   int
	requests []time.Duration // when each arrived, in order; all tenants'
	own      int             // requests of the n processes
	late     []time.Duration // how long each other tenant waited; negative if it failed
}

// done is when the last token was there.
func (o stormOutcome) done() time.Duration {
	if len(o.tokens) == 0 {
		return 0
	}
	return o.tokens[len(o.tokens)-1]
}

// idealTime is the time that n tokens take at best: 20 a second.
func idealTime(n int) time.Duration { return time.Duration(n) * time.Second / perSecond }

// ratio is done ÷ the ideal.
func (o stormOutcome) ratio() float64 { return o.done().Seconds() / idealTime(o.n).Seconds() }

// perToken is requests per process, which is per token if none failed.
func (o stormOutcome) perToken() float64 { return float64(o.own) / float64(o.n) }

// stormBin is the width of the bins that show whether processes retry in step.
const stormBin = 100 * time.Millisecond

// inStep is the fullest bin after the first second ÷ the mean of the storm's bins, until the last
// token.
func (o stormOutcome) inStep() float64 {
	bins := make([]int, o.done()/stormBin+1)
	fullest := 0
	for _, at := range o.requests {
		if i := int(at / stormBin); i < len(bins) {
			if bins[i]++; at >= time.Second {
				fullest = max(fullest, bins[i])
			}
		}
	}
	if len(o.requests) == 0 {
		return 0
	}
	return float64(fullest) * o.done().Seconds() / stormBin.Seconds() / float64(len(o.requests))
}

// tenant is one process's part of a storm.
type tenant struct {
	history
	began  time.Duration
	latest time.Duration // when its last try starts
	tried  time.Duration // when its latest try started
	policy *backOff
	index  int // in late, negative for one of the n
}

// happening is something that comes about at a time.
type happening struct {
	at      time.Duration
	order   int32 // of two at the same time the one that was planned first comes first
	process int32
	what    kind
}

type kind int8

const (
	arrives  kind = iota // a request, at IMDS
	answered             // a token, on its way back
)

// agenda is a binary heap of what is to come.
type agenda struct {
	heap    []happening
	planned int32
}

func (a *agenda) before(i, j int) bool {
	x, y := &a.heap[i], &a.heap[j]
	return x.at < y.at || x.at == y.at && x.order < y.order
}

func (a *agenda) plan(at time.Duration, p int32, what kind) {
	a.planned++
	a.heap = append(a.heap, happening{at, a.planned, p, what})
	for i := len(a.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !a.before(i, up) {
			break
		}
		a.heap[i], a.heap[up] = a.heap[up], a.heap[i]
		i = up
	}
}

func (a *agenda) next() (happening, bool) {
	if len(a.heap) == 0 {
		return happening{}, false
	}
	first, last := a.heap[0], len(a.heap)-1
	a.heap[0] = a.heap[last]
	a.heap = a.heap[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && a.before(down+1, down) {
			down++
		}
		if !a.before(down, i) {
			break
		}
		a.heap[i], a.heap[down] = a.heap[down], a.heap[i]
		i = down
	}
	return first, true
}

// limits is IMDS's limiter: what it admits is what identitytest's admits, see TestLimitsAgree.
type limits struct {
	active int
	recent [perSecond]time.Duration // when the last ones were admitted: a ring
	next   int
	full   bool
}

func (l *limits) enter(now time.Duration) bool {
	if l.active >= atOnce || l.full && now-l.recent[l.next] < time.Second {
		return false
	}
	l.active++
	l.recent[l.next] = now
	l.next = (l.next + 1) % perSecond
	l.full = l.full || l.next == 0
	return true
}

func (l *limits) leave() { l.active-- }

// run plays a storm to its end.
func (s storm) run() stormOutcome {
	random := newRandom(s.seed)
	budget := s.budget
	if budget == 0 {
		budget = ourRules.Budget
	}
	processes := make([]tenant, s.n+len(s.late))
	o := stormOutcome{n: s.n, late: make([]time.Duration, len(s.late))}
	var todo agenda
	for i := range processes {
		p := &processes[i]
		p.policy, p.random, p.index = &s.policy, random, i-s.n
		if p.index >= 0 {
			p.began = s.late[p.index]
			o.late[p.index] = -1
		} else {
			p.began = upTo(random, s.start)
		}
		p.latest = budget - retry.LastTry + upTo(random, retry.LastTry/2)
		p.tried = upTo(random, s.policy.delay)
		todo.plan(p.began+p.tried+s.connect, int32(i), arrives)
	}
	var imds limits
	for {
		e, ok := todo.next()
		if !ok {
			break
		}
		p := &processes[e.process]
		if e.what == answered {
			imds.leave()
			if p.index < 0 {
				o.tokens = append(o.tokens, e.at+s.connect)
			} else {
				o.late[p.index] = e.at + s.connect - p.began
			}
			continue
		}
		o.requests = append(o.requests, e.at)
		if p.index < 0 {
			o.own++
		}
		if imds.enter(e.at) {
			todo.plan(e.at+s.service[0]+upTo(random, s.service[1]-s.service[0]), e.process, answered)
			continue
		}
		p.refusals++
		p.elapsed, p.least = e.at+s.connect-p.began, s.retryAfter
		wait, again := p.again()
		if !again {
			if p.index < 0 {
				o.failed++
			}
			continue
		}
		p.previous = wait
		p.tried = p.elapsed + wait
		todo.plan(p.began+p.tried+s.connect, e.process, arrives)
	}
	return o
}

// again is the wait before the next try, within the budget as the library's schedule keeps it.
func (p *tenant) again() (wait time.Duration, again bool) {
	wait = p.policy.wait(&p.history)
	if p.policy.tries > 0 { // counts tries, not time
		return max(wait, p.least), p.refusals < p.policy.tries
	}
	wait += p.least
	switch left := p.latest - p.elapsed; {
	case p.tried >= p.latest, wait > left && p.least > left:
		return 0, false
	case wait > left:
		wait = max(left, 0)
	}
	return wait, true
}

// newRandom is a source of its own for each run: the same seed brings the same run.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x73746f726d)) }

// upTo is a uniformly distributed time from 0 to limit.
func upTo(random *rand.Rand, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(random.Int64N(int64(limit)))
}
