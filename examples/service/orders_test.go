package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.readKey(t)
	answer := get(t, w.public, "/orders/1")
	const want = `{"id":1,"item":"tea","quantity":3}`
	if answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Fatalf("got %d %s, want %s", answer.Code, answer.Body, want)
	}
	mac := hmac.New(sha256.New, []byte(w.vault.Secret()))
	mac.Write(answer.Body.Bytes())
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if got := answer.Header().Get("X-Signature"); got != signature {
		t.Errorf("signature %q, want %q", got, signature)
	}
	for range 10 {
		w.mustServe(t)
	}
	if n := w.vault.Reads.Load(); n != 1 {
		t.Errorf("the key was read %d times, want no request to read it", n)
	}
}

// TestFailures: what a user hears, and that no error's text is in it.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path   string
		noKey  bool
		host   int           // the status of the host's answers, after the first token
		silent bool          // the host asks to be left alone
		query  time.Duration // how long the database takes
		status int
		took   time.Duration
	}{
		"no such order":       {path: "/orders/2", status: 404},
		"no number":           {path: "/orders/tea", status: 404},
		"no key yet":          {path: "/orders/1", noKey: true, status: 503},
		"an outage":           {path: "/orders/1", host: 503, status: 503, took: 5 * time.Second},
		"throttled":           {path: "/orders/1", host: 429, silent: true, status: 503},
		"identity taken away": {path: "/orders/1", host: 400, status: 500},
		"a slow database":     {path: "/orders/1", query: time.Minute, status: 503, took: requestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				if test.noKey {
					w.service.key.held.Store(nil)
				}
				if test.host != 0 {
					answer := identitytest.Response{Status: test.host, For: time.Hour}
					if test.silent {
						answer.Header = http.Header{"Server": {"IMDS/150"}, "Retry-After": {"3600"}}
					}
					w.host.Enqueue(answer)
				}
				w.database.Query = func(string) { time.Sleep(test.query) }
				begin := time.Now()
				w.mustFail(t, test.path, test.status)
				if took := time.Since(begin).Round(time.Second); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				time.Sleep(test.query) // until the database has noticed
			})
		})
	}
}

// mustFail has a request fail as users, the log and the client's retries are to see it.
func (w *world) mustFail(t *testing.T, path string, status int) {
	t.Helper()
	answer := get(t, w.public, path)
	if answer.Code != status {
		t.Errorf("status %d, want %d; the log:\n%s", answer.Code, status, w.log)
	}
	if body := strings.TrimSpace(answer.Body.String()); body != http.StatusText(status) {
		t.Errorf("the user hears %q, want the status alone", body)
	}
	if logged := strings.Contains(w.log.String(), "request failed"); logged != (status >= 500) {
		t.Errorf("the failure is in the log: %v\n%s", logged, w.log)
	}
	if again := answer.Header().Get("Retry-After") != ""; again != (status == 503) {
		t.Errorf("the user may try again: %v", again)
	}
}
