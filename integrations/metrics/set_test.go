package identitymetrics_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
)

const vault = "https://vault.azure.net"

// reporter is a credential of somebody else's.
type reporter struct {
	azcore.TokenCredential
	statuses func() []identity.Status
}

func (r reporter) Statuses() []identity.Status { return r.statuses() }

// holds is a credential that has some resources.
func holds(resources ...identity.ResourceStatus) reporter {
	return reporter{statuses: func() []identity.Status {
		return []identity.Status{{Host: identity.HostIMDS, Resources: resources}}
	}}
}

// requests is a resource that was asked for so often, with one request each.
func requests(resource string, n int64) identity.ResourceStatus {
	return identity.ResourceStatus{Resource: resource, Requests: n, Acquisitions: n,
		AcquisitionTime: time.Duration(n) * time.Second, ExpiresOn: time.Unix(2e9, 0)}
}

// read reads a Set, by resource.
func read(t *testing.T, s *identitymetrics.Set) map[string]identitymetrics.Series {
	t.Helper()
	found := map[string]identitymetrics.Series{}
	for _, series := range s.Read().Series {
		if _, twice := found[series.Resource]; twice {
			t.Errorf("%+v is there twice", series.Labels)
		}
		found[series.Resource] = series
	}
	return found
}

// imds is a credential of IMDS, in memory, and its endpoint.
func imds(t *testing.T, change func(*identity.CredentialOptions)) (
	*identity.Credential, *identitytest.Endpoint,
) {
	t.Helper()
	endpoint := identitytest.NewIMDS(nil)
	options := &identity.CredentialOptions{Host: identity.HostIMDS}
	options.Transport = endpoint
	if change != nil {
		change(options)
	}
	cred, err := identity.NewCredential(options)
	if err != nil {
		t.Fatal(err)
	}
	return cred, endpoint
}

func get(t *testing.T, cred azcore.TokenCredential, resource string) error {
	t.Helper()
	_, err := identity.TokenFunc(cred, resource+"/.default")(t.Context())
	return err
}

// TestRead: what a real credential holds after a failure and a success.
func TestRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, endpoint := imds(t, nil)
		endpoint.Enqueue(identitytest.Response{Status: 429}, identitytest.Response{Status: 503})
		if err := get(t, cred, vault); err != nil {
			t.Fatal(err)
		}
		status := cred.Status().Resources[0]
		got := identitymetrics.NewSet(cred).Read()
		want := identitymetrics.Reading{Series: []identitymetrics.Series{{
			Labels: identitymetrics.Labels{Host: "imds", Resource: vault},
			Counts: identitymetrics.Counts{Requests: 3, Throttles: 1, Acquisitions: 1,
				AcquisitionTime: status.AcquisitionTime},
			ExpiresOn: status.ExpiresOn, RefreshOn: status.RefreshOn,
		}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if status.ExpiresOn.IsZero() || status.AcquisitionTime <= 0 {
			t.Errorf("the credential says %+v", status)
		}
	})
}

// TestSharedCredentials: two credentials that share tokens are one series, counted once, which
// outlives either.
func TestSharedCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(nil)
		share := func(o *identity.CredentialOptions) { o.Transport = endpoint }
		one, _ := imds(t, share)
		chain, err := identity.NewChain([]azcore.TokenCredential{one, one}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := identitymetrics.NewSet(one)
		remove := s.Add("", chain)
		if err := get(t, chain, vault); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := read(t, s)[vault]; got.Requests != 1 || got.Acquisitions != 1 {
				t.Errorf("one request is %+v", got)
			}
			remove()
		}
	})
}

// TestTenants: one application in two tenants is two series.
func TestTenants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s identitymetrics.Set
		tenants := []string{"11111111-1111-4111-8111-111111111111",
			"22222222-2222-4222-8222-222222222222"}
		for _, tenant := range tenants {
			options := new(identity.FederatedCredentialOptions)
			options.Transport = identitytest.NewEntra(nil)
			cred, err := identity.NewFederatedCredential(tenant,
				"b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12", identity.AssertionFunc(
					func(context.Context, identity.AssertionRequest) (string, error) {
						return "", errors.New("no assertion")
					}), options)
			if err != nil {
				t.Fatal(err)
			}
			if get(t, cred, vault) == nil {
				t.Fatal("there was no assertion")
			}
			s.Add("", cred)
		}
		for range 2 {
			var got []string
			for _, series := range s.Read().Series {
				got = append(got, series.Tenant)
				if series.Host != "entra" || series.Failures != 1 ||
					series.Identity != "client ID b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12" {
					t.Errorf("got %+v", series)
				}
			}
			if slices.Sort(got); !slices.Equal(got, tenants) {
				t.Errorf("got tenants %q, want %q", got, tenants)
			}
		}
	})
}

