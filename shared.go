package identity

import (
	"sync"
	"sync/atomic"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/tokencache"
)

// shared is what credentials share: tokens, and what is known of endpoints.
type shared struct {
	tokens *tokencache.Cache
	mu     sync.Mutex                 // guards nodes and tools
	nodes  map[string]*acquire.Node   // by host and endpoint; a process sees one or two
	tools  map[string]*acquire.Places // of one place, by program

	silences sync.Map // by node: the recentSilence of each, for the default credential
	// why this is Azure, once something has said so; it never changes after that
	azure atomic.Pointer[string]
}

func newShared() *shared {
	return &shared{tokens: tokencache.New(), nodes: map[string]*acquire.Node{},
		tools: map[string]*acquire.Places{}}
}

// processShared is the one global variable that changes: fifty clients that each made a credential of
// one identity shall send one request, and the VM's limit of 5 at once holds for the process.
// Credentials with a Transport of their own stay out of it, so that tests never see each other's
// tokens.
var processShared = newShared()

// nodeKey is by what the nodes of endpoints are told apart.
func nodeKey(h anyHost) string { return string(h.host()) + " " + h.Address() }

func (r *shared) node(h anyHost) *acquire.Node {
	key := nodeKey(h)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[key]
	if n == nil {
		n = acquire.NewNode(h.Rules().AtOnce)
		r.nodes[key] = n
	}
	return n
}

// tool hands out the one place for runs of a developer's tool.
func (r *shared) tool(program string) *acquire.Places {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tools[program] == nil {
		r.tools[program] = acquire.NewPlaces(1)
	}
	return r.tools[program]
}

// seen notes what says that this is Azure, and returns what said so first.
func (r *shared) seen(why string) string {
	r.azure.CompareAndSwap(nil, &why)
	return *r.azure.Load()
}
