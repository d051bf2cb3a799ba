package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

func TestReady(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for range 100 {
			if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusNoContent {
				t.Fatalf("%d %s, want 204", ready.Code, ready.Body)
			}
		}
		if n := len(w.host.Requests()); n != 2 {
			t.Errorf("100 probes made %d requests to the host, want one for each of 2 tokens", n)
		}
		w.service.key.held.Store(nil)
		if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusServiceUnavailable ||
			ready.Body.String() != "not ready: "+errNoKey.Error()+"\n" {
			t.Errorf("%d %s without the key, want 503", ready.Code, ready.Body)
		}
		w.service.stopping.Store(true)
		if ready := get(t, w.admin, "/readyz"); ready.Code != http.StatusServiceUnavailable {
			t.Errorf("%d while it stops, want 503", ready.Code)
		}
	})
}

// TestNotReady: a probe is answered within its second, and says whether waiting is of use.
func TestNotReady(t *testing.T) {
	for name, test := range map[string]struct {
		status  int // of the host
		mistake bool
	}{
		"outage":       {503, false},
		"not assigned": {400, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.host.Enqueue(identitytest.Response{Status: test.status, For: time.Hour})
				begin := time.Now() // the key has been read: it is the database's token that lacks
				ready := get(t, w.admin, "/readyz")
				if took := time.Since(begin); took > time.Second {
					t.Errorf("answered after %v, want it within a second", took)
				}
				if ready.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d, want 503", ready.Code)
				}
				says := ready.Body.String()
				if strings.Contains(says, "waiting won't mend it") != test.mistake {
					t.Errorf("says %q", says)
				}
			})
		})
	}
}

// TestPages: what those on call see, and that no token and no secret is in it, or in the log.
func TestPages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.mustServe(t)
		page, metrics := get(t, w.admin, "/identity"), get(t, w.admin, "/metrics")
		var statuses []identity.Status
		if err := json.Unmarshal(page.Body.Bytes(), &statuses); err != nil {
			t.Fatal(err)
		}
		if len(statuses) != 1 || len(statuses[0].Resources) != 2 {
			t.Errorf("got %+v, want the tokens for the vault and the database", statuses)
		}
		for _, want := range []string{
			`azure_identity_requests_total{cae="",credential="",host="imds"`,
			`resource="https://vault.azure.net",tenant=""} 1`,
			`http_request_duration_seconds_count{code="200",method="get"} 1`,
		} {
			if !strings.Contains(metrics.Body.String(), want) {
				t.Errorf("no %s in the metrics:\n%s", want, metrics.Body)
			}
		}
		for _, scope := range []string{vaultScope, databaseScope} {
			token, err := identity.TokenFunc(w.service.cred, scope)(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{page.Body.String(), metrics.Body.String(), w.log.String()} {
				if strings.Contains(text, token) || strings.Contains(text, w.vault.Secret()) {
					t.Errorf("a secret is in:\n%s", text)
				}
			}
		}
	})
}
