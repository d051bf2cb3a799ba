package identity

import (
	"cmp"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// node is what one process knows of one endpoint, whichever credential asks it.
type node struct {
	limit    int64
	slots    *semaphore.Weighted
	answered atomic.Bool             // it has answered as the host would, so that silence is now a fault and not another place
	absent   atomic.Pointer[absence] // nothing has answered lately
}

// maxConcurrent requests go to one node's endpoint at once. IMDS answers 429 past 5 on a VM:
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#rate-limiting
const maxConcurrent = 5

// realm is what credentials share: tokens, and what is known of endpoints.
type realm struct {
	tokens *cache
	mu     sync.Mutex
	nodes  map[string]*node         // by host and endpoint; a process sees one or two
	tools  map[string]chan struct{} // by program
	azure  atomic.Pointer[string]   // why this is Azure, once something has said so; it never changes after that
}

func newRealm() *realm {
	return &realm{tokens: newCache(), nodes: map[string]*node{}, tools: map[string]chan struct{}{}}
}

// processRealm is the one global variable that changes: fifty clients that each made a credential of one identity shall send one
// request, and the VM's limit of 5 at once holds for the process. Credentials with a Transport of their own stay out
// of it, so that tests never see each other's tokens.
var processRealm = newRealm()

func (r *realm) node(s source) *node {
	key := string(s.host()) + " " + s.address()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[key]
	if n == nil {
		limit := cmp.Or(s.rules().concurrent, maxConcurrent)
		n = &node{limit: limit, slots: semaphore.NewWeighted(limit)}
		r.nodes[key] = n
	}
	return n
}

// tool is what has room for the one run of a developer's tool at a time.
func (r *realm) tool(program string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tools[program] == nil {
		r.tools[program] = make(chan struct{}, 1)
	}
	return r.tools[program]
}

// seen notes what says that this is Azure, and returns what said so first.
func (r *realm) seen(why string) string {
	r.azure.CompareAndSwap(nil, &why)
	return *r.azure.Load()
}