// TestNames: credentials that share nothing are told apart by the names they were given. Without
// names it is the end that comes first, and the larger of the counts.
func TestNames(t *testing.T) {
	t.Parallel()
	early, none := requests(vault, 2), requests(vault, 1)
	early.ExpiresOn, none.ExpiresOn = time.Unix(1e9, 0), time.Time{}
	var named identitymetrics.Set
	named.Add("a", holds(requests(vault, 5)))
	named.Add("b", holds(early))
	got := map[string]int64{}
	for _, series := range named.Read().Series {
		got[series.Credential] = series.Requests
	}
	if diff := cmp.Diff(map[string]int64{"a": 5, "b": 2}, got); diff != "" {
		t.Errorf("with names, -want +got:\n%s", diff)
	}
	unnamed := identitymetrics.NewSet(holds(early), holds(requests(vault, 5)))
	if got := read(t, unnamed)[vault]; got.Requests != 5 || got.ExpiresOn != early.ExpiresOn {
		t.Errorf("without names: %+v", got)
	}
	unnamed.Add("", holds(none))
	if got := read(t, unnamed)[vault]; !got.ExpiresOn.IsZero() {
		t.Errorf("with one that has no token: %+v", got)
	}
}

// TestRemove: all series of a credential vanish with it. When it comes back, what it had counted
// before is not counted again.
func TestRemove(t *testing.T) {
	t.Parallel()
	n := int64(7)
	cred := reporter{statuses: func() []identity.Status {
		return holds(requests(vault, n)).statuses()
	}}
	s := identitymetrics.NewSet(holds(requests("https://graph.microsoft.com", 1)))
	remove := s.Add("", cred)
	if got := read(t, s)[vault].Requests; got != 7 {
		t.Errorf("got %d requests, want 7", got)
	}
	remove()
	remove() // once more is nothing
	if got := read(t, s); len(got) != 1 {
		t.Errorf("after its removal there are %+v", got)
	}
	n = 9
	s.Add("", cred)
	if got := read(t, s)[vault].Requests; got != 2 {
		t.Errorf("back, with 2 requests more: got %d", got)
	}
}

// TestUnreadable: credentials that are nil, panic, end their goroutine or hang hurt only
// themselves, and none has more than one goroutine.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		release := make(chan struct{})
		hangs := reporter{statuses: func() []identity.Status {
			calls.Add(1)
			<-release
			return holds(requests("hangs", 1)).statuses()
		}}
		s := identitymetrics.NewSet(nil, (*identity.Credential)(nil), (*identity.Chain)(nil), hangs,
			hangs, reporter{statuses: func() []identity.Status { panic("eyJcanary") }},
			reporter{statuses: func() []identity.Status { runtime.Goexit(); return nil }},
			holds(requests(vault, 1)))
		for range 3 {
			began := time.Now()
			reading := s.Read()
			if len(reading.Series) != 1 || reading.Series[0].Resource != vault ||
				reading.Unreadable != 7 || time.Since(began) > 6*time.Second {
				t.Errorf("after %v: %+v", time.Since(began), reading)
			}
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("two that hang were called %d times", n)
		}
		close(release)
		synctest.Wait()
		if got := s.Read(); len(got.Series) != 2 || got.Unreadable != 5 || calls.Load() != 4 {
			t.Errorf("after they were released: %+v, %d calls", got, calls.Load())
		}
	})
}

// TestConcurrentReadings: a counter is never seen to go back, and counts nothing twice.
func TestConcurrentReadings(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := identitymetrics.NewSet(reporter{statuses: func() []identity.Status {
		return holds(requests(vault, n.Add(1))).statuses()
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			remove := s.Add(strconv.Itoa(i), holds(requests("mine", 1)))
			defer remove()
			last := int64(0)
			for range 50 {
				for _, series := range s.Read().Series {
					if series.Resource != vault {
						continue
					}
					if series.Requests <= last {
						t.Errorf("%d after %d", series.Requests, last)
					}
					last = series.Requests
				}
			}
		})
	}
	wg.Wait()
	if got, want := read(t, s)[vault].Requests, n.Load(); got != want {
		t.Errorf("got %d in the end, want %d", got, want)
	}
}
