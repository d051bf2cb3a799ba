package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// roundTripper is a function as one.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// sentRequest is what a server sees of one.
type sentRequest struct{ url, token, body string }

// server notes requests, and answers them as its function says: the n-th, from 0.
type server struct {
	mu     sync.Mutex
	seen   []sentRequest
	answer func(n int, r *http.Request) *http.Response
	closed atomic.Int32 // bodies of answers that were closed
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := s.answer(len(s.seen), r)
	s.seen = append(s.seen, sentRequest{r.URL.String(), r.Header.Get("Authorization"), body})
	resp.Request, resp.Body = r, &closeCounter{Reader: resp.Body, closed: &s.closed}
	return resp, nil
}

// closeCounter is a body that counts how often it is closed.
type closeCounter struct {
	io.Reader
	closed *atomic.Int32
}

func (c *closeCounter) Close() error { c.closed.Add(1); return nil }

// byClaims is a credential whose tokens are named by the claims that they were asked for with.
func byClaims(asked *[]policy.TokenRequestOptions) sourceFunc {
	var mu sync.Mutex
	return func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
		mu.Lock()
		defer mu.Unlock()
		*asked = append(*asked, o)
		return azcore.AccessToken{Token: "token" + o.Claims}, nil
	}
}

const apiClaims = `{"access_token":{"nbf":{"essential":true}}}`

// challenge is a server's answer that wants a token with apiClaims.
func challenge() *http.Response {
	return respond(401, "no", "WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+
		base64.StdEncoding.EncodeToString([]byte(apiClaims))+`"`)
}

func TestTransportAnswersOneChallenge(t *testing.T) {
	t.Parallel()
	post := func(body io.Reader) *http.Request {
		r, err := http.NewRequest(http.MethodPost, "https://api.example/x", body)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, tt := range map[string]struct {
		request *http.Request
		answer  func(n int, r *http.Request) *http.Response
		want    []sentRequest
		status  int
	}{
		"accepted": {post(nil), func(int, *http.Request) *http.Response { return respond(200, "yes") },
			[]sentRequest{{"https://api.example/x", "Bearer token", ""}}, 200},
		"challenged once": {post(strings.NewReader("body")), func(n int, _ *http.Request) *http.Response {
			if n == 0 {
				return challenge()
			}
			return respond(200, "yes")
		}, []sentRequest{{"https://api.example/x", "Bearer token", "body"},
			{"https://api.example/x", "Bearer token" + apiClaims, "body"}}, 200},
		"challenged without a body": {post(http.NoBody), func(n int, _ *http.Request) *http.Response {
			return []*http.Response{challenge(), respond(200, "yes")}[n]
		}, []sentRequest{{"https://api.example/x", "Bearer token", ""},
			{"https://api.example/x", "Bearer token" + apiClaims, ""}}, 200},
		"challenged for ever": {post(nil), func(int, *http.Request) *http.Response { return challenge() },
			[]sentRequest{{"https://api.example/x", "Bearer token", ""},
				{"https://api.example/x", "Bearer token" + apiClaims, ""}}, 401},
		"a body that can't be sent again": {post(io.MultiReader(strings.NewReader("body"))),
			func(int, *http.Request) *http.Response { return challenge() },
			[]sentRequest{{"https://api.example/x", "Bearer token", "body"}}, 401},
		"refused": {post(nil), func(int, *http.Request) *http.Response { return respond(401, "no") },
			[]sentRequest{{"https://api.example/x", "Bearer token", ""}}, 401},
		"a challenge with another status": {post(nil), func(int, *http.Request) *http.Response {
			r := challenge()
			r.StatusCode = 403
			return r
		}, []sentRequest{{"https://api.example/x", "Bearer token", ""}}, 403},
	} {
		var asked []policy.TokenRequestOptions
		s := &server{answer: tt.answer}
		before := fmt.Sprint(tt.request.Header)
		resp, err := (&Transport{Credential: byClaims(&asked), Scope: vaultScope, Base: s}).
			RoundTrip(tt.request)
		if err != nil || resp.StatusCode != tt.status || fmt.Sprint(s.seen) != fmt.Sprint(tt.want) {
			t.Errorf("%s: got %v, %v, sent %q, want %d after %q", name, resp, err, s.seen, tt.status, tt.want)
			continue
		}
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) == 0 {
			t.Errorf("%s: the answer's body is %q, %v", name, body, err)
		}
		if closed := int(s.closed.Load()); closed != len(tt.want)-1 {
			t.Errorf("%s: %d bodies closed, want all but the last", name, closed)
		}
		if resp.Request != tt.request || fmt.Sprint(tt.request.Header) != before {
			t.Errorf("%s: the caller's request has become %v, the answer's is %v", name,
				tt.request.Header, resp.Request.Header)
		}
		for _, o := range asked {
			if !o.EnableCAE || o.Scopes[0] != vaultScope {
				t.Errorf("%s: asked for %+v", name, o)
			}
		}
	}
}

