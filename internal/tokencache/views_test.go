package tokencache

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// byTenant is the View for a tenant, whose spelling doesn't matter.
func byTenant(v *Views, tenant string, cae bool) *View {
	return v.View(Variant{tenant, cae}, Variant{strings.ToLower(tenant), cae})
}

// indexed counts the spellings that are known, and the Views that they lead to.
func indexed(v *Views) (spellings, views int) {
	seen := map[*View]bool{}
	if index := v.index.Load(); index != nil {
		for _, known := range *index {
			seen[known] = true
		}
		spellings = len(*index)
	}
	return spellings, len(seen)
}

func TestViews(t *testing.T) {
	t.Parallel()
	v := NewViews("identity\n", usual)
	if v.Known(Variant{}) != nil || v.Known(Variant{"t", true}) != nil {
		t.Error("something is known before anything was asked for")
	}
	keys := map[string]bool{}
	for _, asked := range []Variant{
		{"", false}, {"", true}, {"contoso", false}, {"contoso", true}, {"false", false},
	} {
		got := byTenant(v, asked.Tenant, asked.CAE)
		if got != byTenant(v, asked.Tenant, asked.CAE) || got != v.Known(asked) {
			t.Errorf("%+v: the second time it is another View, or it isn't known", asked)
		}
		if got.Variant() != asked || got.terms != usual {
			t.Errorf("%+v: the View is of %+v, %+v", asked, got.variant, got.terms)
		}
		key := got.key(vault)
		if keys[key] || !strings.HasPrefix(key, "identity\n") {
			t.Errorf("%+v has the key %q of another", asked, key)
		}
		keys[key] = true
	}
}

// TestViewsAlias: several spellings are one variant, whose tokens are held once.
func TestViewsAlias(t *testing.T) {
	t.Parallel()
	v := NewViews("identity\n", usual)
	first := byTenant(v, "Contoso.Example", true)
	for _, spelling := range []string{"contoso.example", "CONTOSO.EXAMPLE", "cOntoso.example"} {
		if byTenant(v, spelling, true) != first || v.Known(Variant{spelling, true}) != first {
			t.Errorf("%s is another variant, or isn't known", spelling)
		}
		if v.Known(Variant{spelling, false}) != nil {
			t.Errorf("%s is known without CAE, too", spelling)
		}
	}
	if spellings, views := indexed(v); spellings != 4 || views != 1 {
		t.Errorf("%d spellings of %d views, want 4 of 1", spellings, views)
	}
}

func TestViewsAreBounded(t *testing.T) {
	t.Parallel()
	v := NewViews("identity\n", usual)
	first := byTenant(v, "t0", true)
	for i := range 3 * maxVariants {
		tenant := fmt.Sprint("t", i)
		if got := byTenant(v, tenant, true); got.variant.Tenant != tenant {
			t.Fatalf("tenant %s got the View of %s", tenant, got.variant.Tenant)
		}
	}
	if spellings, views := indexed(v); spellings != maxVariants || views != maxVariants {
		t.Errorf("%d spellings and %d views, want %d of each", spellings, views, maxVariants)
	}
	if byTenant(v, "t0", true) != first || byTenant(v, "T0", true) != first {
		t.Error("a View from before isn't known any more, or not in another spelling")
	}
	late, again := byTenant(v, "late", true), byTenant(v, "late", true)
	if late.key(vault) != again.key(vault) || v.Known(Variant{"late", true}) != nil {
		t.Error("beyond the bound: another key, or it is known")
	}
	long := strings.Repeat("x", maxSpelling+1)
	if w := NewViews("identity\n", usual); byTenant(w, long, true) == nil ||
		w.Known(Variant{long, true}) != nil {
		t.Error("a tenant that is too long is known")
	}
}

// TestViewsRace: look-ups go on while others make new Views.
func TestViewsRace(t *testing.T) {
	t.Parallel()
	v := NewViews("identity\n", usual)
	var wg sync.WaitGroup
	views := make([]map[string]*View, 8)
	for i := range views {
		wg.Go(func() {
			views[i] = map[string]*View{}
			for n := range 200 {
				tenant := fmt.Sprint("t", n)
				views[i][tenant] = byTenant(v, tenant, true)
				if v.Known(Variant{tenant, true}) != views[i][tenant] || v.Known(Variant{"t0", true}) == nil {
					t.Errorf("tenant %s isn't known, or t0 was forgotten", tenant)
				}
			}
		})
	}
	wg.Wait()
	for i, mine := range views {
		for tenant, got := range mine {
			if got != views[0][tenant] {
				t.Fatalf("goroutine %d has another View of %s than the first", i, tenant)
			}
		}
	}
}
