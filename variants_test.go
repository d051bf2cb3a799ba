package identity

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/variants"
)

// chooserFunc is a function as a source that chooses.
type chooserFunc func(policy.TokenRequestOptions) (acquire.Variant, error)

func (f chooserFunc) Variant(o policy.TokenRequestOptions) (acquire.Variant, error) {
	return f(o)
}

// TestVariantsRefuse: a refusal leaves nothing behind, and claims are judged each time.
func TestVariantsRefuse(t *testing.T) {
	t.Parallel()
	refused, judged := errors.New("refused"), 0
	v := &views{variants.New("", tokencache.Terms{}), chooserFunc(
		func(o policy.TokenRequestOptions) (acquire.Variant, error) {
			judged++
			if o.Claims == "bad" || o.TenantID == "bad" {
				return acquire.Variant{}, refused
			}
			return acquire.Variant{Tenant: strings.ToLower(o.TenantID), CAE: o.EnableCAE}, nil
		})}
	for _, o := range []policy.TokenRequestOptions{
		{TenantID: "bad"}, {TenantID: "good", EnableCAE: true, Claims: "bad"},
	} {
		if _, err := v.view(o); !errors.Is(err, refused) || v.Known(spelled(&o)) != nil {
			t.Errorf("%+v: got error %v, or it is known", o, err)
		}
	}
	o := policy.TokenRequestOptions{TenantID: "GOOD", EnableCAE: true}
	good, err := v.view(o)
	if err != nil || good.Variant() != (tokencache.Variant{Tenant: "good", CAE: true}) {
		t.Errorf("got %v, %v", good, err)
	}
	o.Claims = "fine"
	if again, err := v.view(o); err != nil || again != good || judged != 4 {
		t.Errorf("claims for a known variant: got another view %v, %v, judged %d times, want 4",
			again != good, err, judged)
	}
}

// TestCAEIsAnotherToken: tokens with and without challenges are asked for, held and renewed apart.
func TestCAEIsAnotherToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		cred := onServiceFabric(t, ep)
		get := func(cae bool) string {
			t.Helper()
			tk, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: cae})
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
		ep.Enqueue(identitytest.Response{Delay: 3 * time.Second},
			identitytest.Response{Delay: 3 * time.Second})
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

// not parallel: AllocsPerRun counts the whole process
func TestVariantHitAllocatesNothing(t *testing.T) {
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
