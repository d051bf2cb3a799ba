package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

func TestCacheKeys(t *testing.T) {
	t.Parallel()
	const id = "/same"
	imdsAt := func(base string) environment { return environmentOf(map[string]string{envAuthority: base}) }
	seen := map[string]string{}
	for _, tt := range []struct {
		name string
		env  environment
		id   ID
	}{
		{name: "system", env: nowhere()},
		{name: "client", env: nowhere(), id: ClientID("same")},
		{name: "another client", env: nowhere(), id: ClientID("other")},
		{name: "object", env: nowhere(), id: ObjectID("same")},
		{name: "resource", env: nowhere(), id: ResourceID(id)},
		{name: "elsewhere", env: imdsAt("http://127.0.0.1:1")},
		{name: "elsewhere by port", env: imdsAt("http://127.0.0.1:2")},
		{name: "App Service", env: appServiceAt()},
	} {
		cred, err := newCredential(&CredentialOptions{ID: tt.id}, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		key := cacheKey(cred.hosted.host)
		if other := seen[key]; other != "" {
			t.Errorf("%s and %s share tokens", tt.name, other)
		}
		seen[key] = tt.name
	}
}

func TestLimitsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	if imdsAtOnce != 5 {
		t.Error("a documented constant has changed: say so where it is documented")
	}
}

func TestFiveAtOnceOverCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		transport := transportFunc(func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return respond(200, grantBody("t", time.Hour)), nil
		})
		shared := newShared()
		for i := range 4 {
			cred, err := newCredentialIn(shared, &CredentialOptions{ID: ClientID(fmt.Sprint("id-", i)), ClientOptions: azcore.ClientOptions{Transport: transport}}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range scopesOf(5) {
				go func() {
					_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
				}()
			}
		}
		time.Sleep(10 * time.Second)
		if most.Load() != 5 {
			t.Errorf("%d requests at once to one endpoint, want 5", most.Load())
		}
	})
}

func TestAPIVersionOptionIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustToken(t, onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.APIVersion = "2025-01-01" }))
	})
}

type countingBody struct {
	io.Reader
	closed *int
}

func (b countingBody) Close() error { *b.closed++; return nil }

func TestBodiesAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opened, closed := 0, 0
		body := func(text string) io.ReadCloser {
			opened++
			return countingBody{strings.NewReader(text), &closed}
		}
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			r := respond(503, "")
			r.Body = body(imdsError)
			switch opened {
			case 2:
				return r, io.ErrClosedPipe
			case 3:
				r.StatusCode, r.Body = 200, countingBody{strings.NewReader(grantBody("t", time.Hour)), &closed}
			}
			return r, nil
		}))
		mustToken(t, cred)
		if closed != opened || opened != 3 {
			t.Errorf("%d of %d bodies were closed", closed, opened)
		}
	})
}

// TestSilenceThenSlowness: what refused the connection first gets no 40 s to answer.
func TestSilenceThenSlowness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return nil, syscall.ECONNREFUSED
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		if e, took := mustFail(t, cred); !errors.Is(e, ErrUnavailable) || took > 6*time.Second {
			t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
		}
	})
}

func TestReadyThroughThrottling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429, For: 3 * time.Minute})
		start := time.Now()
		if err := onIMDS(t, ep).Ready(t.Context(), vaultScope); err != nil || time.Since(start) > 3*time.Minute+12*time.Second {
			t.Errorf("got %v after %v, want nil soon after 3 minutes", err, time.Since(start))
		}
	})
}
