package chain

import (
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// inUse is the source in use for what options ask for, -1 for none, and for one that is barred.
func (c *Chain) inUse(options *policy.TokenRequestOptions) int {
	r := c.known(options)
	if r == nil {
		return -1
	}
	i := int(r.inUse.Load()) - 1
	if i >= 0 && c.bar(i) != "" {
		return -1
	}
	return i
}

// use makes a source the one in use, after those before it have been asked. since is what was in
// use when that began. It returns what is to be logged, nil for nothing.
func (c *Chain) use(
	r *route, i int, since int32, reasons []attempt, options policy.TokenRequestOptions,
) (news func()) {
	before, taken := r.take(i, since)
	if !taken {
		return nil
	}
	r.next.Store(int64(time.Since(c.made) + lookEvery))
	if int(before) == i+1 {
		return nil
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].Name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].Name))
	}
	if !c.whole {
		attrs = append(attrs, slog.String("resource", wanted(options)))
	}
	for j := range i {
		if why, _ := reasonFor(j, reasons, &c.memory); why != "" {
			attrs = append(attrs, slog.String("not "+c.links[j].Name, why))
		}
	}
	return c.log.inUse(attrs)
}

// Announce has the log say, once, that sources are barred, if that is so already.
func (c *Chain) Announce() { c.report(0, nil) }

// report has the log say what a walk or a look has changed. before is what was in use until then,
// as in route.inUse.
func (c *Chain) report(before int32, news func()) {
	if first := c.announcement(before); first != nil || news != nil {
		c.log.tell(first, news)
	}
}

// announcement are the news, once, that sources are barred; nil for none. before is what was in use
// until then, as in route.inUse.
func (c *Chain) announcement(before int32) (news func()) {
	if c.log.told.Load() {
		return nil
	}
	for i := range c.links {
		if why := c.bar(i); why != "" {
			return c.log.barred(c.links[i].Bar.News, why, before > 0 && c.links[before-1].Bar != nil)
		}
	}
	return nil
}
