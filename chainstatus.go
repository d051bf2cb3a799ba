package identity

import "time"

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

// SourceStatus is what became of one source of a Chain.
type SourceStatus struct {
	Name string `json:"name"`
	// the last failure, also if it was overcome since
	LastError   string    `json:"lastError,omitempty"`
	LastErrorOn time.Time `json:"lastErrorOn,omitzero"` // when that was
	// of a credential of this package; nil for a Chain, and for others
	Credential *Status `json:"credential,omitempty"`
}

// Status tells which source is in use, and why others are not. It sends nothing. It is safe for
// concurrent use.
func (c *Chain) Status() ChainStatus {
	if c.engine == nil {
		return ChainStatus{Sources: []SourceStatus{}} // not nil, which would be null in JSON
	}
	is := c.engine.Status()
	s := ChainStatus{InUse: is.InUse, Azure: is.Barred, Sources: make([]SourceStatus, len(is.Sources))}
	for i, source := range is.Sources {
		s.Sources[i] = SourceStatus{
			Name: source.Name, LastError: source.LastError, LastErrorOn: source.LastErrorOn,
		}
		if cred, ok := source.Source.(interface{ Status() Status }); ok {
			status := cred.Status()
			s.Sources[i].Credential = &status
		}
	}
	return s
}

// Statuses implements [Reporter]. The credentials of a Chain in this one are among them.
func (c *Chain) Statuses() []Status {
	list := []Status{} // not nil, which would be null in JSON
	if c.engine == nil {
		return list
	}
	for _, source := range c.engine.Sources() {
		if cred, ok := source.(interface{ Status() Status }); ok {
			list = append(list, cred.Status())
		}
	}
	return list
}
