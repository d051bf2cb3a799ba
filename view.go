package identity

import (
	"maps"
	"strings"
	"sync/atomic"
)

// view is one credential's way into the cache: the tokens of its identity, found by scope without a lock and without an
// allocation. go-cache's read lock costs more than the rest of a hit, and on many cores much more.
type view struct {
	identity string // what the store's keys begin with: host, endpoint, selector and variant
	variant  variant
	index    atomic.Pointer[map[string]*entry]

	recent *recent // a pointer, so that printing a Credential with %+v doesn't read it
}

// recent is what has come since the index was made, guarded by cache.mu. The index is copied only after as many look-ups
// have missed it as it has entries, but at most mergeAfter.
type recent struct {
	entries map[string]*entry
	misses  int
}

// mergeAfter is how many hits may take the slow way before the index is copied: of 10,000 entries in half a millisecond.
const mergeAfter = 64

// remember lets the next look-up find the entry in the index. It is called under cache.mu.
func (v *view) remember(scope string, e *entry) {
	var index map[string]*entry
	if p := v.index.Load(); p != nil {
		index = *p
	}
	switch {
	case index[scope] == e:
		return
	case len(index) == 0:
		v.index.Store(&map[string]*entry{strings.Clone(scope): e})
		return
	}
	if v.recent == nil {
		v.recent = &recent{entries: map[string]*entry{}}
	}
	v.recent.entries[strings.Clone(scope)] = e // a clone: a scope may be a piece of a large text
	v.recent.misses++
	if v.recent.misses <= min(len(index), mergeAfter) {
		return
	}
	merged := make(map[string]*entry, len(index)+len(v.recent.entries))
	maps.Copy(merged, index)
	maps.Copy(merged, v.recent.entries)
	maps.DeleteFunc(merged, func(_ string, e *entry) bool { return e.held.Load() == nil }) // has left the store
	v.index.Store(&merged)
	v.recent = nil
}
