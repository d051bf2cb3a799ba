package tokencache

import (
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// View is one credential's way into the cache: the tokens of its identity, found by scope without
// a lock and without an allocation. go-cache's read lock costs more than the rest of a hit, and on
// many cores much more. It is safe for concurrent use, and must not be copied once it is used.
type View struct {
	identity string
	variant  Variant
	terms    Terms
	index    atomic.Pointer[map[string]*entry]

	recent *recent // a pointer, so that printing a credential with %+v doesn't read it
}

// NewView makes the View of an identity's tokens of one variant. Credentials share tokens if their
// identity is the same text, which ends with a line break: no identity begins with another.
func NewView(identity string, variant Variant, terms Terms) View {
	return View{identity: identity, variant: variant, terms: terms}
}

// Variant is what tells the tokens of this View from others of its identity.
func (v *View) Variant() Variant { return v.variant }

// key is by what the store finds the token for a resource.
func (v *View) key(resource string) string {
	return v.identity + v.variant.Tenant + "\n" + strconv.FormatBool(v.variant.CAE) + "\n" + resource
}

// Hit returns a token that is handed out without any more ado, nil if there is more to do than
// that: see Cache.Get. It costs one look-up and one reading of the clock. The token must not be
// changed.
func (v *View) Hit(scope string) *azcore.AccessToken {
	index := v.index.Load()
	if index == nil {
		return nil
	}
	e := (*index)[scope]
	if e == nil {
		return nil
	}
	h := e.held.Load()
	if h == nil || !h.rests(time.Now()) {
		return nil
	}
	if !e.used.Load() { // a write by each hit would have processors fetch it from one another
		e.used.Store(true)
	}
	return &h.token
}

// recent is what has come since the index was made, guarded by Cache.mu. The index is copied only
// after as many look-ups have missed it as it has entries, but at most mergeAfter.
type recent struct {
	entries map[string]*entry
	misses  int
}

// mergeAfter is how many hits may take the slow way before the index is copied: of 10,000 entries
// in half a millisecond.
const mergeAfter = 64

// remember lets the next look-up find the entry in the index. It is called under Cache.mu.
func (v *View) remember(scope string, e *entry) {
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
	maps.DeleteFunc(merged, func(_ string, e *entry) bool {
		return e.held.Load() == nil // it has left the store
	})
	v.index.Store(&merged)
	v.recent = nil
}
