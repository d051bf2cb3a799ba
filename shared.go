package identity

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyless-go/identity/internal/tokencache"
)

// node is what one process knows of one endpoint, whichever credential asks it.
type node struct {
	limit    int
	places   queue       // of requests for tokens
	probes   queue       // of the probe, which is to find out while those are all taken
	answered atomic.Bool // it has answered as the host would, so that silence is now a fault and not another place

	mu          sync.Mutex         // guards the rest
	underWay    map[*try]time.Time // tries that have a place, and since when
	silentSince time.Time          // when the silence began that was last noticed at silentAt
	silentAt    time.Time
}

// slowly is how long a request is under way after which somebody must be there who thinks about it:
// nodeDialer finds out within a second that nobody is.
const slowly = 2 * time.Second

// silent notes that a request has found nobody there.
func (n *node) silent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Sub(n.silentAt) > slowly {
		n.silentSince = now
	}
	n.silentAt = now
}

// foundNobody reports whether a request has found nobody there since, or waits for an answer.
func (n *node) foundNobody(since time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.underWay) > 0 || !n.silentAt.Before(since)
}

// deserted reports whether all requests have found nobody there for so long, and none is waiting
// for an answer.
func (n *node) deserted(d time.Duration) bool {
	if n.answered.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for w, began := range n.underWay {
		if now.Sub(began) >= slowly && !w.connecting.Load() {
			n.silentAt = time.Time{}
			return false
		}
	}
	return now.Sub(n.silentAt) <= slowly && now.Sub(n.silentSince) >= d
}

// maxConcurrent requests go to one node's endpoint at once. IMDS answers 429 past 5 on a VM:
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#rate-limiting
const maxConcurrent = 5

// shared is what credentials share: tokens, and what is known of endpoints.
type shared struct {
	tokens   *tokencache.Cache
	mu       sync.Mutex
	nodes    map[string]*node       // by host and endpoint; a process sees one or two
	tools    map[string]*queue      // by program
	silences sync.Map               // by node: the recentSilence of each, for the default credential
	azure    atomic.Pointer[string] // why this is Azure, once something has said so; it never changes after that
}

func newShared() *shared {
	return &shared{tokens: tokencache.New(), nodes: map[string]*node{}, tools: map[string]*queue{}}
}

// processShared is the one global variable that changes: fifty clients that each made a credential of one identity shall send one
// request, and the VM's limit of 5 at once holds for the process. Credentials with a Transport of their own stay out
// of it, so that tests never see each other's tokens.
var processShared = newShared()

func (r *shared) node(s source) *node {
	key := string(s.host()) + " " + s.address()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[key]
	if n == nil {
		limit := cmp.Or(s.rules().concurrent, maxConcurrent)
		n = &node{limit: limit, underWay: map[*try]time.Time{}, places: queue{free: limit},
			probes: queue{free: 1}}
		r.nodes[key] = n
	}
	return n
}

// tool hands out the one place for runs of a developer's tool.
func (r *shared) tool(program string) *queue {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tools[program] == nil {
		r.tools[program] = &queue{free: 1}
	}
	return r.tools[program]
}

// seen notes what says that this is Azure, and returns what said so first.
func (r *shared) seen(why string) string {
	r.azure.CompareAndSwap(nil, &why)
	return *r.azure.Load()
}
