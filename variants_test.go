package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// chooserFunc is a function as a source that chooses.
type chooserFunc func(policy.TokenRequestOptions) (variant, error)

func (f chooserFunc) choose(o policy.TokenRequestOptions) (variant, error) { return f(o) }

// byTenant chooses as workload identity does: tenants are the same in any case.
func byTenant(o policy.TokenRequestOptions) (variant, error) {
	return variant{tenant: strings.ToLower(o.TenantID), cae: o.EnableCAE}, nil
}

// mustView returns the view for a tenant.
func mustView(tb testing.TB, v *variants, tenant string, cae bool) *view {
	tb.Helper()
	got, err := v.view(policy.TokenRequestOptions{TenantID: tenant, EnableCAE: cae})
	if err != nil || got == nil {
		tb.Fatalf("tenant %q, CAE %v: got %v, error %v", tenant, cae, got, err)
	}
	return got
}

// indexed counts the wishes that are known.
// viewsOf are the views that the index leads to, each once.
func viewsOf(v *variants) map[variant]*view {
	views := map[variant]*view{}
	if index := v.index.Load(); index != nil {
		for _, known := range *index {
			views[known.variant] = known
		}
	}
	return views
}

func indexed(v *variants) int {
	if p := v.index.Load(); p != nil {
		return len(*p)
	}
	return 0
}

func TestVariants(t *testing.T) {
	t.Parallel()
	v := &variants{source: chooserFunc(byTenant), identity: "host\nendpoint\n\n"}
	if v.known(wish{}) != nil || v.known(wish{"t", true}) != nil {
		t.Error("something is known before anything was asked for")
	}
	plain := mustView(t, v, "", false)
	for _, tt := range []struct {
		name   string
		tenant string
		cae    bool
		as     *view // nil: another one than all before
	}{
		{"the same again", "", false, plain},
		{"with CAE", "", true, nil},
		{"a tenant", "contoso", false, nil},
		{"a tenant with CAE", "contoso", true, nil},
		{"a tenant named like a key", "false", false, nil},
	} {
		before := map[*view]bool{}
		for _, known := range viewsOf(v) {
			before[known] = true
		}
		got := mustView(t, v, tt.tenant, tt.cae)
		switch {
		case tt.as != nil && got != tt.as, tt.as == nil && before[got]:
			t.Errorf("%s: got the view of %+v", tt.name, got.variant)
		case got != mustView(t, v, tt.tenant, tt.cae), got != v.known(wish{tt.tenant, tt.cae}):
			t.Errorf("%s: the second time it is another view, or it isn't known", tt.name)
		case got.variant != variant{tt.tenant, tt.cae}:
			t.Errorf("%s: the view is of %+v", tt.name, got.variant)
		}
	}
	keys := map[string]variant{}
	for _, known := range viewsOf(v) {
		if other, ok := keys[known.identity]; ok || !strings.HasPrefix(known.identity, "host\nendpoint\n\n") {
			t.Errorf("%+v and %+v have the key %q", known.variant, other, known.identity)
		}
		keys[known.identity] = known.variant
	}
	if len(keys) != 5 {
		t.Errorf("%d views, want 5", len(keys))
	}
}

// TestVariantsAlias: several spellings are one variant, whose tokens are held once.
func TestVariantsAlias(t *testing.T) {
	t.Parallel()
	v := &variants{source: chooserFunc(byTenant)}
	first := mustView(t, v, "Contoso.Example", true)
	for _, spelling := range []string{"contoso.example", "CONTOSO.EXAMPLE", "cOntoso.example"} {
		if mustView(t, v, spelling, true) != first || v.known(wish{spelling, true}) != first {
			t.Errorf("%s is another variant, or isn't known", spelling)
		}
		if v.known(wish{spelling, false}) != nil {
			t.Errorf("%s is known without CAE, too", spelling)
		}
	}
	if len(viewsOf(v)) != 1 || indexed(v) != 4 {
		t.Errorf("%d views and %d wishes, want 1 and 4", len(viewsOf(v)), indexed(v))
	}
}

