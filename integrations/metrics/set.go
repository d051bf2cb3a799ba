package identitymetrics

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/keyless-go/identity"
)

// maxLabels is how many Labels a Set has in its life: each is eight series of Prometheus's. A
// service asks for a handful of resources. More of them have names that come from its users.
const maxLabels = 1000

// Set is the credentials whose metrics are wanted. The zero Set is empty and ready to use. It is
// safe for concurrent use, and must not be copied once it is used.
type Set struct {
	mu       sync.Mutex
	members  []*member
	counters map[Labels]*counter // of the series that have Labels of their own; none is dropped
	rest     map[Labels]*counter // of those in Other that were there at the last reading
	other    Counts              // of all that ever were in Other
}

// NewSet makes a Set of credentials without names. See [Set.Add].
func NewSet(credentials ...identity.Reporter) *Set {
	s := new(Set)
	for _, c := range credentials {
		s.Add("", c)
	}
	return s
}

// Add adds a credential, and returns a function that removes it. Its series vanish then, unless
// another credential has had them, too. The name is the label Credential of its series; "" leaves
// that out. Give names to credentials that are of one identity and share no tokens. Add and the
// function wait for a reading that is under way, which takes 5 s at most.
func (s *Set) Add(name string, credential identity.Reporter) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &member{name: name, reporter: credential, has: map[Labels]bool{}}
	s.members = append(s.members, m)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(m)
	}
}

func (s *Set) remove(m *member) {
	s.members = slices.DeleteFunc(s.members, func(other *member) bool { return other == m })
	for key := range m.has {
		s.counters[key].leave()
	}
	m.has = nil // so that a second call does nothing
	if len(s.members) == 0 {
		s.other, s.rest = Counts{}, nil
	}
}

// Reading is what a Set's credentials hold at one moment.
type Reading struct {
	Series     []Series // each with other Labels, in no order
	Unreadable int      // credentials that were nil, panicked, or took too long
}

// Series is what is known of the tokens that have the same Labels.
type Series struct {
	Labels
	Counts
	// As in identity.ResourceStatus. Both are zero where no token was had yet, where its resource
	// was forgotten, and for Other.
	ExpiresOn, RefreshOn time.Time
}

// sighting is a series as the credentials have it.
type sighting struct {
	Series
	failed time.Time // the last failure; zero while it can't be told what belongs to it
}

// Read asks the credentials what they hold. It sends nothing, and takes as long as their Statuses:
// milliseconds, and 5 s at most. Readings come one after the other.
func (s *Set) Read() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters == nil {
		s.counters = map[Labels]*counter{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range s.members {
		m.ask()
	}
	unreadable, found := 0, map[Labels]sighting{}
	for _, m := range s.members {
		list, ok := m.statuses(ctx.Done())
		if !ok {
			unreadable++
			continue
		}
		for _, status := range list {
			for _, r := range status.Resources {
				s.gather(found, m, labelsOf(m.name, status, r), r)
			}
		}
	}
	if unreadable == 0 {
		s.forget(found)
	}
	return Reading{s.count(found), unreadable}
}

// gather notes what a member has for some Labels. What others have for them is, as a rule, the
// same: credentials of one identity share it.
func (s *Set) gather(
	found map[Labels]sighting, m *member, key Labels, r identity.ResourceStatus,
) {
	own := sighting{Series{key, countsOf(r), r.ExpiresOn, r.RefreshOn}, r.LastErrorOn}
	if r.InFlight {
		own.failed = time.Time{}
	}
	if known, ok := found[key]; ok {
		if known.Counts != own.Counts || !known.failed.Equal(own.failed) { // nothing is shared
			own.failed = time.Time{}
		}
		if known.ExpiresOn.Before(own.ExpiresOn) { // or zero: there is none
			own.ExpiresOn, own.RefreshOn = known.ExpiresOn, known.RefreshOn
		}
		own.Counts = own.each(known.Counts, larger)
	}
	found[key] = own
	if c := s.counter(key); c != nil && !m.has[key] {
		m.has[key] = true
		c.members++
	}
}

// otherLabels are those of all that have none of their own.
var otherLabels = Labels{Resource: Other}

// counter is that of a series with Labels of its own, nil for one in Other.
func (s *Set) counter(key Labels) *counter {
	c := s.counters[key]
	if c == nil && len(s.counters) < maxLabels && key != otherLabels {
		c = new(counter)
		s.counters[key] = c
	}
	return c
}

// forget notes what no credential has any more. All have answered.
func (s *Set) forget(found map[Labels]sighting) {
	for key, c := range s.counters {
		if _, ok := found[key]; !ok && c.members > 0 {
			c.last = Counts{}
		}
	}
	maps.DeleteFunc(s.rest, func(key Labels, _ *counter) bool {
		_, ok := found[key]
		return !ok
	})
}

// count makes the series, with counters that never go back. Those that were not found keep their
// counts: OpenTelemetry would take one that comes back for all new.
func (s *Set) count(found map[Labels]sighting) []Series {
	list := make([]Series, 0, len(s.counters)+1)
	for key, c := range s.counters {
		if c.members == 0 {
			continue
		}
		now, ok := found[key]
		if ok {
			c.read(now.Counts, now.failed)
		}
		now.Labels, now.Counts = key, c.total
		list = append(list, now.Series)
	}
	for key, now := range found {
		if s.counters[key] == nil {
			s.countOther(key, now)
		}
	}
	if s.other != (Counts{}) {
		list = append(list, Series{Labels: otherLabels, Counts: s.other})
	}
	return list
}

func (s *Set) countOther(key Labels, now sighting) {
	if s.rest == nil {
		s.rest = map[Labels]*counter{}
	}
	c := s.rest[key]
	if c == nil {
		c = new(counter)
		s.rest[key] = c
	}
	s.other = s.other.each(c.read(now.Counts, now.failed), sum)
}
