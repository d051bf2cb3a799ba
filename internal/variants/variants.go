// Package variants finds the View of a token cache that a caller asks for, where the tokens of one
// identity differ by more than the resource: by tenant, and by whether they can be challenged.
//
// It doesn't know which variants there are, or how a caller's words are judged.
package variants

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/keyless-go/identity/internal/tokencache"
)

// Views are those of a credential whose tokens differ by more than the resource: one for each
// variant. The index is by what callers say, so that a hit needs no judgement of it, no lock and
// no allocation.
type Views struct {
	identity string
	terms    tokencache.Terms
	// of callers who name no tenant, which are nearly all: without claims challenges, and with them
	home  [2]atomic.Pointer[tokencache.View]
	index atomic.Pointer[map[tokencache.Variant]*tokencache.View] // by the variant as callers spell it

	mu sync.Mutex // guards the replacement of index
}

const (
	// maxVariants bounds the index: tenants come from resources, in spellings of theirs. Beyond it
	// a View serves one call.
	maxVariants = 1000
	// maxSpelling bounds what the index keeps of a caller's tenant.
	maxSpelling = 1024
)

// New makes the Views of an identity: see tokencache.NewView.
func New(identity string, terms tokencache.Terms) *Views {
	return &Views{identity: identity, terms: terms}
}

// Known returns the View that was given for the variant that a caller asks for, nil for none.
func (v *Views) Known(asked tokencache.Variant) *tokencache.View {
	if asked.Tenant == "" {
		return v.atHome(asked.CAE).Load()
	}
	if index := v.index.Load(); index != nil {
		return (*index)[asked]
	}
	return nil
}

func (v *Views) atHome(cae bool) *atomic.Pointer[tokencache.View] {
	if cae {
		return &v.home[1]
	}
	return &v.home[0]
}

// View returns the View of a variant, for callers who ask for it in these words.
func (v *Views) View(asked, variant tokencache.Variant) *tokencache.View {
	if known := v.Known(asked); known != nil {
		return known
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var index map[tokencache.Variant]*tokencache.View
	if p := v.index.Load(); p != nil {
		index = *p
	}
	var found *tokencache.View
	for _, other := range index { // the same tenant in another spelling
		if other.Variant() == variant {
			found = other
			break
		}
	}
	if found == nil {
		own := tokencache.NewView(v.identity, variant, v.terms)
		found = &own
	}
	if len(index) >= maxVariants || len(asked.Tenant) > maxSpelling {
		return found
	}
	grown := make(map[tokencache.Variant]*tokencache.View, len(index)+1)
	maps.Copy(grown, index)
	grown[asked] = found
	v.index.Store(&grown)
	if asked.Tenant == "" {
		v.atHome(asked.CAE).Store(found)
	}
	return found
}
