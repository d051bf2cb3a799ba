package variants

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/tokencache"
)

var usual = tokencache.Terms{Patience: 40 * time.Second, Budget: 75 * time.Second}

// variant is one of a tenant's.
func variant(tenant string, cae bool) tokencache.Variant {
	return tokencache.Variant{Tenant: tenant, CAE: cae}
}

// byTenant is the View for a tenant, whose spelling doesn't matter.
func byTenant(v *Views, tenant string, cae bool) *tokencache.View {
	return v.View(variant(tenant, cae), variant(strings.ToLower(tenant), cae))
}

// indexed counts the spellings that are known, and the Views that they lead to.
func indexed(v *Views) (spellings, views int) {
	seen := map[*tokencache.View]bool{}
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
	v := New("identity\n", usual)
	if v.Known(tokencache.Variant{}) != nil || v.Known(variant("t", true)) != nil {
		t.Error("something is known before anything was asked for")
	}
	for _, asked := range []tokencache.Variant{
		{}, {CAE: true}, {Tenant: "contoso"}, {Tenant: "contoso", CAE: true}, {Tenant: "false"},
	} {
		got := byTenant(v, asked.Tenant, asked.CAE)
		if got != byTenant(v, asked.Tenant, asked.CAE) || got != v.Known(asked) {
			t.Errorf("%+v: the second time it is another View, or it isn't known", asked)
		}
		want := tokencache.NewView("identity\n", asked, usual)
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("%+v: the View is of %+v", asked, got)
		}
	}
}

// TestViewsAlias: several spellings are one variant, whose tokens are held once.
func TestViewsAlias(t *testing.T) {
	t.Parallel()
	v := New("identity\n", usual)
	first := byTenant(v, "Contoso.Example", true)
	for _, spelling := range []string{"contoso.example", "CONTOSO.EXAMPLE", "cOntoso.example"} {
		if byTenant(v, spelling, true) != first || v.Known(variant(spelling, true)) != first {
			t.Errorf("%s is another variant, or isn't known", spelling)
		}
		if v.Known(variant(spelling, false)) != nil {
			t.Errorf("%s is known without CAE, too", spelling)
		}
	}
	if spellings, views := indexed(v); spellings != 4 || views != 1 {
		t.Errorf("%d spellings of %d views, want 4 of 1", spellings, views)
	}
}

func TestViewsAreBounded(t *testing.T) {
	t.Parallel()
	v := New("identity\n", usual)
	first := byTenant(v, "t0", true)
	for i := range 3 * maxVariants {
		tenant := fmt.Sprint("t", i)
		if got := byTenant(v, tenant, true); got.Variant().Tenant != tenant {
			t.Fatalf("tenant %s got the View of %s", tenant, got.Variant().Tenant)
		}
	}
	if spellings, views := indexed(v); spellings != maxVariants || views != maxVariants {
		t.Errorf("%d spellings and %d views, want %d of each", spellings, views, maxVariants)
	}
	if byTenant(v, "t0", true) != first || byTenant(v, "T0", true) != first {
		t.Error("a View from before isn't known any more, or not in another spelling")
	}
	late, again := byTenant(v, "late", true), byTenant(v, "late", true)
	if !reflect.DeepEqual(late, again) || v.Known(variant("late", true)) != nil {
		t.Error("beyond the bound: another key, or it is known")
	}
	long := strings.Repeat("x", maxSpelling+1)
	if w := New("identity\n", usual); byTenant(w, long, true) == nil ||
		w.Known(variant(long, true)) != nil {
		t.Error("a tenant that is too long is known")
	}
}

// TestViewsRace: look-ups go on while others make new Views.
func TestViewsRace(t *testing.T) {
	t.Parallel()
	v := New("identity\n", usual)
	var wg sync.WaitGroup
	views := make([]map[string]*tokencache.View, 8)
	for i := range views {
		wg.Go(func() {
			views[i] = map[string]*tokencache.View{}
			for n := range 200 {
				tenant := fmt.Sprint("t", n)
				views[i][tenant] = byTenant(v, tenant, true)
				if v.Known(variant(tenant, true)) != views[i][tenant] || v.Known(variant("t0", true)) == nil {
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
