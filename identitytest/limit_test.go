package identitytest

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateLimitPerSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewIMDS(&Options{RateLimit: true})
		count := func(n int) (admitted int) {
			for range n {
				switch got := do(t, e, imdsRequest(t, "")); got.Status {
				case http.StatusOK:
					admitted++
				case http.StatusTooManyRequests:
					if code := fields(t, got.Body)["error"]; code != "too_many_requests" {
						t.Errorf("got error %q, want too_many_requests", code)
					}
				default:
					t.Errorf("got status %d", got.Status)
				}
			}
			return admitted
		}
		if got := count(12); got != 12 {
			t.Errorf("first 12: got %d admitted", got)
		}
		time.Sleep(600 * time.Millisecond)
		if got := count(12); got != 8 {
			t.Errorf("12 more after 0.6 s: got %d admitted, want 8", got)
		}
		time.Sleep(399 * time.Millisecond)
		if got := count(1); got != 0 {
			t.Error("after 0.999 s: admitted, want refused")
		}
		time.Sleep(time.Millisecond) // the first 12 are a second old; the refused ones don't count
		if got := count(20); got != 12 {
			t.Errorf("20 more after 1 s: got %d admitted, want 12", got)
		}
		if got := len(e.Requests()); got != 45 {
			t.Errorf("got %d requests recorded, want all 45", got)
		}
	})
}

func TestRateLimitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewAppService(&Options{RateLimit: true})
		e.Enqueue(Response{Delay: time.Minute, For: time.Second})
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { accessToken(t, do(t, e, appServiceRequest(t, e, ""))) })
		}
		synctest.Wait()
		time.Sleep(30 * time.Second)
		checkAppService(t, do(t, e, appServiceRequest(t, e, "")), refusal{429, "", "Too Many Requests"})
		group.Wait()
		accessToken(t, do(t, e, appServiceRequest(t, e, "")))
	})
}

// The limiter stands in front of the host: what it refuses takes nothing from the script.
func TestRateLimitKeepsTheScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewIMDS(&Options{RateLimit: true})
		for range 20 {
			do(t, e, imdsRequest(t, ""))
		}
		e.Enqueue(Response{Status: 410})
		if got := do(t, e, imdsRequest(t, "")); got.Status != 429 {
			t.Errorf("got status %d, want 429", got.Status)
		}
		time.Sleep(time.Second)
		if got := do(t, e, imdsRequest(t, "")); got.Status != 410 {
			t.Errorf("got status %d, want the scripted 410", got.Status)
		}
	})
}
