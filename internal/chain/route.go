package chain

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// route is which source serves a scope. A source that has nothing for one scope may be the right
// one for another, so each scope has its own.
type route struct {
	inUse atomic.Int32 // index of the source that last brought a token, plus 1; 0 for none
	// when the sources before it may be looked at again, as time since Chain.made
	next    atomic.Int64
	looking atomic.Bool // that is under way
}

// take makes a source the one in use, unless one before it has come into use meanwhile. since is
// what was in use when the sources began to be asked. take returns what was in use before.
func (r *route) take(i int, since int32) (before int32, taken bool) {
	for {
		before = r.inUse.Load()
		if before > 0 && before <= int32(i) && before != since {
			return before, false
		}
		if r.inUse.CompareAndSwap(before, int32(i+1)) {
			return before, true
		}
	}
}

// routeKey is what a route is for. Claims are not in it: they are a challenge of one token, and
// change no route. Nor is EnableCAE, which says how long a token may live and not whose it is.
type routeKey struct {
	scopes string // quoted if there are several
	n      int
	tenant string
}

func routeKeyOf(options *policy.TokenRequestOptions) routeKey {
	key := routeKey{n: len(options.Scopes), tenant: options.TenantID}
	switch key.n {
	case 0:
	case 1:
		key.scopes = options.Scopes[0]
	default:
		key.scopes = fmt.Sprintf("%q", options.Scopes)
	}
	return key
}

const (
	// maxRoutes bounds each of the two generations of routes, as scopes may be text from elsewhere:
	// 10,000 in all, as many as a cache holds tokens.
	maxRoutes = 5000
	// maxRouteText bounds the text of one: two of the longest scopes. A call with more walks each
	// time.
	maxRouteText = 4096
	// indexAfter is how many look-ups may take the lock before the index is made anew: a copy of
	// 5000 routes takes a quarter of a millisecond.
	indexAfter = 64
)

// routes finds them. In constant use one stays, whatever else is asked for: full generations are
// let go, and what is still used moves from the older to the younger.
type routes struct {
	all   route                      // of a chain in which all scopes have one
	index atomic.Pointer[routeIndex] // for calls: no lock, no allocation

	mu             sync.Mutex // guards the rest
	younger, older map[routeKey]*route
	misses         int // of look-ups since the index was made
}

// routeIndex is a copy of routes that never changes.
type routeIndex struct {
	all map[routeKey]*route
	// the one of all, while there is one: most programs ask for one scope, and comparing it is a
	// third of the work of hashing it
	only     *route
	onlyName routeKey
}

// newRouteIndex copies routes.
func newRouteIndex(routes map[routeKey]*route) *routeIndex {
	index := &routeIndex{all: maps.Clone(routes)}
	if len(routes) == 1 {
		for index.onlyName, index.only = range routes {
		}
	}
	return index
}

// known is the route for what options ask for, or nil.
func (r *routes) known(options *policy.TokenRequestOptions) *route {
	key := routeKeyOf(options)
	if index := r.index.Load(); index != nil {
		if index.only != nil && key == index.onlyName {
			return index.only
		}
		if found := index.all[key]; found != nil {
			return found
		}
	}
	return r.find(key, false)
}

func (r *routes) find(key routeKey, add bool) *route {
	if len(key.scopes)+len(key.tenant) > maxRouteText {
		if add {
			return &route{} // for this call
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.younger[key]
	if found == nil {
		found = r.older[key]
		if found == nil && !add {
			return nil
		}
		if found == nil {
			found = &route{}
		}
		if len(r.younger) >= maxRoutes {
			r.younger, r.older = nil, r.younger
			r.index.Store(nil)
		}
		if r.younger == nil {
			r.younger = map[routeKey]*route{}
		}
		// They may be pieces of a large text.
		key.scopes, key.tenant = strings.Clone(key.scopes), strings.Clone(key.tenant)
		r.younger[key] = found
	}
	if r.misses++; r.misses > min(len(r.younger), indexAfter) || len(r.younger) == 1 {
		r.index.Store(newRouteIndex(r.younger))
		r.misses = 0
	}
	return found
}

// inUse reports, of n sources, which are in use for any scope.
func (r *routes) inUse(n int) []bool {
	used := make([]bool, n+1) // the first is for none
	used[r.all.inUse.Load()] = true
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, generation := range []map[routeKey]*route{r.younger, r.older} {
		for _, route := range generation {
			used[route.inUse.Load()] = true
		}
	}
	return used[1:]
}
