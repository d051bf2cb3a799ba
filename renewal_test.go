package identity

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
)

// failedRenewal is a credential whose token has hours to live and whose renewal has just failed, with that answer. The host
// is well again.
func failedRenewal(t *testing.T, answer identitytest.Response) (*Credential, *identitytest.Endpoint, azcore.AccessToken) {
	t.Helper()
	ep := identitytest.NewIMDS(nil)
	cred := onIMDS(t, ep)
	first, _ := mustToken(t, cred)
	time.Sleep(time.Until(first.RefreshOn))
	ep.Enqueue(answer)
	mustToken(t, cred)
	synctest.Wait()
	if got := vaultStatus(t, cred); got.Failures != 1 || got.Requests != 2 || got.NextTry.IsZero() {
		t.Fatalf("not a failed renewal: %+v", got)
	}
	return cred, ep, first
}

// TestRenewalIsASingleTry: while the held token outlives a flight, the host is asked once between two cool-downs, whatever
// CredentialOptions.Retry says; when the token could end within a flight, it is asked as by who has none.
func TestRenewalIsASingleTry(t *testing.T) {
	for _, tt := range outages {
		if tt.down.Delay > 0 {
			continue // one that hangs is asked seldom anyway
		}
		for name, adjust := range map[string]func(*CredentialOptions){
			"defaults": func(*CredentialOptions) {},
			"MaxRetries": func(o *CredentialOptions) {
				o.Retry.MaxRetries = 5
				o.Retry.StatusCodes = []int{400, 404, 410, 429, 502, 503}
			},
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ep := identitytest.NewIMDS(nil)
					seen := &arrivals{next: ep}
					cred := onIMDS(t, seen, adjust)
					first, _ := mustToken(t, cred)
					time.Sleep(time.Until(first.RefreshOn))
					down := tt.down
					down.For = 24 * time.Hour
					ep.Enqueue(down)
					outlived := first.ExpiresOn.Add(-expiringWindow - cred.sender.budget(t.Context()) - overtime)
					for time.Now().Before(first.ExpiresOn.Add(-expiringWait - time.Second)) {
						mustToken(t, cred)
						time.Sleep(time.Second)
					}
					var between, last time.Duration
					single, late := 0, 0
					times := seen.times()[1:]
					for i, at := range times {
						if !at.Before(outlived) {
							late++
							continue
						}
						single++
						if i > 0 {
							last = at.Sub(times[i-1])
						}
						least := renewalCoolDown / 2
						if i > 3 {
							least = maxRenewalCoolDown / 2
						}
						if i > 0 && last < least {
							t.Fatalf("request %d came %v after the one before, want at least %v", i+1, last, least)
						}
						between = max(between, last)
					}
					if between > maxRenewalCoolDown+time.Second {
						t.Errorf("the host was left alone for %v, want at most %v", between, maxRenewalCoolDown)
					}
					if hours := outlived.Sub(first.RefreshOn).Hours(); float64(single) < 120*hours || float64(single) > 240*hours {
						t.Errorf("%d requests in %.1f hours, want one in 15 to 30 s", single, hours)
					}
					want := 40 // in the last six minutes
					if tt.name == "400" && name == "defaults" {
						want = 20 // one per cool-down, there too: it is no status to try again after
					}
					if late < want {
						t.Errorf("%d requests at the end of the token, want at least %d", late, want)
					}
				})
			})
		}
	}
}

// TestRecoveryOfAHostThatHung: a renewal that waits in vain for an answer makes the next one no later.
func TestRecoveryOfAHostThatHung(t *testing.T) {
	for range 20 {
		t.Run("", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				seen := &arrivals{next: ep}
				cred := onIMDS(t, seen)
				first, _ := mustToken(t, cred)
				time.Sleep(time.Until(first.RefreshOn))
				ep.Enqueue(identitytest.Response{Delay: time.Hour, For: time.Hour})
				for len(seen.times()) < 8 { // until cool-downs are at their longest
					mustToken(t, cred)
					time.Sleep(time.Second)
				}
				for range 70 {
					mustToken(t, cred)
					time.Sleep(time.Second)
				}
				times := seen.times()
				for i, at := range times[2:] {
					if gap := at.Sub(times[i+1]); gap < 40*time.Second || gap > 44*time.Second {
						t.Errorf("request %d came %v after the one before, want 40 s for the try and a short wait", i+3, gap)
						break
					}
				}
			})
		})
	}
}

