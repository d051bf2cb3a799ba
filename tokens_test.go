package identity

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// yielded is what a loop over Tokens got, and when.
type yielded struct {
	token azcore.AccessToken
	err   error
	at    time.Time
}

// during collects what Tokens yields in a time.
func during(t *testing.T, d time.Duration, cred azcore.TokenCredential) (all []yielded) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start := time.Now()
	for token, err := range Tokens(ctx, cred, vaultScope) {
		if err != nil && token != (azcore.AccessToken{}) || err == nil && token.Token == "" {
			t.Errorf("yielded %v with %v", token, err)
		}
		all = append(all, yielded{token, err, time.Now()})
	}
	if took := time.Since(start); took != d {
		t.Errorf("the loop ended after %v, want with its context after %v", took, d)
	}
	return all
}

// TestTokens: the first at once, each other one in time and once, without more requests than that
// takes.
func TestTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		options           identitytest.Options
		gap               time.Duration // between a token's end and the next one
		tokens            int           // at least
		requestsPerTokens int           // at most
		hours             int
	}{
		"a host that issues":    {identitytest.Options{Lifetime: time.Hour}, -20 * time.Minute, 18, 1, 10},
		"for a day":             {identitytest.Options{Lifetime: 24 * time.Hour}, -10 * time.Hour, 1, 1, 10},
		"a host that repeats":   {identitytest.Options{Lifetime: time.Hour, HostCache: true}, 0, 10, 12, 10},
		"tokens of a minute":    {identitytest.Options{Lifetime: time.Minute}, -20 * time.Second, 1000, 1, 10},
		"tokens of 10 seconds":  {identitytest.Options{Lifetime: 10 * time.Second}, 0, 360, 2, 1},
		"repeating 10 seconds'": {identitytest.Options{Lifetime: 10 * time.Second, HostCache: true}, 0, 360, 3, 1},
		"tokens of a second":    {identitytest.Options{Lifetime: time.Second}, 0, 3000, 2, 1},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(&tt.options)
			start := time.Now()
			all := during(t, time.Duration(tt.hours)*time.Hour, onIMDS(t, ep))
			if len(all) < tt.tokens || all[0].at != start {
				t.Fatalf("%d yielded, want %d, the first at once", len(all), tt.tokens)
			}
			for i, y := range all {
				if y.err != nil || i > 0 && y.token.Token == all[i-1].token.Token {
					t.Fatalf("%d: yielded %v again, or %v", i, y.token.Token, y.err)
				}
				if i == 0 {
					continue
				}
				if late := y.at.Sub(all[i-1].token.ExpiresOn); late > tt.gap {
					t.Errorf("%d: came %v after the end of the one before", i, late)
				}
			}
			if n := len(ep.Requests()); n > tt.requestsPerTokens*(len(all)+1) {
				t.Errorf("%d requests for %d tokens", n, len(all))
			}
		})
	}
}

// TestTokensInAnOutage: an error for each renewal that fails, and then another token, soon after
// the host is back; also of a credential in a chain.
func TestTokensInAnOutage(t *testing.T) {
	t.Run("itself", func(t *testing.T) {
		testTokensInAnOutage(t, func(c *Credential) azcore.TokenCredential { return c })
	})
	t.Run("in a chain", func(t *testing.T) {
		testTokensInAnOutage(t, func(c *Credential) azcore.TokenCredential {
			return mustChain(t, nil, mustChain(t, nil, c))
		})
	})
}

func testTokensInAnOutage(t *testing.T, of func(*Credential) azcore.TokenCredential) {
	for name, tt := range map[string]struct {
		outage       time.Duration // from 10 minutes on, of tokens that live an hour
		ended        bool          // a token ends in it
		least, most  int           // errors
		soon         time.Duration // after its end there is a token
		unassignedly bool
	}{
		"that a token bridges":    {40 * time.Minute, false, 10, 300, time.Minute, false},
		"that is longer":          {3 * time.Hour, true, 100, 1500, 90 * time.Second, false},
		"a refusal for that long": {3 * time.Hour, true, 100, 1500, 90 * time.Second, true},
		"too short to be noticed": {10 * time.Minute, false, 0, 0, 0, false},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})
			cred := of(onIMDS(t, ep))
			mustToken(t, cred)
			time.Sleep(10 * time.Minute)
			bad := identitytest.Response{Status: 503, For: tt.outage}
			if tt.unassignedly {
				bad.Status = 400
			}
			ep.Enqueue(bad)
			over := time.Now().Add(tt.outage)
			failures, last := 0, yielded{}
			for _, y := range during(t, tt.outage+time.Hour, cred) {
				if y.err == nil {
					if tt.soon > 0 && last.err != nil && y.at.Sub(over) > tt.soon {
						t.Errorf("a token came %v after the end of the outage", y.at.Sub(over))
					}
				} else {
					failures++
					if last.err != nil && y.at.Sub(last.at) < time.Second {
						t.Errorf("two errors within %v", y.at.Sub(last.at))
					}
					if _, ok := errors.AsType[*AuthenticationError](y.err); !ok {
						t.Fatalf("yielded %T: %v", y.err, y.err)
					}
				}
				last = y
			}
			if failures < tt.least || failures > tt.most || last.err != nil {
				t.Errorf("%d errors, want %d to %d; the last is %v", failures, tt.least, tt.most, last.err)
			}
		})
	}
}

