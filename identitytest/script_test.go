package identitytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errScripted = errors.New("scripted")

func TestEnqueueExactAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		response Response
		want     reply
	}{
		{"body", Response{Status: 502, Body: "<html>"}, reply{502, http.Header{}, "<html>"}},
		{"body without a status", Response{Body: "{}"}, reply{200, http.Header{}, "{}"}},
		{"header without a status", Response{Header: http.Header{"Server": {"x"}}},
			reply{200, http.Header{"Server": {"x"}}, ""}},
		{"empty header", Response{Status: 429, Header: http.Header{}}, reply{429, http.Header{}, ""}},
		{
			"all",
			Response{Status: 429, Header: http.Header{"retry-after": {"3"}, "Content-Type": {"text/plain"}},
				Body: "slow down"},
			reply{429, http.Header{"Retry-After": {"3"}, "Content-Type": {"text/plain"}}, "slow down"},
		},
		{"content length", Response{Header: http.Header{"content-length": {"99"}}, Body: "x"},
			reply{200, http.Header{}, "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewIMDS(nil)
			e.Enqueue(test.response)
			if diff := cmp.Diff(test.want, do(t, e, imdsRequest(t, ""))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			accessToken(t, do(t, e, imdsRequest(t, ""))) // the usual answer is back
		})
	}
}

func TestEnqueueOrder(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 429}, Response{Status: 503})
	e.Enqueue(Response{}, Response{Status: 200}, Response{Status: 410})
	var got []int
	for range 6 {
		got = append(got, do(t, e, imdsRequest(t, "")).Status)
	}
	if diff := cmp.Diff([]int{429, 503, 200, 200, 410, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestEnqueueUsualAnswerCanBeARefusal(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 200})
	if got := do(t, e, imdsRequest(t, "&client_id=unknown")); got.Status != 400 {
		t.Errorf("got status %d, want 400", got.Status)
	}
}

func TestEnqueueConnectionError(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Err: errScripted})
	if response, err := e.Do(imdsRequest(t, "")); response != nil || !errors.Is(err, errScripted) {
		t.Errorf("got %v, %v; want nil, %v", response, err, errScripted)
	}
	if n := len(e.Requests()); n != 1 {
		t.Errorf("got %d requests recorded, want 1", n)
	}
}

func TestEnqueueCutShort(t *testing.T) {
	t.Parallel()
	whole := string(NewIMDS(nil).host.failure(503).body)
	for _, test := range []struct {
		name     string
		response Response
		status   int
		body     string
	}{
		{"body", Response{Status: 500, Body: "partial", Err: errScripted}, 500, "partial"},
		{"body without a status", Response{Body: "partial", Err: errScripted}, 200, "partial"},
		{"header only", Response{Header: http.Header{}, Err: errScripted}, 200, ""},
		{"own body", Response{Status: 503, Err: errScripted}, 503, whole[:len(whole)/2]},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewIMDS(nil)
			e.Enqueue(test.response)
			response, err := e.Do(imdsRequest(t, ""))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != test.status || string(body) != test.body ||
				!errors.Is(err, errScripted) {
				t.Errorf("got %d %q, then %v; want %d %q, then %v", response.StatusCode, body, err, test.status,
					test.body, errScripted)
			}
			if response.ContentLength <= int64(len(body)) {
				t.Errorf("ContentLength: got %d, want more than the %d bytes sent", response.ContentLength,
					len(body))
			}
		})
	}
}

func TestEnqueueCutTokenShort(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 200, Err: errScripted})
	response, err := e.Do(imdsRequest(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if !strings.HasPrefix(string(body), `{"access_token":"`) || strings.HasSuffix(string(body), "}") ||
		!errors.Is(err, errScripted) {
		t.Errorf("got %q, then %v; want part of a token, then %v", body, err, errScripted)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]Response{
		"usual answer":     {Delay: time.Minute},
		"scripted answer":  {Delay: time.Minute, Status: 503},
		"connection error": {Delay: time.Minute, Err: errScripted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := NewIMDS(nil)
				e.Enqueue(response)
				begin := time.Now()
				if _, err := e.Do(imdsRequest(t, "")); !errors.Is(err, response.Err) {
					t.Errorf("got error %v, want %v", err, response.Err)
				}
				if got := time.Since(begin); got != time.Minute {
					t.Errorf("took %v, want 1m", got)
				}
			})
		})
	}
}

func TestDelayEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewIMDS(nil)
		e.Enqueue(Response{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := e.Do(imdsRequest(t, "").WithContext(ctx)); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
		}
		if got := time.Since(begin); got != time.Second {
			t.Errorf("took %v, want 1s", got)
		}
		accessToken(t, do(t, e, imdsRequest(t, ""))) // at once: the delayed answer is used up
		if n := len(e.Requests()); n != 2 {
			t.Errorf("got %d requests recorded, want 2", n)
		}
	})
}

// Each step sleeps, may enqueue, then sends a request and looks at its status.
func TestFor(t *testing.T) {
	t.Parallel()
	type step struct {
		sleep   time.Duration
		enqueue []Response
		want    int // 0: no request
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"begins at once", []step{
			{0, []Response{{Status: 503, For: time.Hour}}, 0},
			{time.Hour - 1, nil, 503},
			{1, nil, 200},
		}},
		{"answers every request", []step{
			{0, []Response{{Status: 503, For: time.Hour}}, 503},
			{0, nil, 503},
			{time.Minute, nil, 503},
		}},
		{"passes unseen", []step{
			{0, []Response{{Status: 503, For: time.Hour}}, 0},
			{2 * time.Hour, nil, 200},
		}},
		{"begins when the one before is used up", []step{
			{0, []Response{{Status: 429}, {Status: 503, For: time.Hour}}, 0},
			{2 * time.Hour, nil, 429},
			{time.Hour - 1, nil, 503},
			{1, nil, 200},
		}},
		{"begins when the one before has ended", []step{
			{0, []Response{{Status: 503, For: time.Hour}, {Status: 410, For: time.Hour}, {Status: 404}}, 0},
			{90 * time.Minute, nil, 410},
			{30 * time.Minute, nil, 404},
			{0, nil, 200},
		}},
		{"several pass unseen", []step{
			{0, []Response{{Status: 503, For: time.Hour}, {Status: 410, For: time.Hour}}, 0},
			{2 * time.Hour, nil, 200},
		}},
		{"begins anew after an unseen end", []step{
			{0, []Response{{Status: 503, For: time.Hour}}, 0},
			{3 * time.Hour, []Response{{Status: 410, For: time.Hour}}, 410},
			{time.Hour - 1, nil, 410},
			{1, nil, 200},
		}},
		{"waits for the one before", []step{
			{0, []Response{{Status: 503, For: time.Hour}}, 0},
			{30 * time.Minute, []Response{{Status: 410, For: time.Hour}}, 503},
			{time.Hour, nil, 410},
			{30 * time.Minute, nil, 200},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := NewIMDS(nil)
				for i, s := range test.steps {
					time.Sleep(s.sleep)
					e.Enqueue(s.enqueue...)
					if s.want == 0 {
						continue
					}
					if got := do(t, e, imdsRequest(t, "")).Status; got != s.want {
						t.Errorf("step %d: got status %d, want %d", i, got, s.want)
					}
				}
			})
		})
	}
}

func TestEnqueuePanics(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	for want, r := range map[string]Response{
		"response 1: Status 99 is neither 0 nor":   {Status: 99},
		"response 1: Status 1000 is neither 0 nor": {Status: 1000},
		"response 1: Status -1 is neither 0 nor":   {Status: -1},
		"response 1: negative Delay -1s":           {Delay: -time.Second},
		"response 1: negative For -1s":             {For: -time.Second},
	} {
		mustPanic(t, want, func() { e.Enqueue(Response{Status: 503}, r) })
	}
	accessToken(t, do(t, e, imdsRequest(t, ""))) // nothing was enqueued
}

func TestEnqueueCopies(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	r := Response{Header: http.Header{"A": {"1"}}, For: time.Hour}
	e.Enqueue(r)
	r.Header.Set("A", "2")
	do(t, e, imdsRequest(t, "")).Header.Set("A", "3")
	if got := do(t, e, imdsRequest(t, "")).Header.Get("A"); got != "1" {
		t.Errorf("got %q, want 1, as it was enqueued", got)
	}
}
