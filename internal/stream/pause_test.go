package stream

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		left, refresh time.Duration // refresh 0: there is none
		looks         int
		want          time.Duration
		due           bool
	}{
		"until the renewal":           {24 * time.Hour, 12 * time.Hour, 0, 12 * time.Hour, false},
		"half, without a RefreshOn":   {24 * time.Hour, 0, 0, 12 * time.Hour, false},
		"the first look":              {12 * time.Hour, -1, 0, time.Second, true},
		"the third":                   {12 * time.Hour, -1, 2, 4 * time.Second, true},
		"the hundredth":               {12 * time.Hour, -1, 99, 30 * time.Second, true},
		"the hundredth, near the end": {4 * time.Minute, -1, 99, 5 * time.Second, true},
		"the last before the end":     {5900 * time.Millisecond, -1, 99, 5900 * time.Millisecond, true},
		"a RefreshOn behind the end":  {time.Minute, time.Hour, 0, time.Minute, false},
		"one at the end":              {time.Minute, time.Minute, 0, time.Minute, false},
		"one just before it":          {time.Minute, 59500 * time.Millisecond, 0, time.Minute, false},
		"less than a second is left":  {time.Millisecond, -1, 0, time.Second, true},
		"nothing is left":             {0, 0, 0, time.Second, true},
	} {
		token := azcore.AccessToken{ExpiresOn: now.Add(tt.left)}
		if tt.refresh != 0 {
			token.RefreshOn = now.Add(tt.refresh)
		}
		if got, due := pause(token, now, tt.looks); got != tt.want || due != tt.due {
			t.Errorf("%s: got %v, %v, want %v, %v", name, got, due, tt.want, tt.due)
		}
	}
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second,
		4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		if got := afterFailure(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}
