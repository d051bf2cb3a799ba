package interop

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// difference is one between a peer's request and ours that is meant to be.
type difference struct {
	where string // the part of the request, as parts names it
	peer  string // what the peer sends: a regular expression for all of it, or none
	ours  string // what we send, likewise
	why   string
}

// none stands for a part that isn't there, which is not the same as an empty one.
const none = "(none)"

// parts takes a request apart. Whatever can differ on the wire is a part, save the order of headers
// and parameters.
func parts(t *testing.T, r *http.Request) map[string]string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // for the next comparison
	p := map[string]string{
		"method":   r.Method,
		"protocol": r.Proto,
		"scheme":   r.URL.Scheme,
		"host":     r.Host,
		"path":     r.URL.EscapedPath(),
		"framing":  strings.Join(r.TransferEncoding, ", "), // "chunked", say
	}
	if r.TLS != nil {
		p["server name"] = r.TLS.ServerName
	}
	for name, values := range r.Header {
		p["header "+name] = strings.Join(values, ", ")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range query {
		p["query "+name] = strings.Join(values, ", ")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/x-www-form-urlencoded" || len(body) == 0 {
		p["body"] = string(body)
		return p
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range form {
		p["form "+name] = strings.Join(values, ", ")
	}
	return p
}

// objections compares the parts of two requests: differences that aren't meant, and those meant
// that there aren't.
func objections(peer, ours map[string]string, meant []difference) []string {
	var list []string
	names := maps.Clone(peer)
	maps.Copy(names, ours)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		theirs, there := valueOf(peer, name)
		own, here := valueOf(ours, name)
		if there == here && theirs == own {
			continue
		}
		if !slices.ContainsFunc(meant, func(d difference) bool {
			return d.where == name && matches(d.peer, theirs, there) && matches(d.ours, own, here)
		}) {
			list = append(list, fmt.Sprintf("%s: the peer sends %s, we %s: not in the table of differences",
				name, theirs, own))
		}
	}
	for _, d := range meant {
		theirs, there := valueOf(peer, d.where)
		own, here := valueOf(ours, d.where)
		if there == here && theirs == own {
			list = append(list, fmt.Sprintf("%s: the table has a difference (%s), but both send %s", d.where,
				d.why, own))
		}
	}
	return list
}

func valueOf(p map[string]string, name string) (value string, ok bool) {
	value, ok = p[name]
	if !ok {
		return none, false
	}
	return fmt.Sprintf("%q", value), true
}

func matches(pattern, quoted string, there bool) bool {
	if pattern == none || !there {
		return pattern == none && !there
	}
	return regexp.MustCompile(`^"` + `(?:` + pattern + `)"$`).MatchString(quoted)
}

// compare compares what arrived of a peer with what arrived of us: as many requests, and each of
// them alike but for what is meant for it. The last list of differences is for all further
// requests, too.
func compare(t *testing.T, peer, ours []*http.Request, meant ...[]difference) {
	t.Helper()
	if len(peer) != len(ours) || len(ours) == 0 {
		t.Errorf("the peer sent %d requests, we sent %d:\n%s\n%s", len(peer), len(ours), list(peer),
			list(ours))
		return
	}
	for i := range ours {
		for _, objection := range objections(parts(t, peer[i]), parts(t, ours[i]),
			meant[min(i, len(meant)-1)]) {
			t.Errorf("request %d: %s", i+1, objection)
		}
	}
}

func list(requests []*http.Request) string {
	var lines []string
	for _, r := range requests {
		lines = append(lines, "\t"+r.Method+" "+r.URL.String())
	}
	return strings.Join(lines, "\n")
}

// TestObjections: the comparison finds what it is for.
func TestObjections(t *testing.T) {
	t.Parallel()
	request := func(changes ...string) map[string]string {
		p := map[string]string{"method": "GET", "query resource": "r", "header Metadata": "true"}
		for i := 0; i < len(changes); i += 2 {
			p[changes[i]] = changes[i+1]
		}
		return p
	}
	version := difference{"header Version", `\d+`, none, "why"}
	for _, test := range []struct {
		name       string
		peer, ours map[string]string
		meant      []difference
		want       []string // what each objection begins with
	}{
		{"alike", request(), request(), nil, nil},
		{"another value", request(), request("method", "POST"), nil,
			[]string{`method: the peer sends "GET", we "POST"`}},
		{"one more", request(), request("query a", "1"), nil,
			[]string{`query a: the peer sends (none), we "1"`}},
		{"one less", request("query a", "1"), request(), nil,
			[]string{`query a: the peer sends "1", we (none)`}},
		{"an empty one more", request(), request("query a", ""), nil,
			[]string{`query a: the peer sends (none), we ""`}},
		{"meant", request("header Version", "17"), request(), []difference{version}, nil},
		{"meant, and another", request("header Version", "17", "body", "b"), request(),
			[]difference{version}, []string{`body: `}},
		{"meant otherwise", request("header Version", "17a"), request(), []difference{version},
			[]string{`header Version: the peer sends "17a"`}},
		{"meant the other way round", request(), request("header Version", "17"), []difference{version},
			[]string{`header Version: the peer sends (none)`}},
		{"meant, and empty", request("header Version", ""), request(), []difference{version},
			[]string{`header Version: the peer sends ""`}},
		{"meant, and neither has it", request(), request(), []difference{version},
			[]string{`header Version: the table has a difference (why), but both send (none)`}},
		{"meant, and both have it", request("header Version", "1"), request("header Version", "1"),
			[]difference{version}, []string{`header Version: the table has a difference`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := objections(test.peer, test.ours, test.meant)
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestParts: nothing of a request is left out.
func TestParts(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "http://host.example/a%2Fb?q=1&q=2&e=",
		strings.NewReader("f=a+b&g=%26"))
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"},
		"X-Two": {"1", "2"}}
	r.TransferEncoding = []string{"chunked"}
	want := map[string]string{
		"method": "POST", "protocol": "HTTP/1.1", "scheme": "http", "host": "host.example",
		"path": "/a%2Fb", "framing": "chunked",
		"query q": "1, 2", "query e": "", "header X-Two": "1, 2",
		"header Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
		"form f":              "a b", "form g": "&",
	}
	if got := parts(t, r); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
