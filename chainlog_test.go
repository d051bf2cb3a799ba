package identity

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/command"
)

// handlerFunc is a function as a log handler.
type handlerFunc func(slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f handlerFunc) WithGroup(string) slog.Handler      { return f }

// TestChainLogsWhenNobodyWaits: a handler may send its lines to Azure with a token of this very
// chain, and may want a lock that the caller holds.
func TestChainLogsWhenNobodyWaits(t *testing.T) {
	for _, name := range []string{"first answer", "after the developer", "laptop"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var held sync.Mutex
				var chain *Chain
				var messages []string
				log := slog.New(handlerFunc(func(r slog.Record) {
					held.Lock()
					defer held.Unlock()
					if chain == nil {
						return
					}
					// a flight's line, which may come between the chain's
					if r.Message != "token acquired" {
						messages = append(messages, r.Level.String()+" "+r.Message)
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					if _, err := getToken(ctx, chain); err != nil && name != "laptop" {
						t.Errorf("%s: %v", r.Message, err)
					}
				}))
				l := &laptop{azd: command.ErrNotOnPath}
				imds := &slowAtFirst{ep: identitytest.NewIMDS(nil)}
				switch name {
				case "laptop":
					l.az = errNotLoggedIn
					imds.until = time.Now().Add(24 * time.Hour)
				case "after the developer":
					imds.until = time.Now().Add(3 * time.Second)
				}
				made, err := newDefaultCredential(newShared(),
					&DefaultCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: imds},
						Logger: log}, l.environment())
				if err != nil {
					t.Fatal(err)
				}
				chain = made
				ask := func() {
					t.Helper()
					held.Lock()
					defer held.Unlock()
					start := time.Now()
					_, err := getToken(t.Context(), chain)
					if took := time.Since(start); took > time.Second || (err != nil) != (name == "laptop") {
						t.Errorf("the caller got %v after %v", err, took)
					}
					_ = chain.Status()
				}
				ask()
				synctest.Wait()
				time.Sleep(10 * time.Second)
				ask()
				synctest.Wait()
				time.Sleep(10 * time.Second)
				held.Lock()
				defer held.Unlock()
				got := strings.Join(messages, "\n")
				const azure = "this is Azure: the developer's credentials are not used from now on"
				want := map[string]string{
					"first answer": "INFO " + azure + "\nINFO source of tokens in use", "laptop": "",
					"after the developer": "WARN " + azure + "\nINFO source of tokens in use",
				}[name]
				if !strings.Contains(got, want) || want != "" && strings.Count(got, azure) != 1 {
					t.Errorf("the log is\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// TestDefaultLookAtAToolEndsAfterTheProof: nor is its token.
func TestDefaultLookAtAToolEndsAfterTheProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{az: errNotLoggedIn, shared: newShared()}
		imds := &slowAtFirst{ep: identitytest.NewIMDS(nil), until: time.Now().Add(time.Hour)}
		chain, err := newDefaultCredential(l.shared, &DefaultCredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: imds},
			Logger:        slog.New(slog.NewTextHandler(&l.log, nil)),
		}, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		if wantFrom(t, chain, developersToken+"-azd"); chain.Status().InUse != "Azure Developer CLI" {
			t.Errorf("in use is %s", chain.Status().InUse)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		imds.until = time.Now().Add(3 * time.Second)
		l.az, l.took = nil, 5*time.Second
		wantFrom(t, chain, developersToken+"-azd") // begins the look
		time.Sleep(10 * time.Second)
		if strings.Contains(l.log.String(), `source="Azure CLI" before`) || chain.Status().Azure == "" {
			t.Errorf("the log is %s", l.log.String())
		}
		if tk, _ := mustToken(t, chain); strings.HasPrefix(tk.Token, developersToken) {
			t.Errorf("got %q", tk.Token)
		}
	})
}

// TestDefaultToolFailsAfterTheProof: the failure of a developer's tool that comes when it is known
// already that this is Azure is nobody's, also when the tool was in use.
func TestDefaultToolFailsAfterTheProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{took: 5 * time.Second}
		imds := &slowAtFirst{ep: identitytest.NewIMDS(nil), until: time.Now().Add(90 * time.Second)}
		chain := l.credential(t, imds)
		if tk, _ := mustToken(t, chain); tk.Token != developersToken {
			t.Fatalf("got %q", tk.Token)
		}
		time.Sleep(100 * time.Second)
		synctest.Wait()
		l.az = exits(1, "ERROR: broken")
		mustToken(t, chain) // begins the look that IMDS answers
		start := time.Now()
		tk, err := chain.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}})
		if err != nil || strings.HasPrefix(tk.Token, developersToken) ||
			time.Since(start) > 5*time.Second {
			t.Errorf("got %q, error %v, after %v, want the managed identity's", tk.Token, err,
				time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := chain.GetToken(ctx,
			policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}}); err != nil &&
			!errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}
