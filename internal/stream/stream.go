// Package stream hands out a token, and each that replaces it, to a loop of a caller's.
//
// [Each] asks for a token, hands it out, and sleeps until it is time to ask again, which [pause]
// says (pause.go). It runs in the caller's goroutine and has none of its own.
//
// The package doesn't know credentials, what their errors mean, or how they hold and renew tokens:
// it asks, and compares what comes with what it handed out last.
package stream

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Source is where tokens come from.
type Source struct {
	// Get returns the token that is held, or a new one.
	Get func(context.Context) (azcore.AccessToken, error)
	// Failed returns the last failure of a request and when that was, nil for none. Get doesn't tell
	// of a failure while a token is held, and this does. A nil func means that nobody knows.
	Failed func() (time.Time, error)
	// Cheap says that Get costs nothing while a token is held, so that it can be asked often whether
	// somebody else has had it renewed.
	Cheap bool
}

// Each yields the source's token at once, then each other one that replaces it, and each failure.
// It returns when ctx ends or yield is false.
func Each(ctx context.Context, s Source, yield func(azcore.AccessToken, error) bool) {
	var last azcore.AccessToken // that was yielded
	failures, looks := 0, 0     // in a row: without a token; with the same one when it is due
	seen := time.Now()          // failures until then are known, or older than this loop
	for ctx.Err() == nil {
		got, err := s.Get(ctx)
		now := time.Now()
		switch {
		case err == nil && !now.Before(got.ExpiresOn):
			err = errEnded
		case ctx.Err() != nil && err != nil:
			return
		}
		if err != nil {
			seen = now
			failures++
			if !yield(azcore.AccessToken{}, err) || !sleep(ctx, afterFailure(failures)) {
				return
			}
			continue
		}
		failures = 0
		if got.Token != last.Token {
			looks, seen = 0, now
			if !yield(got, nil) {
				return
			}
		} else if s.Failed != nil && looks > 0 {
			if at, err := s.Failed(); err != nil && at.After(seen) {
				seen = at
				if !yield(azcore.AccessToken{}, err) {
					return
				}
			}
		}
		last = got
		wait, due := pause(got, time.Now(), looks)
		if due {
			looks++
		} else {
			looks = 0
		}
		if s.Cheap {
			wait = min(wait, lookEvery)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits for d, of which a time in which the machine was suspended is a part. It is false if
// ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	start := time.Now()
	end := start.Round(0).Add(d) // by the wall clock, which goes on during a suspend
	for {
		now := time.Now()
		left := min(d-now.Sub(start), end.Sub(now.Round(0)))
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(min(left, lookEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}