// TestVariantsRefuse: a refusal leaves nothing behind, and claims are judged though the wish is known.
func TestVariantsRefuse(t *testing.T) {
	t.Parallel()
	refused, judged := errors.New("refused"), 0
	v := &variants{source: chooserFunc(func(o policy.TokenRequestOptions) (variant, error) {
		judged++
		if o.Claims == "bad" || o.TenantID == "bad" {
			return variant{}, refused
		}
		return byTenant(o)
	})}
	if _, err := v.view(policy.TokenRequestOptions{TenantID: "bad"}); !errors.Is(err, refused) || indexed(v) != 0 || len(viewsOf(v)) != 0 {
		t.Errorf("got error %v, %d wishes, %d views, want the refusal and nothing", err, indexed(v), len(viewsOf(v)))
	}
	good := mustView(t, v, "good", true)
	if _, err := v.view(policy.TokenRequestOptions{TenantID: "good", EnableCAE: true, Claims: "bad"}); !errors.Is(err, refused) {
		t.Errorf("bad claims for a known wish: got %v", err)
	}
	if got, err := v.view(policy.TokenRequestOptions{TenantID: "good", EnableCAE: true, Claims: "fine"}); err != nil || got != good {
		t.Errorf("claims for a known wish: got another view (%v), error %v", got != good, err)
	}
	if judged != 4 {
		t.Errorf("the source judged %d times, want 4", judged)
	}
}

func TestVariantsAreBounded(t *testing.T) {
	t.Parallel()
	v := &variants{source: chooserFunc(byTenant)}
	first := mustView(t, v, "t0", true)
	for i := range 3 * maxVariants {
		tenant := fmt.Sprint("t", i)
		if got := mustView(t, v, tenant, true); got.variant.tenant != tenant {
			t.Fatalf("tenant %s got the view of %s", tenant, got.variant.tenant)
		}
	}
	if indexed(v) != maxVariants || len(viewsOf(v)) != maxVariants {
		t.Errorf("%d wishes and %d views, want %d of each", indexed(v), len(viewsOf(v)), maxVariants)
	}
	if mustView(t, v, "t0", true) != first || v.known(wish{"t0", true}) != first {
		t.Error("a view from before isn't known any more")
	}
	if mustView(t, v, "T0", true) != first {
		t.Error("another spelling of a known variant got a view of its own")
	}
	late, again := mustView(t, v, "late", true), mustView(t, v, "late", true)
	if late.identity != again.identity || v.known(wish{"late", true}) != nil {
		t.Errorf("beyond the bound: keys %q and %q, want them alike, and no wish known", late.identity, again.identity)
	}
}

// TestVariantsOfACredentialAreBounded: on Service Fabric tenants have no meaning, so that whatever resources call theirs,
// there is one token, also when there are more spellings than the index takes.
func TestVariantsOfACredentialAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		cred := onServiceFabric(t, ep)
		want, err := capable(t.Context(), cred)
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxVariants + 500 {
			for range 2 {
				tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true, TenantID: fmt.Sprint("tenant", i)})
				if err != nil || tk.Token != want.Token {
					t.Fatalf("tenant %d: got another token (%v), error %v", i, tk.Token != want.Token, err)
				}
			}
		}
		if got := indexed(cred.variants); got != maxVariants || len(viewsOf(cred.variants)) != 1 {
			t.Errorf("%d wishes and %d views, want %d and 1", got, len(viewsOf(cred.variants)), maxVariants)
		}
		if got := len(ep.Requests()); got != 1 {
			t.Errorf("%d requests, want 1", got)
		}
	})
}

// TestVariantsKeepNoLongTenants: where tenants mean nothing nobody looks at them, and a resource may call its tenant anything.
func TestVariantsKeepNoLongTenants(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewServiceFabric(nil)
	cred := onServiceFabric(t, ep)
	kept := 0
	for i := range 50 {
		tenant := fmt.Sprint(i) + strings.Repeat("x", 100<<10)
		if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true, TenantID: tenant}); err != nil {
			t.Fatal(err)
		}
	}
	if p := cred.variants.index.Load(); p != nil {
		for w := range *p {
			kept += len(w.tenant)
		}
	}
	if kept > 50*maxIDLength {
		t.Errorf("50 calls left %d bytes of tenants behind, and %d would leave %d MB", kept, maxVariants, kept/50*maxVariants>>20)
	}
}