// TestClockSetBackInACoolDown: a renewal that has failed is tried again in time although the wall clock says that its cool-down
// lasts for another hour. A token that is fresh again by the clock is renewed when it is due by that.
func TestClockSetBackInACoolDown(t *testing.T) {
	soon := func(t *testing.T, cred *Credential, first azcore.AccessToken, within time.Duration) {
		t.Helper()
		for began := time.Now(); time.Since(began) < within; time.Sleep(time.Second) {
			if tk, took := mustToken(t, cred); took != 0 {
				t.Errorf("waited %v", took)
			} else if tk.Token != first.Token {
				return
			}
		}
		t.Errorf("not renewed within %v", within)
	}
	t.Run("failed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cred, _, first := failedRenewal(t, identitytest.Response{Status: 503})
			shiftClock(cred, -time.Hour)
			soon(t, cred, first, renewalCoolDown+2*time.Second)
		})
	})
	t.Run("under way", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep)
			first, _ := mustToken(t, cred)
			time.Sleep(time.Until(first.RefreshOn))
			ep.Enqueue(identitytest.Response{Delay: 10 * time.Second, Status: 503})
			mustToken(t, cred)
			time.Sleep(time.Second)
			shiftClock(cred, -time.Hour)
			soon(t, cred, first, time.Hour+2*time.Second)
		})
	})
	t.Run("after it was ahead while the renewal failed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep)
			first, _ := mustToken(t, cred)
			time.Sleep(time.Until(first.RefreshOn))
			ep.Enqueue(identitytest.Response{Delay: 10 * time.Second, Status: 503})
			mustToken(t, cred)
			time.Sleep(time.Second)
			shiftClock(cred, 14*time.Hour) // past the token's end
			time.Sleep(10 * time.Second)
			shiftClock(cred, -14*time.Hour)
			soon(t, cred, first, renewalCoolDown+2*time.Second)
		})
	})
}

// TestFailedRenewalIsNoReasonToRefuse: who can't do with the held token gets a full acquisition after a renewal's single
// try has failed, and not that failure for the time of its cool-down.
func TestFailedRenewalIsNoReasonToRefuse(t *testing.T) {
	unavailable := identitytest.Response{Status: 503}
	t.Run("after the clock has jumped past the token's end", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cred, ep, _ := failedRenewal(t, unavailable)
			shiftClock(cred, 14*time.Hour)
			ep.Enqueue(unavailable)
			mustToken(t, cred)
			if n := len(ep.Requests()); n != 4 {
				t.Errorf("%d requests, want a second try after the 503", n)
			}
		})
	})
	t.Run("and before it has failed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep)
			first, _ := mustToken(t, cred)
			time.Sleep(time.Until(first.RefreshOn))
			ep.Enqueue(identitytest.Response{Err: syscall.ECONNRESET, Delay: 5 * time.Second})
			mustToken(t, cred)
			time.Sleep(time.Second)
			shiftClock(cred, 14*time.Hour)
			if _, took := mustToken(t, cred); took < 4*time.Second || took > 6*time.Second {
				t.Errorf("waited %v, want to the end of the renewal and a request", took)
			}
		})
	})
	t.Run("Refresh", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cred, ep, first := failedRenewal(t, unavailable)
			ep.Enqueue(unavailable)
			tk, changed, err := cred.Refresh(t.Context(), vaultScope)
			if err != nil || !changed || tk.Token == first.Token {
				t.Errorf("Refresh = %v, %v, want another token", changed, err)
			}
		})
	})
	t.Run("but it is after a Retry-After", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cred, ep, _ := failedRenewal(t, identitytest.Response{Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"20"}}})
			time.Sleep(10 * time.Second)
			if _, _, err := cred.Refresh(t.Context(), vaultScope); !errors.Is(err, ErrThrottled) {
				t.Errorf("Refresh: %v, want ErrThrottled", err)
			}
			shiftClock(cred, 14*time.Hour)
			if ae, took := mustFail(t, cred); ae.StatusCode != 429 || took != 0 {
				t.Errorf("%v after %v, want the 429 at once", ae, took)
			}
			if n := len(ep.Requests()); n != 2 {
				t.Errorf("%d requests, want none while the host wants to be left alone", n-2)
			}
		})
	})
	t.Run("and it is after a full acquisition", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cred, ep, _ := failedRenewal(t, unavailable)
			ep.Enqueue(identitytest.Response{Status: 503, For: 10 * time.Hour})
			shiftClock(cred, 14*time.Hour)
			if _, took := mustFail(t, cred); took < time.Minute {
				t.Errorf("failed after %v, want the whole budget", took)
			}
			before := len(ep.Requests())
			if _, took := mustFail(t, cred); took != 0 || len(ep.Requests()) != before {
				t.Errorf("failed after %v and %d requests, want the cool-down to hold", took, len(ep.Requests())-before)
			}
		})
	})
}
