package identity

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

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
	const azure = "this is Azure: the developer's credentials are not used from now on"
	const inUse = "\nINFO source of tokens in use"
	for _, tt := range []struct {
		name string
		imds time.Duration // from when on it answers
		az   error
		want string // in the log
	}{
		{name: "first answer", want: "INFO " + azure + inUse},
		{name: "after the developer", imds: 3 * time.Second, want: "WARN " + azure + inUse},
		{name: "laptop", imds: 24 * time.Hour, az: errNotLoggedIn},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			held := make(chan struct{}, 1) // no sync.Mutex: see lockingHandler
			var chain *Chain
			var messages []string
			log := slog.New(handlerFunc(func(r slog.Record) {
				held <- struct{}{}
				defer func() { <-held }()
				// a flight's line may come between the chain's
				if chain == nil || r.Message == "token acquired" {
					return
				}
				messages = append(messages, r.Level.String()+" "+r.Message)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if _, err := getToken(ctx, chain); err != nil && tt.az == nil {
					t.Errorf("%s: %v", r.Message, err)
				}
			}))
			imds := &slowAtFirst{ep: identitytest.NewIMDS(nil), until: time.Now().Add(tt.imds)}
			l := &laptop{az: tt.az, azd: command.ErrNotOnPath}
			chain = must(newDefaultCredential(newShared(), &DefaultCredentialOptions{
				ClientOptions: optionsWith(imds), Logger: log}, l.environment()))(t)
			for range 2 {
				held <- struct{}{}
				start := time.Now()
				_, err := getToken(t.Context(), chain)
				if took := time.Since(start); took > 1300*time.Millisecond || (err != nil) != (tt.az != nil) {
					t.Errorf("the caller got %v after %v", err, took)
				}
				_ = chain.Status()
				<-held
				time.Sleep(10 * time.Second)
			}
			held <- struct{}{}
			defer func() { <-held }()
			got := strings.Join(messages, "\n")
			if !strings.Contains(got, tt.want) || tt.want != "" && strings.Count(got, azure) != 1 {
				t.Errorf("the log is\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
