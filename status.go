package identity

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/tokencache"
)

// Status is what a credential holds and what became of its requests, at one moment. It is meant for
// logs and health pages, can be marshaled as JSON, and has no secret in it.
type Status struct {
	Host Host `json:"host"` // whose endpoint is asked; "" where that is none of Azure's
	// why that host: what [Detect] says, or the option that names it; if Host is "", what is asked
	Reason   string `json:"reason"`
	Endpoint string `json:"endpoint"` // its token endpoint, without query
	// the identity that is asked for, such as "client ID 1234…"; "" means the host's default, or
	// whoever is logged in with a developer's tool; "a signed-in user" means that the host's default
	// is a person
	Identity  string           `json:"identity,omitempty"`
	Resources []ResourceStatus `json:"resources"` // what tokens were asked for, by name
}

// ResourceStatus is what is known of the tokens for one resource. It is forgotten an hour after a
// token has expired, and some minutes after a failure where none was held. Credentials of one
// identity share tokens, and so these counts.
type ResourceStatus struct {
	Resource string `json:"resource"` // the scope without "/.default"
	// workload identity: the tenant that the resource named, "" for the identity's own
	TenantID string `json:"tenantId,omitempty"`
	// workload identity, Service Fabric: tokens that can be challenged, as Azure SDK clients ask
	// for
	EnableCAE bool `json:"enableCae,omitempty"`

	// end of the held token, which may be past; zero if none was had yet
	ExpiresOn time.Time `json:"expiresOn,omitzero"`
	RefreshOn time.Time `json:"refreshOn,omitzero"` // from then on the next use renews it

	// the last failure: also that of a try that is repeated, and one that was overcome since
	LastError   string    `json:"lastError,omitempty"`
	LastErrorOn time.Time `json:"lastErrorOn,omitzero"` // when that was
	// after a failure: no renewal is tried before; zero when one may be
	NextTry  time.Time `json:"nextTry,omitzero"`
	InFlight bool      `json:"inFlight,omitempty"` // a request is under way

	Requests  int64 `json:"requests"`  // sent to the host, retries included
	Renewals  int64 `json:"renewals"`  // tokens that the host gave after the first
	Failures  int64 `json:"failures"`  // acquisitions that brought no token, with all their retries
	Throttles int64 `json:"throttles"` // answers of 429, also those that a retry overcame

	// acquisitions that have ended, Failures among them; a tool's runs
	Acquisitions int64 `json:"acquisitions"`
	// how long all of them took together, with their retries, their waits, and what they sent
	// before: Azure Arc's challenge, a federated credential's assertion. In JSON it is a number of
	// nanoseconds, as encoding/json writes and reads a time.Duration.
	AcquisitionTime time.Duration `json:"acquisitionNanoseconds"`
}

// Reporter is any credential of this package, for health pages and metrics: [Credential],
// [FederatedCredential], [AzureCLICredential], [AzureDeveloperCLICredential] and [Chain], which is
// what [NewDefaultCredential] makes. All but those of the developer's tools have Ready, too: for
// a service that takes whichever it is given, declare an interface of a Reporter and Ready.
type Reporter interface {
	azcore.TokenCredential
	// Statuses has the Status of the credential. A Chain's has that of each of its sources, once, and
	// nothing of sources of other packages. It is never nil. It sends nothing, and is safe for
	// concurrent use. Credentials of one identity share tokens, and so have the same counts.
	Statuses() []Status
}

// Statuses implements [Reporter].
func (c *Credential) Statuses() []Status { return []Status{c.Status()} }

// Status tells what the credential holds. It sends nothing and doesn't wait for what is under way;
// it takes time in proportion to the number of tokens that are held, a few milliseconds for 10,000.
// It is safe for concurrent use.
func (c *Credential) Status() Status {
	if c.hosted.hostParts == nil {
		return Status{Resources: []ResourceStatus{}}
	}
	src := c.hosted.host
	s := Status{Host: src.host(), Reason: c.reason, Endpoint: src.Endpoint(),
		Identity: inWords(src.identity())}
	var ofUser bool
	s.Resources, ofUser = c.resources()
	if s.Identity == "" && ofUser {
		s.Identity = "a signed-in user"
	}
	return s
}

// resources are what tokens were asked for, and whether one is a person's.
func (k *cached) resources() (list []ResourceStatus, ofUser bool) {
	list = []ResourceStatus{} // not nil, which would be null in JSON
	for _, stat := range k.tokens.Stats(&k.view) {
		list = append(list, k.resourceStatus(stat))
		ofUser = ofUser || stat.OfUser
	}
	slices.SortFunc(list, func(a, b ResourceStatus) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.TenantID, b.TenantID),
			cmp.Compare(strconv.FormatBool(a.EnableCAE), strconv.FormatBool(b.EnableCAE)))
	})
	return list, ofUser
}

// resourceStatus is what the cache knows of a resource, in users' words.
func (k *cached) resourceStatus(s tokencache.Stat) ResourceStatus {
	r := ResourceStatus{
		Resource:  s.Resource,
		TenantID:  s.Tenant,
		EnableCAE: s.CAE,
		ExpiresOn: s.ExpiresOn,
		RefreshOn: s.RefreshOn,
		InFlight:  s.InFlight,
		Requests:  s.Requests,
		Renewals:  int64(max(s.Granted-1, 0)),
		Failures:  int64(s.Failures),
		Throttles: s.Throttles,

		Acquisitions:    int64(s.Granted + s.Failures),
		AcquisitionTime: s.Took,
	}
	// Times come without the monotonic reading, which means nothing elsewhere.
	if s.LastErr != nil {
		r.LastError = sharedError(s.LastErr, k.source, s.Resource).Error()
		r.LastErrorOn = s.LastErrAt.UTC().Round(0)
	}
	if !s.NextTry.IsZero() {
		r.NextTry = s.NextTry.UTC().Round(0)
	}
	return r
}
