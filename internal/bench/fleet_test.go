package main

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"

	"github.com/keyless-go/identity/internal/bench/draw"
)

func smallFleet(rule renewalRule) fleetPlan {
	return fleetPlan{hosts: 4000, seed: 1, rule: rule, use: time.Second}
}

func TestFleetIsDeterministic(t *testing.T) {
	t.Parallel()
	p := smallFleet(ourRule())
	p.outage = inWave
	a, b := p.run(), p.run()
	if !reflect.DeepEqual(a, b) {
		t.Error("two runs of one seed differ")
	}
	p.seed = 2
	if reflect.DeepEqual(a.renewals, p.run().renewals) {
		t.Error("another seed brings the same run")
	}
}

func TestFleetAccounts(t *testing.T) {
	t.Parallel()
	sum := func(bins []int32) (n int) {
		for _, b := range bins {
			n += int(b)
		}
		return n
	}
	t.Run("no jitter", func(t *testing.T) {
		t.Parallel()
		p := smallFleet(plusMinus("", 0))
		o := p.run()
		// At 0, 12, 24 h and so on, the last one at 84 h: each renewal comes at most a second after it is
		// due.
		if got := sum(o.renewals); got != 8*p.hosts || sum(o.requests) != got || o.due != 0 ||
			o.without != 0 {
			t.Errorf("%d renewals, %d requests, %d due in no outage, %v without a token; want %d and the same", got, sum(o.requests), o.due, o.without, 8*p.hosts)
		}
		if got := rate(o.renewals, 0,
			fleetTime) * fleetTime.Seconds(); math.Abs(got-float64(8*p.hosts)) > 0.5 {
			t.Errorf("the mean comes to %g renewals", got)
		}
		for wave := range 8 {
			from := time.Duration(wave) * 12 * time.Hour
			if got := rate(o.renewals, from,
				from+fleetUp+10*time.Second) * 70; math.Abs(got-float64(p.hosts)) > 0.5 {
				t.Errorf("wave %d: %g renewals within a minute, want all %d", wave, got, p.hosts)
			}
		}
	})
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		o := smallFleet(ourRule()).run()
		day := 24 * time.Hour
		if got := rate(o.renewals, fleetUp, 45*day/100); got != 0 {
			t.Error("renewed before 45 % of the life")
		}
		if got := rate(o.renewals, 45*day/100,
			55*day/100+fleetUp+2*time.Second) * (10*day/100 + fleetUp +
			2*time.Second).Seconds(); math.Abs(got-4000) > 0.5 {
			t.Errorf("%g renewals between 45 and 55 %%, want all", got)
		}
	})
	t.Run("behind a cache", func(t *testing.T) {
		t.Parallel()
		p := smallFleet(ourRule())
		p.cached = true
		o := p.run()
		if got := sum(o.renewals); got != 4*p.hosts {
			t.Errorf("%d tokens, want one per host and day, %d", got, 4*p.hosts)
		}
		// 12, 6, 3 h ... down to 30 s before the end
		if perDay := float64(o.asked) / float64(4*p.hosts); perDay < 10 || perDay > 15 {
			t.Errorf("asked in vain %g times a day", perDay)
		}
		p.outage = inWave
		if got := p.run().without.Hours() / float64(p.hosts); got < 0.95 || got > 1.05 {
			t.Errorf("a host had no token for %g h, want the hour that is left of the outage", got)
		}
	})
	t.Run("an outage", func(t *testing.T) {
		t.Parallel()
		for _, rule := range coolDowns() {
			p := smallFleet(rule)
			p.outage = inWave
			o := p.run()
			if got := rate(o.renewals, inWave[0], inWave[1]); got != 0 {
				t.Errorf("%s: %g renewals a second in the outage", rule.name, got)
			}
			if o.due < p.hosts/2 || o.without != 0 || len(o.renewed) == 0 {
				t.Errorf("%s: %d due in the outage, %v without a token, %d waits known", rule.name, o.due,
					o.without, len(o.renewed))
			}
			if last := o.renewed[len(o.renewed)-1]; last < 0 || last > rule.cool+2*time.Second {
				t.Errorf("%s: the last was renewed %v after the outage, want within its cool-down of %v",
					rule.name, last, rule.cool)
			}
			all := 0
			for _, n := range o.renewals[25*3600 : 25*3600+600] {
				all += int(n)
			}
			if all < o.due {
				t.Errorf("%s: %d renewed in ten minutes after the outage, want all %d", rule.name, all, o.due)
			}
		}
	})
}

// TestFleetSampling: hosts that enter before the end of the outage get their token when those do
// that are played in full.
func TestFleetSampling(t *testing.T) {
	t.Parallel()
	p := smallFleet(ourRule())
	p.outage = inWave
	o := p.run()
	within := func(d time.Duration) float64 {
		n := 0
		for _, after := range o.renewed {
			if after < d {
				n++
			}
		}
		return float64(n) / float64(len(o.renewed))
	}
	for _, d := range []time.Duration{3 * time.Second, 10 * time.Second, 20 * time.Second} {
		all := 0
		for _, n := range o.renewals[inWave[1]/time.Second : (inWave[1]+d)/time.Second] {
			all += int(n)
		}
		if got, want := float64(all)/float64(o.due), within(d); math.Abs(got-want) > 0.1 {
			t.Errorf("%v after the outage %.2f of the hosts have a token, of those played in full %.2f", d,
				got, want)
		}
	}
}

