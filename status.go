package identity

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Status is what a credential holds and what became of its requests, at one moment. It is meant for logs and health pages,
// can be marshaled as JSON, and has no secret in it.
type Status struct {
	Host Host `json:"host"` // whose endpoint is asked
	// why that one: what [Detect] says, or the option that names it
	Reason   string `json:"reason"`
	Endpoint string `json:"endpoint"` // its token endpoint, without query
	// the one that is asked for, such as "client ID 1234…"; "" means the host's default, "a
	// signed-in user" that it gave such tokens
	Identity  string           `json:"identity,omitempty"`
	Resources []ResourceStatus `json:"resources"` // what tokens were asked for, by name
}

// ResourceStatus is what is known of the tokens for one resource. It is forgotten an hour after a token has expired, and some
// minutes after a failure where none was held. Credentials of one identity share tokens, and so these counts.
type ResourceStatus struct {
	Resource  string `json:"resource"`            // the scope without "/.default"
	TenantID  string `json:"tenantId,omitempty"`  // workload identity: the tenant that the resource named, "" for the identity's own
	EnableCAE bool   `json:"enableCae,omitempty"` // workload identity, Service Fabric: tokens that can be challenged, as Azure SDK clients ask for

	ExpiresOn time.Time `json:"expiresOn,omitzero"` // end of the held token, which may be past; zero if none was had yet
	RefreshOn time.Time `json:"refreshOn,omitzero"` // from then on the next use renews it

	LastError   string    `json:"lastError,omitempty"`  // the last failure, also of a try that is repeated, and if it was overcome since
	LastErrorOn time.Time `json:"lastErrorOn,omitzero"` // when that was
	NextTry     time.Time `json:"nextTry,omitzero"`     // after a failure: no renewal is tried before; zero when one may be
	InFlight    bool      `json:"inFlight,omitempty"`   // a request is under way

	Requests  int64 `json:"requests"`  // sent to the host, retries included
	Renewals  int64 `json:"renewals"`  // tokens that the host gave after the first
	Failures  int64 `json:"failures"`  // acquisitions that brought no token, with all their retries
	Throttles int64 `json:"throttles"` // answers of 429, also those that a retry overcame
}

// Status tells what the credential holds. It sends nothing and doesn't wait for what is under way; it takes time in
// proportion to the number of tokens that are held, a few milliseconds for 10,000. It is safe for concurrent use.
func (c *Credential) Status() Status {
	if c.sender == nil {
		return Status{Resources: []ResourceStatus{}}
	}
	src := c.sender.source
	s := Status{Host: src.host(), Reason: c.reason, Endpoint: src.endpoint()}
	var ofUser bool
	s.Resources, ofUser = c.tokens.status(c.view.identity, c.variants != nil, c.sender)
	if id := src.identity(); id != nil {
		s.Identity = describeID(id)
	} else if ofUser {
		s.Identity = "a signed-in user"
	}
	return s
}

// status lists the entries of one identity, in order, and says whether one of their tokens is a
// person's where it should be a managed identity's. With variants, the keys have them before the
// resource.
func (c *cache) status(
	identity string, variants bool, a acquirer,
) (list []ResourceStatus, ofUser bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	list = []ResourceStatus{} // not nil, which would be null in JSON
	for key, item := range c.store.Items() {
		rest, ok := strings.CutPrefix(key, identity)
		if !ok {
			continue
		}
		e := item.Object.(*entry)
		s := e.status(a, now)
		if h := e.held.Load(); h != nil && h.ofUser {
			ofUser = true
		}
		if variants {
			var cae string
			s.TenantID, rest, _ = strings.Cut(rest, "\n")
			cae, rest, _ = strings.Cut(rest, "\n")
			s.EnableCAE = cae == "true"
		}
		s.Resource = strings.Clone(rest)
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b ResourceStatus) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.TenantID, b.TenantID), compareBool(a.EnableCAE, b.EnableCAE))
	})
	return list, ofUser
}

// status is called under cache.mu.
func (e *entry) status(a acquirer, now time.Time) ResourceStatus {
	s := ResourceStatus{
		LastError: e.lastErr,
		Requests:  e.requests,
		Renewals:  int64(max(e.granted-1, 0)),
		Failures:  int64(e.failed),
		Throttles: e.throttled,
	}
	if h := e.held.Load(); h != nil {
		s.ExpiresOn, s.RefreshOn = h.token.ExpiresOn, h.token.RefreshOn
	}
	if e.lastErr != "" {
		s.LastErrorOn = e.lastErrAt.UTC().Round(0) // without the monotonic reading, which means nothing elsewhere
	}
	if next := e.nextTry(e.lane(a.terms()), a.patience()); now.Before(next) {
		s.NextTry = next.UTC().Round(0)
	}
	for _, l := range e.lanes {
		f := l.flight
		if f == nil {
			continue
		}
		s.InFlight = true
		if last := f.tally.last.Load(); last != nil && !last.at.Before(s.LastErrorOn) {
			s.LastError, s.LastErrorOn = last.err.Error(), last.at.UTC().Round(0)
		}
		s.Requests += f.tally.requests.Load()
		s.Throttles += f.tally.throttled.Load()
	}
	return s
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
