package identity

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/detect"
)

// slowTokens is an IMDS that refuses bad requests at once, and takes its time for a token.
type slowTokens struct {
	slowAtFirst
	probes, tokens atomic.Int64
	plain          string // what it says to a probe in place of IMDS's words, "" for those
}

func (s *slowTokens) Do(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Metadata") != "" {
		s.tokens.Add(1)
		return s.slowAtFirst.Do(r)
	}
	s.probes.Add(1)
	if s.plain != "" {
		return respond(400, s.plain), nil
	}
	return s.ep.Do(r)
}

// TestDefaultSlowToken: IMDS says at once that it is there, while Entra keeps it waiting. Nobody
// becomes the developer, and where there is none the call doesn't fail.
func TestDefaultSlowToken(t *testing.T) {
	for name, az := range map[string]error{"developer": nil, "nobody": errNotLoggedIn} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &laptop{az: az}
				imds := &slowTokens{slowAtFirst: slowAtFirst{ep: identitytest.NewIMDS(nil),
					delay: 20 * time.Second}}
				chain := l.credential(t, imds)
				if tk, took := mustToken(t, chain); tk.Token == developersToken || took != 20*time.Second ||
					l.runs.Load() > 0 {
					t.Errorf("got %q after %v and %d runs of az, want the managed identity's after 20 s", tk.Token,
						took, l.runs.Load())
				}
				time.Sleep(30 * time.Hour)
				mustToken(t, chain)
				if n := imds.probes.Load(); n != 1 {
					t.Errorf("%d probes, want 1", n)
				}
			})
		})
	}
}

// TestDefaultProbe: what isn't the host's own answer says nothing, and the request is bare.
func TestDefaultProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{}
		imds := &slowTokens{slowAtFirst: slowAtFirst{ep: identitytest.NewIMDS(nil),
			delay: 3 * time.Second}, plain: "Bad Request"}
		var bare atomic.Value
		chain := l.credential(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Metadata") == "" {
				bare.Store(r.Method + " " + r.URL.String())
			}
			return imds.Do(r)
		}))
		if tk, took := mustToken(t, chain); tk.Token != developersToken || took != time.Second {
			t.Errorf("got %q after %v, want the developer's after 1 s", tk.Token, took)
		}
		if bare.Load() != "GET http://169.254.169.254/metadata/identity/oauth2/token" ||
			imds.probes.Load() != 1 {
			t.Errorf("%d probes, the last %v", imds.probes.Load(), bare.Load())
		}
	})
}

// TestDefaultProbeIsModest: there is one at a time beside the requests for tokens, it doesn't end
// the program, and isn't sent where something says which host this is.
func TestDefaultProbeIsModest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		l := &laptop{}
		chain := l.credential(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(10 * time.Millisecond) // whatever its context says
			if r.Header.Get("Metadata") == "" {
				panic("a Transport")
			}
			return notIMDS["gateway's 404"](r)
		}))
		for i := range 20 {
			go func() {
				_, _ = chain.GetToken(context.Background(),
					policy.TokenRequestOptions{Scopes: []string{strings.Repeat("s", i+1)}})
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if most.Load() != imdsAtOnce+1 {
			t.Errorf("%d requests at once, want %d and a probe", most.Load(), imdsAtOnce)
		}

		var probed atomic.Bool
		wantFrom(t, l.credential(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Metadata") == "" {
				probed.Store(true)
				panic("a Transport")
			}
			return notIMDS["gateway's 404"](r)
		})), developersToken)
		if !probed.Load() {
			t.Error("no probe was sent")
		}

		imds := &slowTokens{slowAtFirst: slowAtFirst{ep: identitytest.NewIMDS(nil)}}
		for _, chain := range []*Chain{
			(&laptop{variables: map[string]string{envAuthority: "http://127.0.0.1:1"}}).credential(t, imds),
			(&laptop{variables: map[string]string{envTokenCredentials: "prod"}}).credential(t, imds),
		} {
			mustToken(t, chain)
		}
		if imds.probes.Load() > 0 || imds.tokens.Load() != 2 {
			t.Errorf("%d probes and %d requests for tokens, want 0 and 2", imds.probes.Load(),
				imds.tokens.Load())
		}
	})
}

// TestDefaultStepErrors: an argument that is wrong is wrong in the same words while nobody asks
// IMDS.
func TestDefaultStepErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{az: errNotLoggedIn}
		chain := l.credential(t, notIMDS["silence"])
		wrong := []policy.TokenRequestOptions{{}, {Scopes: []string{""}}, {Scopes: []string{"a", "b"}},
			{Scopes: []string{"a b"}}, {Scopes: []string{strings.Repeat("a", 3000)}}}
		var before []string
		for _, o := range wrong {
			_, err := chain.GetToken(t.Context(), o)
			before = append(before, err.Error())
		}
		if _, err := getToken(t.Context(), chain); err == nil {
			t.Fatal("no error")
		}
		for i, o := range wrong {
			if _, err := chain.GetToken(t.Context(), o); err.Error() != before[i] || l.runs.Load() != 2 {
				t.Errorf("got\n%v\nafter %d runs, want\n%v", err, l.runs.Load(), before[i])
			}
		}
		// And the error that nobody waits for names what this caller wanted.
		_, err := chain.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}})
		if !strings.Contains(err.Error(),
			"managed identity: IMDS: no answer within 1s, and nothing else says "+
				"that this is Azure (token for https://other.example)") {
			t.Errorf("error is %v", err)
		}
	})
}

// TestDefaultPolicyFails: code of the user's that fails, or never answers, is no sign of a laptop,
// however often and whenever it is asked: nobody was there to say anything.
func TestDefaultPolicyFails(t *testing.T) {
	refuses := policyFunc(func(*policy.Request) (*http.Response, error) { return nil, errBroken })
	waits := policyFunc(func(r *policy.Request) (*http.Response, error) {
		<-r.Raw().Context().Done()
		return nil, r.Raw().Context().Err()
	})
	for name, options := range map[string]azcore.ClientOptions{
		"refuses":           {PerCallPolicies: []policy.Policy{refuses}},
		"refuses each try":  {PerRetryPolicies: []policy.Policy{refuses}},
		"waits":             {PerCallPolicies: []policy.Policy{waits}},
		"waits in each try": {PerRetryPolicies: []policy.Policy{waits}},
		"a Transport panics": {Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			panic("at the disco")
		})},
	} {
		for _, pipeline := range []string{"", "true"} {
			t.Run(name+pipeline, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					options := options
					if options.Transport == nil {
						options.Transport = notIMDS["refused"]
					}
					l := &laptop{variables: map[string]string{detect.EnvGitHub: pipeline}}
					chain, err := newDefaultCredential(newShared(),
						&DefaultCredentialOptions{ClientOptions: options}, l.environment())
					if err != nil {
						t.Fatal(err)
					}
					for range 4 { // within the first second, and when that has passed
						for _, scope := range []string{vaultScope, armScope} {
							if tk, err := chain.GetToken(t.Context(),
								policy.TokenRequestOptions{Scopes: []string{scope}}); err == nil || l.runs.Load() > 0 {
								t.Errorf("got %q, error %v, after %d runs of az", tk.Token, err, l.runs.Load())
							}
						}
						time.Sleep(2 * time.Second)
					}
					time.Sleep(3 * time.Minute) // until what goes on has ended
				})
			})
		}
	}
}
