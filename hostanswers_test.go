package identity

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keyless-go/identity/identitytest"
)

// TestHostRedirects: one that was followed would carry the secret elsewhere. Over a connection,
// since it is net/http that follows.
func TestHostRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, what := range []string{"", "an object"} {
			everywhereNamed(t, fmt.Sprint(status, " ", what), func(t *testing.T, p place) {
				for step := range p.steps { // on Arc, in place of the challenge, or of the token
					s, body := p.open(t), ""
					if what != "" {
						body = s.problem("some_error", "some text")
					}
					for range step {
						s.ep.Enqueue(identitytest.Response{})
					}
					s.ep.Enqueue(s.own(status, body, "Location", s.base+"/stolen?secret=TOPSECRET"))
					e, took := mustFail(t, credentialAt(t, s.env, s.ep.Client(), once))
					if e.StatusCode != status || took != 0 {
						t.Errorf("got %v after %v, want an error with the status %d", e, took, status)
					}
					wantErrorText(t, e, "redirect", "not followed")
					if strings.Contains(e.Error(), "TOPSECRET") {
						t.Errorf("error repeats the address, which may have a secret: %v", e)
					}
					if requests := s.ep.Requests(); len(requests) != step+1 {
						t.Errorf("%d requests, want %d: the redirect was followed, with %v", len(requests),
							step+1, requests[len(requests)-1].Header)
					}
				}
			})
		}
	}
}

// wrongContents are answers with a status of success that have no token in them.
var wrongContents = []struct {
	name   string
	status int // 0 for 200
	body   string
	header http.Header
	err    error // that cuts the body short
	again  bool  // it may be gone at the next try
}{
	{name: "an HTML page", body: "<!doctype html><title>Sign in</title>", again: true,
		header: http.Header{"Content-Type": {"text/html"}}},
	{name: "nothing", status: 200, header: http.Header{}, again: true},
	{name: "half an object", body: `{"access_token":"TOPSECRET-and-mo`, again: true},
	{name: "cut after the token", body: strings.TrimSuffix(secretToken, "}"), again: true},
	{name: "cut short on its way", body: secretToken, err: io.ErrUnexpectedEOF, again: true},
	{name: "an array", body: "[" + secretToken + "]", again: true},
	{name: "a string", body: `"TOPSECRET"`, again: true},
	{name: "two objects", body: secretToken + "{}", again: true},
	{name: "a token of 2 MiB",
		body: strings.Replace(secretToken, "TOPSECRET", "TOPSECRET"+strings.Repeat("x", 2<<20), 1)},
	{name: "an empty token", body: `{"access_token":"","expires_in":"3600"}`},
	{name: "a blank token", body: `{"access_token":" \t","expires_in":"3600"}`},
	{name: "of two lines", body: `{"access_token":"TOPSECRET\r\nX-Evil: 1","expires_in":"3600"}`},
	{name: "a token that is a number", body: `{"access_token":42,"expires_in":"3600"}`},
	{name: "a token without an end", body: `{"access_token":"TOPSECRET"}`},
	{name: "has ended", body: `{"access_token":"TOPSECRET","expires_on":"946684800"}`},
	{name: "a token that ends now", body: `{"access_token":"TOPSECRET","expires_in":"0"}`},
	{name: "a token of another type",
		body: strings.Replace(secretToken, "{", `{"token_type":"pop",`, 1)},
	{name: "an error with status 200", body: `{"error":"some_error","error_description":"some text"}`},
	{name: "status 204", status: 204, header: http.Header{"X-Any": {"1"}}},
	{name: "a token with status 201", status: 201, body: secretToken},
	{name: "a token with status 500", status: 500, body: secretToken, again: true},
	{name: "a token with status 403", status: 403, body: secretToken},
}

const secretToken = `{"access_token":"TOPSECRET","expires_in":"3600"}`

// TestHostSendsSomethingElse: it is no token, nothing of it is shown, and a proxy's hiccup is over
// at the next try.
func TestHostSendsSomethingElse(t *testing.T) {
	for _, tt := range wrongContents {
		reply := identitytest.Response{Status: tt.status, Body: tt.body, Header: tt.header, Err: tt.err}
		everywhereNamed(t, tt.name, func(t *testing.T, p place) {
			s := p.open(t)
			for range 50 {
				s.answer(reply)
			}
			e, _ := mustFail(t, s.credential(t, once))
			shown := fmt.Sprintf("%v %+v", e, *e)
			if e.RawResponse != nil {
				body, err := io.ReadAll(e.RawResponse.Body)
				if err != nil {
					t.Fatal(err)
				}
				shown += string(body)
			}
			if strings.Contains(shown, "TOPSECRET") {
				t.Errorf("the token is shown: %s", shown)
			}
			if len(e.Error()) > 1500 {
				t.Errorf("an error of %d bytes", len(e.Error()))
			}
			if s.sent() != s.steps {
				t.Errorf("%d requests, want %d", s.sent(), s.steps)
			}
		})
		if !tt.again {
			continue
		}
		everywhereNamed(t, tt.name+" once", func(t *testing.T, p place) {
			s := p.open(t)
			s.answer(reply)
			tk, _ := mustToken(t, s.credential(t))
			if strings.Contains(tk.Token, "TOPSECRET") || s.sent() != 2*s.steps {
				t.Errorf("%d requests, want %d; the token is the wrong one: %v", s.sent(), 2*s.steps,
					strings.Contains(tk.Token, "TOPSECRET"))
			}
		})
	}
}