// TestTokensOfOthers: whatever a credential does, it is asked once a second at most, and when it is
// time.
func TestTokensOfOthers(t *testing.T) {
	type answer = func(now time.Time, n int) (azcore.AccessToken, error)
	lives := func(life, refresh time.Duration) answer {
		return func(now time.Time, n int) (azcore.AccessToken, error) {
			token := azcore.AccessToken{Token: string(rune('a' + n%26)), ExpiresOn: now.Add(life)}
			if refresh > 0 {
				token.RefreshOn = now.Add(refresh)
			}
			return token, nil
		}
	}
	for name, tt := range map[string]struct {
		answer      answer
		least, most int // calls in an hour
	}{
		"RefreshOn":   {lives(time.Hour, 10*time.Minute), 6, 7},
		"none":        {lives(time.Hour, 0), 2, 3},
		"in the past": {lives(time.Hour, -time.Minute), 2, 130},
		"at the end":  {lives(10*time.Minute, 10*time.Minute), 6, 7},
		"behind it":   {lives(10*time.Minute, time.Hour), 6, 7},
		"has ended":   {lives(-time.Second, 0), 300, 400},
		"has no end":  {func(time.Time, int) (azcore.AccessToken, error) { return azcore.AccessToken{Token: "a"}, nil }, 300, 400},
		"a moment":    {lives(time.Millisecond, 0), 3000, 3601},
		"fails":       {func(time.Time, int) (azcore.AccessToken, error) { return azcore.AccessToken{}, errors.New("x") }, 300, 400},
		"empty":       {func(time.Time, int) (azcore.AccessToken, error) { return azcore.AccessToken{}, nil }, 300, 400},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			n := 0
			during(t, time.Hour, sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (
				azcore.AccessToken, error) {
				n++
				if !o.EnableCAE {
					t.Error("asked without EnableCAE")
				}
				return tt.answer(time.Now(), n)
			}))
			if n < tt.least || n > tt.most {
				t.Errorf("asked %d times in an hour, want %d to %d", n, tt.least, tt.most)
			}
		})
	}
}

// TestTokensEnds with its loop or with its context, at once and without a word. The bubble finds a
// goroutine that is left.
func TestTokensEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		for token, err := range Tokens(t.Context(), cred, vaultScope) {
			if token.Token == "" || err != nil {
				t.Errorf("got %v, %v", token, err)
			}
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		stop := time.AfterFunc(90*time.Second, cancel)
		defer stop.Stop()
		n := 0
		for range Tokens(ctx, cred, vaultScope) {
			n++
		}
		for range Tokens(ctx, cred, vaultScope) {
			t.Error("yielded after the end of the context")
		}
		if n != 1 || time.Since(start) != 90*time.Second {
			t.Errorf("%d yielded in %v", n, time.Since(start))
		}
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		short, end := context.WithTimeout(t.Context(), 5*time.Second)
		defer end()
		for _, err := range Tokens(short, cred, armScope) {
			t.Errorf("the end of the context is yielded as %v", err)
		}
		for _, err := range Tokens(t.Context(), nil, vaultScope) {
			if err == nil {
				t.Error("no credential is no error")
			}
			break
		}
	})
}

// TestTokensSeesARefresh that somebody else has asked for.
func TestTokensSeesARefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, identitytest.NewIMDS(nil))
		go func() {
			time.Sleep(time.Hour)
			if _, changed, err := cred.Refresh(context.Background(), vaultScope); !changed || err != nil {
				t.Errorf("changed is %v, %v", changed, err)
			}
		}()
		if all := during(t, time.Hour+2*time.Minute, cred); len(all) != 2 {
			t.Errorf("%d yielded, want 2", len(all))
		}
	})
}

// embedsOne is a user's type with a GetToken of its own.
type embedsOne struct {
	*Credential
	asked int
}

func (e *embedsOne) GetToken(
	ctx context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	e.asked++
	return e.Credential.GetToken(ctx, o)
}

// TestTokensOfEmbedding: a user's type is asked when it is time, and not each minute.
func TestTokensOfEmbedding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &embedsOne{Credential: onIMDS(t, identitytest.NewIMDS(nil))}
		if during(t, time.Hour, e); e.asked != 1 {
			t.Errorf("asked %d times in an hour, want once", e.asked)
		}
	})
}