// TestTransportClosesTheBody on each error, and none of them has the token.
func TestTransportClosesTheBody(t *testing.T) {
	t.Parallel()
	own := errors.New("own")
	fails := sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{}, own
	})
	later := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
		if o.Claims != "" {
			return azcore.AccessToken{}, own
		}
		return azcore.AccessToken{Token: opaqueToken}, nil
	})
	for name, tt := range map[string]struct {
		url  string
		cred azcore.TokenCredential
		want string
	}{
		"plain http": {"http://api.example/", tokenFunc(opaqueToken),
			"identity: Transport: no token is sent over plain http: want an https URL"},
		"no token":             {"https://api.example/", fails, "own"},
		"none with the claims": {"https://api.example/", later, "own"},
		"no credential": {"https://api.example/", nil,
			"identity: Transport: nil credential: want one, such as one of NewCredential"},
	} {
		var closed atomic.Int32
		r, err := http.NewRequest(http.MethodPost, tt.url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body = &closeCounter{Reader: r.Body, closed: &closed}
		made := 0
		again := r.GetBody
		r.GetBody = func() (io.ReadCloser, error) {
			b, err := again()
			made++
			return &closeCounter{Reader: b, closed: &closed}, err
		}
		s := &server{answer: func(int, *http.Request) *http.Response { return challenge() }}
		_, err = (&Transport{Credential: tt.cred, Scope: vaultScope, Base: s}).RoundTrip(r)
		if err == nil || err.Error() != tt.want || int(closed.Load()) != 1+made {
			t.Errorf("%s: got %v, %d of %d bodies are closed, want %s", name, err, closed.Load(), 1+made, tt.want)
		}
		if closed := int(s.closed.Load()); closed != len(s.seen) {
			t.Errorf("%s: %d of %d answers are closed", name, closed, len(s.seen))
		}
	}
	r, err := http.NewRequest(http.MethodGet, "https://api.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Transport{Credential: tokenFunc(opaqueToken), Base: roundTripper(
		func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("not %v", r.Header) })}).
		RoundTrip(r)
	if err == nil || everySecret().find(fmt.Sprintf("%v %#v", err, err)) != "" {
		t.Errorf("an error shows the token: %v", err)
	}
}

// TestTransportFollowsRedirects by an http.Client: no other host sees a token, nor plain http.
func TestTransportFollowsRedirects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		way  []string // where redirects lead to
		want []string // the tokens that are sent
	}{
		"on the same host": {[]string{"https://api.example/y"}, []string{"Bearer token", "Bearer token"}},
		"to another":       {[]string{"https://other.example/"}, []string{"Bearer token", ""}},
		"and back": {[]string{"https://other.example/", "https://api.example/z"},
			[]string{"Bearer token", "", ""}},
		"to a port":       {[]string{"https://api.example:8443/"}, []string{"Bearer token", ""}},
		"to a name below": {[]string{"https://evil.api.example/"}, []string{"Bearer token", ""}},
		"to plain http":   {[]string{"http://api.example/"}, []string{"Bearer token"}},
	} {
		s := &server{answer: func(n int, _ *http.Request) *http.Response {
			if n < len(tt.way) {
				return respond(302, "", "Location", tt.way[n])
			}
			return respond(200, "yes")
		}}
		client := &http.Client{Transport: &Transport{Credential: tokenFunc("token"), Base: s}}
		resp, err := client.Get("https://api.example/x")
		if err == nil {
			_ = resp.Body.Close()
		}
		var got []string
		for _, r := range s.seen {
			got = append(got, r.token)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
			t.Errorf("%s: tokens sent: %q, want %q (%v)", name, got, tt.want, err)
		}
	}
}

// TestTransportTogether: one serves many goroutines, of which each may be challenged.
func TestTransportTogether(t *testing.T) {
	t.Parallel()
	var asked []policy.TokenRequestOptions
	s := &server{answer: func(_ int, r *http.Request) *http.Response {
		if strings.HasSuffix(r.Header.Get("Authorization"), "token") {
			return challenge()
		}
		return respond(200, "yes")
	}}
	client := &http.Client{Transport: &Transport{Credential: byClaims(&asked), Base: s}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			resp, err := client.Post("https://api.example/x", "text/plain", bytes.NewReader([]byte("body")))
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("got %v, %v", resp, err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	all.Wait()
	if len(s.seen) != 40 {
		t.Errorf("%d requests, want 40", len(s.seen))
	}
}

// TestTransportOfItsOwn: without a Base, http.DefaultTransport sends, which trusts no test server.
func TestTransportOfItsOwn(t *testing.T) {
	t.Parallel()
	api := httptest.NewUnstartedServer(http.NotFoundHandler())
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	api.StartTLS()
	t.Cleanup(api.Close)
	client := &http.Client{Transport: &Transport{Credential: tokenFunc("token"), Scope: vaultScope}}
	resp, err := client.Get(api.URL)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("got %v, %v, want the default transport's error", resp, err)
	}
}

// idler is a Base that counts how often its idle connections are closed.
type idler struct {
	http.RoundTripper
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

// TestTransportClosesIdleConnections of its Base, for an http.Client that is told to.
func TestTransportClosesIdleConnections(t *testing.T) {
	t.Parallel()
	base := &idler{}
	(&http.Client{Transport: &Transport{Base: base}}).CloseIdleConnections()
	if base.closed != 1 {
		t.Errorf("closed %d times, want once", base.closed)
	}
	(&Transport{Base: base.RoundTripper}).CloseIdleConnections()             // of http.DefaultTransport
	(&Transport{Base: struct{ http.RoundTripper }{}}).CloseIdleConnections() // that can't
}
