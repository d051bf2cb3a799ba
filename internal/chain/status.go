package chain

import (
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Status is what became of a chain's sources, at one moment.
type Status struct {
	InUse   string // names of those in use, each once, with commas between; "" for none yet
	Barred  string // why some must not be used; "" while all may
	Sources []SourceStatus
}

// SourceStatus is what became of one of them.
type SourceStatus struct {
	Name   string
	Source azcore.TokenCredential // as in its Link
	// the last failure, which stays after a later success; "" and zero for none
	LastError   string
	LastErrorOn time.Time
}

// Status tells which sources are in use, and why others are not. It asks none of them.
func (c *Chain) Status() Status {
	s := Status{Sources: make([]SourceStatus, len(c.links))}
	var inUse []string
	used := c.memory.routes.inUse(len(c.links))
	for i := range c.links {
		l := &c.links[i]
		if used[i] && !slices.Contains(inUse, l.Name) {
			inUse = append(inUse, l.Name)
		}
		if why := c.bar(i); why != "" {
			s.Barred = why
		}
		s.Sources[i] = SourceStatus{Name: l.Name, Source: l.Source}
		if last := c.memory.lastFailure(i); last.why != "" {
			s.Sources[i].LastError, s.Sources[i].LastErrorOn = last.why, last.at.UTC().Round(0)
		}
	}
	s.InUse = strings.Join(inUse, ", ")
	return s
}

// Sources lists the sources of the chain and of those in it, each once, and no chain.
func (c *Chain) Sources() []azcore.TokenCredential {
	var list []azcore.TokenCredential
	for i := range c.links {
		own := []azcore.TokenCredential{c.links[i].Source}
		if nested, ok := own[0].(*Chain); ok {
			own = nested.Sources()
		}
		for _, source := range own {
			if !slices.Contains(list, source) {
				list = append(list, source)
			}
		}
	}
	return list
}

// Failed is the last failed request of the source in use, as Link.Failed says. A renewal fails
// while the source still has a token, so that GetToken says nothing of it.
func (c *Chain) Failed(options policy.TokenRequestOptions) (time.Time, error) {
	if i := c.inUse(&options); i >= 0 && c.links[i].Failed != nil {
		return c.links[i].Failed(options)
	}
	return time.Time{}, nil
}