// TestOurRuleIsTheLibrarys: the library renews at the share of a token's life that the fleet does,
// and leaves a host alone for as long after a failure.
func TestOurRuleIsTheLibrarys(t *testing.T) {
	t.Parallel()
	rule := ourRule()
	t.Run("renewal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const tokens = 500
			low, high, sum := 1.0, 0.0, 0.0
			for range tokens {
				tk, err := onceEach(t, &fake{}).GetToken(t.Context(), vault)
				if err != nil {
					t.Fatal(err)
				}
				share := time.Until(tk.RefreshOn).Seconds() / time.Until(tk.ExpiresOn).Seconds()
				low, high, sum = min(low, share), max(high, share), sum+share
			}
			width := rule.usual.high - rule.usual.low
			// six standard deviations
			middle, limit := (rule.usual.high+rule.usual.low)/2, 6*width/math.Sqrt(12*tokens)
			if low < rule.usual.low || high > rule.usual.high || high-low < 0.9*width ||
				math.Abs(sum/tokens-middle) > limit {
				t.Errorf("renewed at %.4f to %.4f of the life, %.4f on average; want %.3f to %.3f", low, high,
					sum/tokens, rule.usual.low, rule.usual.high)
			}
		})
	})
	for name, left := range map[string]time.Duration{"in the middle": 12 * time.Hour, "near the end": 4*time.Minute + 50*time.Second, "after the end": -time.Second} {
		t.Run("cool-downs "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const runs, each, poll = 40, 6, 50 * time.Millisecond
				var longest [each]time.Duration
				for range runs {
					f := &fake{}
					cred := onceEach(t, f)
					tk, err := cred.GetToken(t.Context(), vault)
					if err != nil {
						t.Fatal(err)
					}
					f.down.Store(true)
					time.Sleep(time.Until(tk.ExpiresOn.Add(-left)))
					if left > time.Hour {
						time.Sleep(2 * time.Hour) // by then it is to be renewed
					}
					for failures := -1; failures < each; { // the first failure has no wait before it
						before := f.requests.Load()
						began := time.Now()
						for f.requests.Load() == before {
							_, _ = cred.GetToken(t.Context(), vault)
							synctest.Wait()
							if f.requests.Load() == before {
								time.Sleep(poll)
							}
						}
						if failures >= 0 {
							waited, limit := time.Since(began), rule.coolDown(failures, left)
							if waited < limit/2-poll || waited > limit+poll {
								t.Fatalf("after %d failures it was left alone for %v, want %v to %v", failures+1, waited,
									limit/2, limit)
							}
							longest[failures] = max(longest[failures], waited)
						}
						failures++
					}
				}
				for failures, got := range longest {
					// of 40 none in the upper 4 tenths: 1 in 700 million
					if limit := rule.coolDown(failures, left); got < limit*8/10 {
						t.Errorf("after %d failures it was never left alone for longer than %v, want up to %v",
							failures+1, got, limit)
					}
				}
			})
		})
	}
}

var vault = policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}

// onceEach is a credential on IMDS that asks the fake once for each renewal.
func onceEach(t *testing.T, f *fake) *identity.Credential {
	t.Helper()
	options := &identity.CredentialOptions{Host: identity.HostIMDS}
	options.Transport, options.Retry.MaxRetries = f, -1
	cred, err := identity.NewCredential(options)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func TestBusiest(t *testing.T) {
	t.Parallel()
	bins := make([]int32, 180)
	bins[59], bins[60], bins[61] = 30, 30, 60
	for _, tt := range []struct {
		from, to, window time.Duration
		want             float64
	}{
		{0, 3 * time.Minute, time.Minute, 1.5}, {0, 3 * time.Minute, time.Second, 60},
		{0, time.Minute, time.Second, 30}, {2 * time.Minute, 3 * time.Minute, time.Minute, 0},
		{0, time.Hour, time.Minute, 1.5},
	} {
		if got := busiest(bins, tt.from, tt.to, tt.window); got != tt.want {
			t.Errorf("%v to %v by %v: got %g, want %g", tt.from, tt.to, tt.window, got, tt.want)
		}
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	s, err := fleetSection(t.Context(), 4000, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.verdicts {
		// of few hosts: chance
		if !v.holds(false) && !strings.Contains(v.what, "busiest") &&
			!strings.Contains(v.what, "day 4") {
			t.Errorf("%s: %g, want at most %g", v.what, v.got, v.bound)
		}
	}
	if len(s.verdicts) != 4 || len(s.pictures) != 1 || len(linesOf(s)) != 4 ||
		len(s.tables) != 3 {
		t.Errorf("%d verdicts, %d tables, pictures %+v", len(s.verdicts), len(s.tables), s.pictures)
	}
	for _, line := range linesOf(s) {
		for i, y := range line.Y {
			if y <= 0 || math.IsNaN(y) {
				t.Fatalf("%s: point %d is %g on a logarithmic axis", line.Name, i, y)
			}
		}
	}
	checkTables(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fleet(ctx, true, func(string) {}); err == nil {
		t.Error("no error after its context has ended")
	}
}

// linesOf are all lines of a section's pictures.
func linesOf(s section) (all []draw.Line) {
	for _, p := range s.pictures {
		for _, panel := range p.Panels {
			all = append(all, panel.Lines...)
		}
	}
	return all
}

// checkTables: each row has as many cells as the head.
func checkTables(t *testing.T, s section) {
	t.Helper()
	for _, table := range s.tables {
		for _, row := range table.rows {
			if len(row) != len(table.head) {
				t.Errorf("%s: row of %d in a table of %d: %v", table.caption, len(row), len(table.head), row)
			}
		}
	}
}
