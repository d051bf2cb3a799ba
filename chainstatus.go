package identity

import (
	"slices"
	"strings"
	"time"
)

// ChainStatus is what became of a chain's sources, at one moment. It is meant for logs and health
// pages, can be marshaled as JSON, and has no secret in it.
type ChainStatus struct {
	// the source that last brought a token, "" for none yet; "A, B" where A brings those of some
	// scopes and B those of others
	InUse string `json:"inUse"`
	// of NewDefaultCredential: what says that this is Azure, so that the developer's sources are
	// barred
	Azure   string         `json:"azure,omitempty"`
	Sources []SourceStatus `json:"sources"` // in order
}

// SourceStatus is what became of one of them.
type SourceStatus struct {
	Name string `json:"name"`
	// the last failure, also if it was overcome since
	LastError   string    `json:"lastError,omitempty"`
	LastErrorOn time.Time `json:"lastErrorOn,omitzero"` // when that was
	Credential  *Status   `json:"credential,omitempty"` // of a Credential; nil for others
}

// Status tells which source is in use, and why others are not. It sends nothing. It is safe for
// concurrent use.
func (c *Chain) Status() ChainStatus {
	s := ChainStatus{Sources: make([]SourceStatus, len(c.links))}
	if c.state == nil { // not made by a constructor
		return s
	}
	var inUse []string
	used := c.state.memory.routes.inUse(len(c.links))
	for i := range c.links {
		l := &c.links[i]
		if used[i] && !slices.Contains(inUse, l.name) {
			inUse = append(inUse, l.name)
		}
		source := SourceStatus{Name: l.name}
		if why := c.bar(i); why != "" {
			s.Azure = why
		}
		if last := c.state.memory.lastFailure(i); last.why != "" {
			source.LastError, source.LastErrorOn = last.why, last.at.UTC().Round(0)
		}
		if cred, ok := l.source.(interface{ Status() Status }); ok {
			status := cred.Status()
			source.Credential = &status
		}
		s.Sources[i] = source
	}
	s.InUse = strings.Join(inUse, ", ")
	return s
}
