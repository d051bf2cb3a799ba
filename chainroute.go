package identity

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	// maxRouteText bounds the text of one. A call with more walks each time.
	maxRouteText = 2 * maxResourceLength
	// maxMisses is how many look-ups may take the slow way before the index is copied.
	maxMisses = 64
)

// routes finds them. In constant use one stays, whatever else is asked for: full generations are
// let go, and what is still used moves from the older to the younger.
type routes struct {
	all   route                               // of a chain in which all scopes have one
	index atomic.Pointer[map[routeKey]*route] // for calls: no lock, no allocation

	mu             sync.Mutex // guards the rest
	younger, older map[routeKey]*route
	misses         int // of look-ups since the index was made
}

// known is the route for what options ask for, or nil.
func (c *Chain) known(options *policy.TokenRequestOptions) *route {
	if c.whole {
		return &c.state.routes.all
	}
	key := routeKeyOf(options)
	if index := c.state.routes.index.Load(); index != nil {
		if r := (*index)[key]; r != nil {
			return r
		}
	}
	return c.state.routes.find(key, false)
}

// routeFor is the same, and makes it if need be.
func (c *Chain) routeFor(options *policy.TokenRequestOptions) *route {
	if r := c.known(options); r != nil {
		return r
	}
	return c.state.routes.find(routeKeyOf(options), true)
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
		// they may be pieces of a large text
		key.scopes, key.tenant = strings.Clone(key.scopes), strings.Clone(key.tenant)
		r.younger[key] = found
	}
	if r.misses++; r.misses > min(len(r.younger), maxMisses) || len(r.younger) == 1 {
		index := maps.Clone(r.younger)
		r.index.Store(&index)
		r.misses = 0
	}
	return found
}

// inUse are the names of the sources in use, in their order.
func (c *Chain) inUse() string {
	used := make([]bool, len(c.links)+1)
	routes := &c.state.routes
	used[routes.all.inUse.Load()] = true
	routes.mu.Lock()
	for _, generation := range []map[routeKey]*route{routes.younger, routes.older} {
		for _, r := range generation {
			used[r.inUse.Load()] = true
		}
	}
	routes.mu.Unlock()
	var names []string
	for i := range c.links {
		if used[i+1] && !slices.Contains(names, c.links[i].name) {
			names = append(names, c.links[i].name)
		}
	}
	return strings.Join(names, ", ")
}

// use makes a source the one in use, after those before it have been asked. since is what was in
// use when that began: one before it that has come into use meanwhile, by another walk or a look,
// stays. It returns what is to be logged, nil for nothing.
func (c *Chain) use(
	r *route, i int, since int32, reasons []attempt, options policy.TokenRequestOptions,
) (news func()) {
	before := r.inUse.Load()
	for {
		if before > 0 && before <= int32(i) && before != since {
			return nil
		}
		if r.inUse.CompareAndSwap(before, int32(i+1)) {
			break
		}
		before = r.inUse.Load()
	}
	r.next.Store(int64(time.Since(c.made) + lookEvery))
	if int(before) == i+1 {
		return nil
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].name))
	}
	if !c.whole {
		attrs = append(attrs, slog.String("resource", wanted(options)))
	}
	for j := range i {
		if why, _ := c.reasonFor(j, reasons); why != "" {
			attrs = append(attrs, slog.String("not "+c.links[j].name, why))
		}
	}
	return func() {
		c.log.LogAttrs(context.Background(), slog.LevelInfo, "source of tokens in use", attrs...)
	}
}
