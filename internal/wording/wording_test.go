package wording

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/tokencache"
)

func TestForCaller(t *testing.T) {
	t.Parallel()
	sibling := errors.New("a sibling\nfailed")
	because := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return ctx
	}
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  tokencache.Error
		what string
		is   []error
	}{
		"left": {because(nil), tokencache.Error{Why: tokencache.Left, Waited: time.Second},
			"gave up waiting after 1s: context canceled", []error{context.Canceled}},
		"left for a sibling": {because(sibling), tokencache.Error{Why: tokencache.Left},
			"gave up waiting after 0s: context canceled, because a sibling failed",
			[]error{context.Canceled, sibling}},
		"left for an SDK's error": {because(&azcore.ResponseError{StatusCode: 404}),
			tokencache.Error{Why: tokencache.Left},
			"gave up waiting after 0s: context canceled", []error{context.Canceled}},
		"overdue": {context.Background(), tokencache.Error{Why: tokencache.Overdue, Waited: time.Minute},
			"no token after 1m0s, the request goes on", nil},
		"crowded": {context.Background(), tokencache.Error{Why: tokencache.Crowded, UnderWay: 7},
			"7 other resources are waiting for a token of the host already", nil},
	} {
		what, cause := ForCaller(tt.ctx, &tt.err)
		if what != tt.what || (cause == nil) != (tt.is == nil) {
			t.Errorf("%s: got %q, cause %v, want %q, %v", name, what, cause, tt.what, tt.is)
		}
		var response *azcore.ResponseError
		if errors.As(cause, &response) {
			t.Errorf("%s: an SDK's error comes out as the credential's", name)
		}
		for _, want := range tt.is {
			if !errors.Is(cause, want) {
				t.Errorf("%s: the cause is %v, want %v in it", name, cause, want)
			}
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	ends := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	asked, anew := tokencache.Request{Resource: "r"}, tokencache.Request{Resource: "r", Anew: true}
	claimed := tokencache.Request{Resource: "r", Claims: "c"}
	failed := errors.New("x")
	for name, tt := range map[string]struct {
		r               tokencache.Request
		e               tokencache.Event
		heeds, mismatch bool
		want            string
	}{
		"first":                             {r: asked, e: tokencache.Event{First: true}, want: `INFO msg="token acquired" resource=r renewal`},
		"ends":                              {r: asked, e: tokencache.Event{First: true, Expires: ends}, want: "resource=r expires=2026-01-02T03:04:05"},
		"renewed":                           {r: asked, want: `DEBUG msg="token renewed"`},
		"a user's":                          {r: asked, e: tokencache.Event{OfUser: true}, want: `WARN msg="the token is a signed-in user's`},
		"claims":                            {r: claimed, heeds: true, want: `INFO msg="token acquired after a claims challenge"`},
		"claims that the host doesn't take": {r: claimed, want: `WARN msg="claims challenge: the host takes no claims`},
		"claims, and another token": {r: claimed, e: tokencache.Event{Changed: true},
			want: `INFO msg="claims challenge: the host takes no claims`},
		"refreshed": {r: anew, e: tokencache.Event{Changed: true}, want: `INFO msg="token refreshed"`},
		"repeated": {r: anew, e: tokencache.Event{Expires: ends},
			want: `INFO msg="the host repeated the held token`},
		"failed": {r: asked, e: tokencache.Event{Err: failed, First: true},
			want: `WARN msg="token request failed" resource=r next_try=0001-01-01T00:00:00.000Z error=text`},
		"renewal failed": {r: asked, e: tokencache.Event{Err: failed}, want: `WARN msg="token renewal failed`},
		"a blip":         {r: asked, e: tokencache.Event{Err: failed, Blip: true}, want: `INFO msg="token renewal failed`},
		"another identity's": {r: asked, e: tokencache.Event{Err: failed, Blip: true}, mismatch: true,
			want: `WARN msg="token of another identity refused"`},
	} {
		var log bytes.Buffer
		to := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if tt.e.Err != nil {
			LogFailure(to, tt.r, tt.e, tt.mismatch, "text")
		} else {
			LogToken(to, tt.r, tt.e, tt.heeds)
		}
		if got := log.String(); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s in it", name, got, tt.want)
		}
	}
}
