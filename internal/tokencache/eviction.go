package tokencache

import (
	"cmp"
	"slices"
	"time"
)

const (
	// evictShare: one in a hundred leaves at once when it is full, so that sorting them costs
	// little per key.
	evictShare = 100
	// sweepEvery bounds how often the store is searched for what has expired. It is also how
	// exactly the store knows when a token was used last: a hit only sets a mark, and that only if
	// it isn't set.
	sweepEvery = 10 * time.Minute
)

// leaving is a key that can be dropped.
type leaving struct {
	key  string
	used time.Time // the first to leave was used longest ago,
	ends int64     // and ends first of those
}

// keep puts an entry into the store for a time.
func (c *Cache) keep(key string, e *entry, d time.Duration) {
	if !e.stored {
		// by an entry that was made while this one's flight was stuck
		if _, taken := c.store.Get(key); taken {
			return
		}
	}
	c.store.Set(key, e, d)
	e.stored = true
}

// tend makes room for what a flight has brought to a key, and drops what has ended. Only a token
// pushes out another: what is merely asked for may fail.
func (c *Cache) tend(key string, brought bool, now time.Time) {
	excess := c.store.ItemCount() - c.flying - c.others - c.limit
	if brought && excess > 0 || excess >= c.batch() {
		c.makeRoom(key, now)
	}
	if now.Sub(c.swept) >= sweepEvery {
		c.sweep(now)
	}
}

// batch is how many keys leave at once.
func (c *Cache) batch() int { return max(c.limit/evictShare, 1) }

// sweep drops what has expired, and notes what was used.
func (c *Cache) sweep(now time.Time) {
	c.swept = now
	c.store.DeleteExpired()
	for _, item := range c.store.Items() {
		e := item.Object.(*entry)
		e.noteUse(now)
		e.tidy(now)
	}
}

// noteUse takes the mark off that hits have set.
func (e *entry) noteUse(now time.Time) {
	if e.used.Swap(false) {
		e.lastUsed = now
	}
}

// makeRoom drops the tokens that were used longest ago when there are more than the limit, and of
// the keys without a valid token, if they are too many, those that are nearest to their end. Those
// with a flight stay, and so does the key for which room is made.
func (c *Cache) makeRoom(own string, now time.Time) {
	c.store.DeleteExpired()
	var tokens, others []leaving
	valid := 0
	for key, item := range c.store.Items() {
		e := item.Object.(*entry)
		e.noteUse(now)
		h := e.held.Load()
		holds := h != nil && now.Before(h.token.ExpiresOn)
		if holds {
			valid++
		}
		switch {
		case item.Expiration <= 0 || key == own:
		case holds:
			tokens = append(tokens, leaving{key, e.lastUsed, item.Expiration})
		default:
			others = append(others, leaving{key, time.Time{}, item.Expiration})
		}
	}
	if excess := valid - c.limit; excess > 0 {
		c.drop(tokens, excess+c.batch()-1)
	}
	c.others = len(others)
	if excess := len(others) - max(c.limit/flyingShare, 1); excess > 0 {
		c.others -= c.drop(others, excess+c.batch()-1)
	}
}

// drop drops the first n, as far as there are so many, and returns how many those were.
func (c *Cache) drop(keys []leaving, n int) int {
	slices.SortFunc(keys, func(a, b leaving) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.ends, b.ends))
	})
	n = min(n, len(keys))
	for _, k := range keys[:n] {
		c.store.Delete(k.key)
	}
	return n
}
