package identitytest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	vault    = "https://vault.azure.net"
	imdsURL  = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net"
	appQuery = "?api-version=2019-08-01&resource=https://vault.azure.net"
)

// imdsRequest is a right request with more put behind its query.
func imdsRequest(t *testing.T, more string) *http.Request {
	t.Helper()
	r := request(t, http.MethodGet, imdsURL+more, "")
	r.Header.Set("Metadata", "true")
	return r
}

func appServiceRequest(t *testing.T, e *Endpoint, more string) *http.Request {
	t.Helper()
	env := environment(e, "http://localhost:4141")
	r := request(t, http.MethodGet, env["IDENTITY_ENDPOINT"]+appQuery+more, "")
	r.Header.Set("X-IDENTITY-HEADER", env["IDENTITY_HEADER"])
	return r
}

func environment(e *Endpoint, baseURL string) map[string]string {
	env := make(map[string]string)
	for _, v := range variables(e.Env(baseURL)) {
		env[v.name] = v.value
	}
	return env
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reply is a response in a form to compare.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

func do(t *testing.T, e *Endpoint, r *http.Request) reply {
	t.Helper()
	response, err := e.Do(r)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the body after %q: %v", body, err)
	}
	if response.ContentLength != int64(len(body)) {
		t.Errorf("ContentLength: got %d, want %d", response.ContentLength, len(body))
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// fields are the members of a JSON object whose values are all strings, as IMDS and App Service
// send them.
func fields(t *testing.T, body string) map[string]string {
	t.Helper()
	var m map[string]string
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return m
}

// accessToken is the token of a successful answer.
func accessToken(t *testing.T, got reply) string {
	t.Helper()
	if got.Status != http.StatusOK {
		t.Fatalf("got status %d %s, want a token", got.Status, got.Body)
	}
	return fields(t, got.Body)["access_token"]
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, _ := recover().(string); !strings.HasPrefix(got, "identitytest: ") ||
			!strings.Contains(got, want) {
			t.Errorf("panic: got %q, want one with %q", got, want)
		}
	}()
	f()
}

// The form in which a request comes in must not show in the record of it.
func TestRequestsAreAlikeInMemoryAndOverHTTP(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	server := httptest.NewServer(e)
	defer server.Close()
	for _, send := range []func(*http.Request) (*http.Response, error){e.Do, server.Client().Do} {
		r := request(t, http.MethodPost, server.URL+"/metadata/x?a=b", "body")
		r.Header.Set("Metadata", "true")
		r.Header.Set("User-Agent", "test")
		r.Header.Set("Accept-Encoding", "identity")
		response, err := send(r)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
	}
	type seen struct {
		Method, URL, Host, RequestURI, Body string
		Header                              http.Header
		Length                              int64
	}
	var got []seen
	for _, r := range e.Requests() {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Del("Content-Length") // net/http puts it here only when it arrives over a connection
		got = append(got, seen{r.Method, r.URL.String(), r.Host, r.RequestURI, string(body), r.Header,
			r.ContentLength})
	}
	one := seen{
		Method: "POST", URL: server.URL + "/metadata/x?a=b",
		Host: strings.TrimPrefix(server.URL, "http://"), Body: "body", Length: 4,
		Header: http.Header{"Metadata": {"true"}, "User-Agent": {"test"},
			"Accept-Encoding": {"identity"}},
	}
	if diff := cmp.Diff([]seen{one, one}, got); diff != "" {
		t.Errorf("Requests (-want +got):\n%s", diff)
	}
}

func TestRequestsAreCopies(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	r := imdsRequest(t, "")
	do(t, e, r)
	r.Header.Set("Metadata", "changed by the sender")
	e.Requests()[0].Header.Set("Metadata", "changed by the reader")
	e.Requests()[0].URL.Path = "/changed"

	got := e.Requests()[0]
	if got.Header.Get("Metadata") != "true" || got.URL.String() != imdsURL {
		t.Errorf("got %s with Metadata %q, want the request as it came", got.URL,
			got.Header.Get("Metadata"))
	}
}

func TestDoSparseRequest(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	r := imdsRequest(t, "")
	r.Method, r.Host, r.Header, r.Body = "", "", nil, nil // all of which a client may leave out
	if got := do(t, e, r); got.Status != http.StatusBadRequest {
		t.Errorf("without a header: got status %d, want 400", got.Status)
	}
	if r.Header != nil {
		t.Error("Do changed the request")
	}
	if got := e.Requests()[0]; got.Method != "GET" || got.Host != "169.254.169.254" ||
		got.Header == nil {
		t.Errorf("got method %q, host %q, header %v", got.Method, got.Host, got.Header)
	}
}

func TestDoEndedContext(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 503})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := &closer{Reader: strings.NewReader("x")}
	r := imdsRequest(t, "").WithContext(ctx)
	r.Body = body
	if _, err := e.Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if !body.closed {
		t.Error("the body of the request isn't closed")
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("got %d requests recorded, want none: it was never sent", n)
	}
	if got := do(t, e, imdsRequest(t, "")); got.Status != 503 {
		t.Errorf("got status %d, want the scripted 503, not used up before", got.Status)
	}
}

func TestDoBodyFails(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	want := errors.New("disk on fire")
	body := &closer{Reader: failingReader{want}}
	r := imdsRequest(t, "")
	r.Body = body
	if _, err := e.Do(r); !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if !body.closed {
		t.Error("the body of the request isn't closed")
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

// All methods at once, for the race detector.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	e := NewAppService(&Options{HostCache: true, RateLimit: true})
	const n = 50
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			e.Enqueue(Response{Status: 503}, Response{For: time.Nanosecond})
			response, err := e.Do(appServiceRequest(t, e, ""))
			if err != nil {
				t.Errorf("Do: %v", err)
				return
			}
			response.Body.Close()
			e.RotateSecret()
			e.Identities()
			for _, r := range e.Requests() {
				r.Header.Set("X", "y")
			}
		})
	}
	group.Wait()
	if got := len(e.Requests()); got != n {
		t.Errorf("got %d requests, want %d", got, n)
	}
}