// TestCAEIsAnotherToken: tokens with and without challenges are asked for, held and renewed apart.
func TestCAEIsAnotherToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		cred := onServiceFabric(t, ep)
		get := func(cae bool) string {
			t.Helper()
			tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: cae})
			if err != nil {
				t.Fatal(err)
			}
			return tk.Token
		}
		with, without := get(true), get(false)
		if with == without {
			t.Error("one token for both")
		}
		for range 3 {
			if get(true) != with || get(false) != without {
				t.Fatal("a token took the other's place")
			}
		}
		var got []string
		for _, r := range ep.Requests() {
			got = append(got, strings.Join(r.URL.Query()["xms_cc"], ","))
		}
		if len(got) != 2 || got[0] != "cp1" || got[1] != "" {
			t.Errorf("xms_cc of the requests is %q, want cp1 of the first alone", got)
		}
		// A challenge of the one says nothing of the other.
		if tk, err := challenged(t.Context(), cred); err != nil || tk.Token == with {
			t.Errorf("challenge: got the rejected token (%v), error %v", tk.Token == with, err)
		}
		if get(false) != without || get(true) == with {
			t.Error("after the challenge the wrong token was replaced")
		}
		// Both cold at once: neither waits for the other.
		time.Sleep(25 * time.Hour)
		ep.Enqueue(identitytest.Response{Delay: 3 * time.Second}, identitytest.Response{Delay: 3 * time.Second})
		start := time.Now()
		var wg sync.WaitGroup
		for _, cae := range []bool{true, false} {
			wg.Go(func() { get(cae) })
		}
		wg.Wait()
		if took := time.Since(start); took != 3*time.Second || len(ep.Requests()) != 5 {
			t.Errorf("%d requests, and both tokens after %v, want 5 and 3s", len(ep.Requests()), took)
		}
	})
}

// TestCAEIsNoOtherTokenElsewhere: a host that takes no capabilities has one token for both.
func TestCAEIsNoOtherTokenElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		mustToken(t, cred)
		if _, err := capable(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
		if got := ep.Requests(); len(got) != 1 || got[0].URL.Query().Has("xms_cc") {
			t.Errorf("%d requests, want 1, without xms_cc", len(got))
		}
	})
}

func TestVariantHitAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	ep := identitytest.NewServiceFabric(nil)
	cred := onServiceFabric(t, ep)
	for _, options := range []policy.TokenRequestOptions{
		{Scopes: []string{vaultScope}},
		{Scopes: []string{vaultScope}, EnableCAE: true},
		{Scopes: []string{vaultScope}, EnableCAE: true, TenantID: guid},
		{Scopes: []string{vaultScope}, TenantID: strings.ToUpper(guid)},
	} {
		for range 3 {
			if _, err := cred.GetToken(t.Context(), options); err != nil {
				t.Fatal(err)
			}
		}
		ctx := context.Background()
		if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(ctx, options) }); n != 0 {
			t.Errorf("%+v: a hit allocates %v times, want 0", options, n)
		}
	}
	if got := len(ep.Requests()); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

// TestVariantsRace: hits go on while others make new variants, and while tokens are replaced.
func TestVariantsRace(t *testing.T) {
	t.Parallel()
	v := &variants{source: chooserFunc(byTenant)}
	var wg sync.WaitGroup
	views := make([]map[string]*view, 8)
	for i := range views {
		wg.Go(func() {
			views[i] = map[string]*view{}
			for n := range 200 {
				tenant := fmt.Sprint("t", n)
				got := mustView(t, v, tenant, true)
				if known := v.known(wish{tenant, true}); known != got {
					t.Errorf("tenant %s isn't known after it was asked for", tenant)
				}
				if v.known(wish{"t0", true}) == nil {
					t.Error("a known wish was forgotten")
				}
				views[i][tenant] = got
			}
		})
	}
	wg.Wait()
	for i, mine := range views {
		for tenant, got := range mine {
			if got != views[0][tenant] {
				t.Fatalf("goroutine %d has another view of %s than the first", i, tenant)
			}
		}
	}

	ep := identitytest.NewServiceFabric(nil)
	cred := onServiceFabric(t, ep)
	mustToken(t, cred)
	for i := range 4 {
		wg.Go(func() {
			for n := range 300 {
				options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: n%2 == 0}
				if i%2 == 0 {
					options.TenantID = fmt.Sprint("t", n)
				}
				if i == 3 && n%100 == 0 {
					options.Claims = "{}"
				}
				if _, err := cred.GetToken(t.Context(), options); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(ep.Requests()); got < 2 || got > 3 { // a challenge may be the first request with CAE
		t.Errorf("%d requests, want one for each kind, and one for all challenges", got)
	}
}
