package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// inBubble runs test with a service whose key is kept, in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.service.key.keep(ctx, w.service.log)
		synctest.Wait()
		test(t, w)
		if err := w.host.Settle(t.Context()); err != nil { // no renewal outlives the test
			t.Error(err)
		}
	})
}

// TestDaysWithOutages: the identity endpoint is down for half a day, then Key Vault, and no user
// notices, although the pool makes a new connection each hour, and the key changes.
func TestDaysWithOutages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var logins atomic.Int64
		w.database.Login = func(user string, refused error) {
			if logins.Add(1); refused != nil || user != "orders" {
				t.Errorf("%s logs in: %v", user, refused)
			}
		}
		begin := time.Now()
		w.mustServe(t)
		for time.Since(begin) < 72*time.Hour {
			switch time.Since(begin) {
			case 11 * time.Hour:
				w.host.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
			case 20 * time.Hour:
				w.vault.Version.Add(1)
			}
			w.vault.Down.Store(time.Since(begin)/time.Hour/12 == 4) // half of the third day
			time.Sleep(10 * time.Minute)
			w.mustServe(t)
			if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusNoContent {
				t.Errorf("after %v: not ready: %s", time.Since(begin), ready.Body)
			}
		}
		if n := logins.Load(); n < 50 {
			t.Errorf("%d logins in 72 h, want about one each hour", n)
		}
		if key, _ := w.service.key.value(); string(key) != w.vault.Secret() {
			t.Errorf("the key is %q, want the one that it was changed to", key)
		}
	})
}

// TestStartInOutage: a service that starts while the endpoint is down is ready when that is over.
func TestStartInOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.host.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.service.key.keep(ctx, w.service.log)
		for range 5 {
			time.Sleep(10 * time.Minute)
			if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusServiceUnavailable {
				t.Errorf("%d in an outage without a token, want 503", ready.Code)
			}
			if live := get(t, w.admin, "/livez"); live.Code != http.StatusNoContent {
				t.Errorf("not alive: %d; a restart mends nothing", live.Code)
			}
		}
		time.Sleep(15 * time.Minute)
		if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusNoContent {
			t.Errorf("%d %s after the outage, want 204", ready.Code, ready.Body)
		}
		w.mustServe(t)
		if err := w.host.Settle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
