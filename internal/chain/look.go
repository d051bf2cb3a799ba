package chain

import (
	"context"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// maxLooks bounds the looks at once of all routes: each is a goroutine, and its source may
// ignore its ctx for good. Ten that take a second each look after 600 scopes a minute.
const maxLooks = 10

// lookBack has the sources before the one in use looked at, if it is time. It dates the token so
// that SDK clients, which keep it, ask again soon.
func (c *Chain) lookBack(
	r *route, i int, options *policy.TokenRequestOptions, token *azcore.AccessToken,
) {
	now := time.Now()
	askedAgain(token, now)
	due := func() bool { return int64(now.Sub(c.made)) >= r.next.Load() }
	if !due() || !r.looking.CompareAndSwap(false, true) {
		return
	}
	if !due() || !c.mayLook() { // another look has just ended, or too many are under way
		r.looking.Store(false)
		return
	}
	own := *options
	own.Claims, own.Scopes = "", slices.Clone(own.Scopes)
	go c.look(r, i, own)
}

// askedAgain has Azure SDK clients keep a token for lookEvery and no longer.
func askedAgain(token *azcore.AccessToken, now time.Time) {
	if soon := now.Add(lookEvery).UTC(); token.RefreshOn.IsZero() || token.RefreshOn.After(soon) {
		token.RefreshOn = soon
	}
}

// mayLook takes one of the looks at once, if any is left. look gives it back.
func (c *Chain) mayLook() bool {
	if c.looks.Add(1) > maxLooks {
		c.looks.Add(-1)
		return false
	}
	return true
}

// look asks the sources before the one in use, for a minute at most and without a caller's values.
// There is one look at a time for a route.
func (c *Chain) look(r *route, end int, options policy.TokenRequestOptions) {
	before := r.inUse.Load()
	var news func()
	defer func() { // also if a source ends this goroutine
		r.next.Store(int64(time.Since(c.made) + lookEvery))
		r.looking.Store(false)
		c.looks.Add(-1)
		c.report(before, news)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	for i := range end {
		if c.bar(i) != "" || c.resting(i) {
			continue
		}
		_, a := c.ask(ctx, i, options)
		switch {
		case a.err == nil && c.bar(i) == "":
			news = c.use(r, i, 0, nil, options)
			return
		case a.err != nil && !a.goesOn: // it is there, and of no use: what is in use stays
			news = c.log.failed(c.links[i].Name, a.why)
			return
		}
	}
}
