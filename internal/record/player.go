package record

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Player plays a record: it finds the exchange that a request is answered with. A request that was
// sent several times is answered each time as then, and then always as the last time. It is safe
// for concurrent use.
type Player struct {
	exchanges []Exchange
	asked     []shape // of exchanges

	mu     sync.Mutex
	played []bool
}

// NewPlayer makes one of a record that has an exchange.
func NewPlayer(r *Record) (*Player, error) {
	p := &Player{exchanges: r.Exchanges, played: make([]bool, len(r.Exchanges))}
	for i, e := range r.Exchanges {
		s, err := recordedShape(e.Request)
		if err != nil {
			return nil, fmt.Errorf("exchange %d: %w", i+1, err)
		}
		p.asked = append(p.asked, s)
	}
	return p, nil
}

// Next returns the exchange for a request. The path is the request's as a record has it. The error
// says what the record has in its place.
func (p *Player) Next(r *http.Request, path string, body []byte) (*Exchange, error) {
	want := shape{method: r.Method, path: path, query: r.URL.Query(), form: url.Values{},
		header: map[string]string{}}
	if isForm(r.Header.Get("Content-Type")) {
		want.form, _ = url.ParseQuery(string(body))
	}
	for _, name := range telling {
		if value := r.Header.Get(name); value != "" {
			want.header[name] = value
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := -1
	var nearest []string
	for i, s := range p.asked {
		if d := s.differences(want); d != nil {
			if nearest == nil || len(d) < len(nearest) {
				nearest = d
			}
			continue
		}
		last = i
		if !p.played[i] {
			p.played[i] = true
			return &p.exchanges[i], nil
		}
	}
	if last < 0 {
		return nil, fmt.Errorf("the record has no answer to %s %s: its %d requests differ, the nearest "+
			"in %s", r.Method, path, len(p.asked), strings.Join(nearest, "; "))
	}
	return &p.exchanges[last], nil
}

// shape is what one request is told from another by.
type shape struct {
	method, path string
	query, form  url.Values
	header       map[string]string
}

// telling are the headers by which a host tells one request from another.
var telling = []string{"Metadata", "Authorization", "X-Identity-Header", "Secret"}

func isForm(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(contentType), "application/x-www-form-urlencoded")
}

func recordedShape(r Request) (shape, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return shape{}, err
	}
	s := shape{method: r.Method, path: u.Path, query: u.Query(), form: url.Values{},
		header: map[string]string{}}
	for name, values := range r.Header {
		switch {
		case slices.Contains(telling, name) && len(values) > 0:
			s.header[name] = values[0]
		case name == "Content-Type" && len(values) > 0 && isForm(values[0]):
			if s.form, err = url.ParseQuery(r.Body); err != nil {
				return shape{}, err
			}
		}
	}
	return s, nil
}

// differences are those of a request from the recorded one.
func (s shape) differences(from shape) (list []string) {
	if s.method != from.method {
		list = append(list, "the method, which is "+s.method)
	}
	if !matchesPath(s.path, from.path) {
		list = append(list, "the path, which is "+s.path)
	}
	for _, name := range telling {
		recorded, value := s.header[name], from.header[name]
		switch {
		case recorded == "" && value != "":
			list = append(list, "the header "+name+", which it doesn't have")
		case recorded != "" && !Matches(recorded, value):
			list = append(list, "the header "+name)
		}
	}
	list = append(list, differing("the query's ", s.query, from.query)...)
	return append(list, differing("the form's ", s.form, from.form)...)
}

func matchesPath(recorded, path string) bool {
	a, b := strings.Split(recorded, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, Matches)
}

func differing(whose string, recorded, got url.Values) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(recorded)) {
		if values := recorded[name]; !slices.EqualFunc(values, got[name], Matches) {
			list = append(list, whose+name+", which is "+strings.Join(values, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := recorded[name]; !ok {
			list = append(list, whose+name+", which it doesn't have")
		}
	}
	return list
}
