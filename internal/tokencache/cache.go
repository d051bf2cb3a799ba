package tokencache

import (
	"sync"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Cache holds tokens. It is safe for concurrent use.
//
// mu is never held over I/O, nor over code of others: a Source, methods of contexts and of errors.
type Cache struct {
	mu sync.Mutex
	// identity, variant and resource -> *entry. It is always used under mu, its own lock is never
	// contended
	store  *gocache.Cache
	swept  time.Time
	limit  int // of tokens
	others int // keys without a valid token or a flight, when room was made last
	flying int // flights

	met           *string       // the rules of the first credential that asked
	mixed         bool          // others have asked with other terms
	patience      time.Duration // of the most patient credential that asked
	leastPatience time.Duration // of the least patient one
}

const (
	// maxKeys bounds the store: a service that asks for tokens of resources that its callers name
	// must not grow for ever. 10,000 tokens of 2 KiB are 20 MB.
	maxKeys = 10_000
	// flyingShare: one in ten may have a flight, which holds a goroutine and can't be dropped to make
	// room. A thousand of them are nearly what IMDS, at 20 requests a second, could serve within the
	// budget. As many keys may have failed. They are kept beside a full store, so that each has its
	// cool-down and no token has to leave for it.
	flyingShare = 10
	// withFlight is for how long a key with a flight stays.
	withFlight = gocache.NoExpiration
)

// New makes an empty Cache. It starts no goroutine.
func New() *Cache {
	// No janitor: it would be a goroutine that only a finalizer stops.
	c := &Cache{store: gocache.New(gocache.NoExpiration, 0), swept: time.Now(), limit: maxKeys}
	c.store.OnEvicted(func(_ string, x any) {
		e := x.(*entry)
		e.stored = false
		e.held.Store(nil) // whoever has it in an index looks further
	})
	return c
}

// entry finds a key's entry, or makes one that a flight will put into the store.
func (c *Cache) entry(key string) *entry {
	if e, ok := c.store.Get(key); ok {
		return e.(*entry)
	}
	c.store.Delete(key) // if it is there it has expired, and replacing it would not tell OnEvicted
	return &entry{trouble: &calm}
}

// crowded reports whether so many flights are under way that no other may start.
func (c *Cache) crowded() bool { return c.flying >= max(c.limit/flyingShare, 1) }
