package identity

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// variants are the views of a credential whose host is a chooser: one for each tenant, with and without claims
// challenges. The index is by what callers say, so that a hit needs no judgement of it, no lock and no allocation.
type variants struct {
	source   chooser
	identity string // of all of them, in the cache's keys
	index    atomic.Pointer[map[wish]*view]

	mu sync.Mutex // guards the replacement of index
}

// wish is the part of a caller's options that matters.
type wish struct {
	tenant string
	cae    bool
}

func wishOf(options *policy.TokenRequestOptions) wish {
	return wish{options.TenantID, options.EnableCAE}
}

// maxVariants bounds the index: tenants come from resources, in spellings of theirs. Beyond it a view serves one call.
const maxVariants = 1000

// known returns the view for a wish that was granted before, or nil.
func (v *variants) known(w wish) *view {
	if index := v.index.Load(); index != nil {
		return (*index)[w]
	}
	return nil
}

// view returns the view that options ask for, or why there is none. Claims are judged each time.
func (v *variants) view(options policy.TokenRequestOptions) (*view, error) {
	chosen, err := v.source.choose(options)
	if err != nil {
		return nil, err
	}
	w := wishOf(&options)
	if known := v.known(w); known != nil {
		return known, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var index map[wish]*view
	if p := v.index.Load(); p != nil {
		index = *p
	}
	var found *view
	for _, other := range index { // the same tenant in another spelling
		if other.variant == chosen {
			found = other
			break
		}
	}
	if found == nil {
		found = &view{identity: v.identity + chosen.key(), variant: chosen}
	}
	if len(index) >= maxVariants || len(w.tenant) > maxIDLength {
		return found, nil
	}
	grown := make(map[wish]*view, len(index)+1)
	maps.Copy(grown, index)
	grown[w] = found
	v.index.Store(&grown)
	return found, nil
}
