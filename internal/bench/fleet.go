package main

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/tokencache"
)

const (
	fleetLife = 24 * time.Hour // of a token
	fleetDays = 4
	fleetTime = fleetDays * 24 * time.Hour
	fleetUp   = time.Minute // all hosts start within
)

// share is when a token is renewed, as a share of its life: uniformly between these.
type share struct{ low, high float64 }

// renewalRule is what a host does: the renewals of internal/tokencache, and the tries of
// internal/retry.
type renewalRule struct {
	name  string
	usual share
	first share         // the process's first token, and one that came after failures
	cool  time.Duration // longest cool-down after a failed renewal while the token is valid
	tries bool          // a renewal is tried again within its budget, as a cold acquisition always is
}

// plusMinus renews at half of the life, give or take a share of that.
func plusMinus(name string, percent float64) renewalRule {
	half := share{0.5 - percent/200, 0.5 + percent/200}
	return renewalRule{name: name, usual: half, first: half, cool: 30 * time.Second}
}

// fleetPlan is one run: hosts that start within fleetUp, and a regional outage of the token
// service.
type fleetPlan struct {
	hosts  int
	seed   uint64
	rule   renewalRule
	use    time.Duration // a host uses its token once in that time: a renewal starts on use
	outage [2]time.Duration
	cached bool // the host's own cache repeats a token until it has ended, as IMDS does
}

// outlived is how long before its end a token outlives a flight that starts then, and the 5 minutes
// in which callers wait for it. Until then a renewal of the library's is a single try.
var outlived = 5*time.Minute + ourRules.Budget + time.Second

// inFull: one host in so many is played in full during the outage, and its requests count for as
// many; the others begin warmUp before its end, in any phase of their cool-down, because by then
// nothing depends on the beginning.
const (
	inFull = 20
	warmUp = 5 * time.Minute
)

// fleetOutcome is what reached the token service, by the second.
type fleetOutcome struct {
	renewals []int32       // tokens issued
	requests []int32       // all requests
	asked    int           // requests to the host's own cache that brought nothing new
	without  time.Duration // that hosts wanted a token and had none, all together
	due      int           // hosts whose renewal fell into the outage
	// how long after the outage each of inFull of them had its new token, sorted
	renewed []time.Duration
}

// count is safe for concurrent use.
func (o *fleetOutcome) count(bins []int32, at time.Duration, n int32) {
	if i := int(at / time.Second); i < len(bins) {
		atomic.AddInt32(&bins[i], n)
	}
}

// run plays all hosts. They don't influence each other, since the service has no limit here, so
// that there is no agenda: each is played to its end. The shards have seeds of their own, so that
// the outcome doesn't depend on the processors.
func (p fleetPlan) run() *fleetOutcome {
	const shards = 16
	const all = int(fleetTime / time.Second)
	total := &fleetOutcome{renewals: make([]int32, all), requests: make([]int32, all)}
	var mu sync.Mutex
	next := make(chan int)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			o := &fleetOutcome{renewals: total.renewals, requests: total.requests}
			for shard := range next {
				random := rand.New(rand.NewPCG(p.seed, uint64(shard)))
				for host := shard; host < p.hosts; host += shards {
					p.play(o, random, host/shards%inFull == 0)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.asked += o.asked
			total.without += o.without
			total.due += o.due
			total.renewed = append(total.renewed, o.renewed...)
		})
	}
	for shard := range shards {
		next <- shard
	}
	close(next)
	group.Wait()
	slices.Sort(total.renewed)
	return total
}

func (s share) draw(random *rand.Rand, life time.Duration) time.Duration {
	return time.Duration((s.low + (s.high-s.low)*random.Float64()) * float64(life))
}

// play is one host's four days.
func (p fleetPlan) play(o *fleetOutcome, random *rand.Rand, full bool) {
	at := upTo(random, fleetUp)
	first := true
	var ends time.Duration // of the token that is held
	for at < fleetTime {
		if p.down(at) {
			at = p.endure(o, random, at, ends, full)
			first = true
			if at >= fleetTime {
				return
			}
		} else {
			o.count(o.requests, at, 1)
		}
		o.count(o.renewals, at, 1)
		ends = at + fleetLife
		s := p.rule.usual
		if first {
			s = p.rule.first
		}
		first = false
		due := at + s.draw(random, fleetLife)
		// the host repeats itself: asked again at half of what remains, but not before 30 s
		for p.cached && due < ends {
			o.asked++
			due += min(max(p.rule.usual.draw(random, ends-due), 30*time.Second), ends-due)
		}
		at = due + upTo(random, p.use)
	}
}

func (p fleetPlan) down(at time.Duration) bool { return at >= p.outage[0] && at < p.outage[1] }

// endure is a renewal that falls into the outage: flights that fail, with cool-downs between them,
// until one succeeds.
func (p fleetPlan) endure(
	o *fleetOutcome, random *rand.Rand, at, ends time.Duration, full bool,
) (done time.Duration) {
	o.due++
	since, failures := at, 0
	if late := p.outage[1] - warmUp - p.rule.cool; !full && at < late {
		at = late + upTo(random, p.rule.cool)
		if p.rule.tries {
			at += upTo(random, ourRules.Budget)
		}
		failures = 10
	}
	for {
		// A flight: the waits of ourPolicy after a 5xx, until the last try.
		began, latest := at, ourRules.Budget-retry.LastTry+upTo(random, retry.LastTry/2)
		for tries := 1; ; tries++ {
			if !p.down(at) {
				o.count(o.requests, at, 1)
				o.without += max(at-max(ends, since), 0)
				if full {
					o.renewed = append(o.renewed, at-p.outage[1])
				}
				return at
			}
			if full {
				o.count(o.requests, at, inFull)
			}
			elapsed := at - began
			if elapsed >= latest || !p.rule.tries && ends-began > outlived {
				break
			}
			low, high := ourRules.Range(tries, elapsed)
			low = max(low, time.Second)
			at = began + min(elapsed+low+upTo(random, high-low), max(latest, elapsed+1))
		}
		wait := p.rule.coolDown(failures, ends-at) // jittered down to its half
		failures++
		at += wait/2 + upTo(random, wait/2) + upTo(random, p.use)
	}
}

// coolDown is the longest wait after a renewal has failed, of a token that is good for so long.
func (r renewalRule) coolDown(failures int, left time.Duration) time.Duration {
	return tokencache.LongestCoolDown(failures, left > 0, left <= 5*time.Minute, r.cool)
}

// busiest is the most in any of the windows that a part of the time is cut into, per second.
func busiest(bins []int32, from, to, window time.Duration) float64 {
	most := int32(0)
	w := int(window / time.Second)
	for i := int(from / time.Second); i+w <= min(int(to/time.Second), len(bins)); i += w {
		sum := int32(0)
		for _, n := range bins[i : i+w] {
			sum += n
		}
		most = max(most, sum)
	}
	return float64(most) / float64(w)
}

// rate is the mean per second.
func rate(bins []int32, from, to time.Duration) float64 {
	sum := 0
	for _, n := range bins[int(from/time.Second):min(int(to/time.Second), len(bins))] {
		sum += int(n)
	}
	return float64(sum) / (to - from).Seconds()
}
