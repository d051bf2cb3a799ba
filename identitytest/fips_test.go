package identitytest_test

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// TestMain: in FIPS 140-3 mode, up to Go 1.26, two goroutines of bubbles that read crypto/rand at the same instant panic
// (see seedOutsideBubbles). The tests then run one at a time.
func TestMain(m *testing.M) {
	flag.Parse()
	if fips140.Enabled() && strings.HasPrefix(runtime.Version(), "go1.26") {
		_ = flag.Set("test.parallel", "1")
	}
	os.Exit(m.Run())
}

// underFIPS tells the test binary that it is the child of TestBubbleInFIPSMode.
const underFIPS = "IDENTITYTEST_UNDER_FIPS"

// The fakes work in a bubble with GODEBUG=fips140=only, also if nothing has read crypto/rand before. The setting is read
// when a process starts, so that it takes one.
func TestBubbleInFIPSMode(t *testing.T) {
	t.Parallel()
	if os.Getenv(underFIPS) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestBubbleInFIPSMode$", "-test.v")
		child.Env = append(os.Environ(), underFIPS+"=1", "GODEBUG=fips140=only")
		out, err := child.CombinedOutput()
		switch text := string(out); {
		case strings.Contains(text, "--- SKIP"), err != nil && !strings.Contains(text, "=== RUN"): // the runtime refused the mode
			t.Skipf("this platform has no FIPS mode: %v\n%s", err, out)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if !fips140.Enabled() || !fips140.Enforced() {
		t.Skip("Go's FIPS mode can't be enforced here")
	}
	t.Run("TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			endpoint := identitytest.NewServiceFabric(nil)
			if env := strings.Join(endpoint.Env("https://localhost"), " "); !strings.Contains(env, "_THUMBPRINT=") { // of SHA-1
				t.Errorf("Env: got %s, want a thumbprint in it", env)
			}
			response, err := endpoint.Client().Get("https://localhost/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.TLS == nil || response.TLS.Version != tls.VersionTLS13 || response.StatusCode != http.StatusNotFound {
				t.Errorf("got TLS %v, status %d, want 1.3, 404", response.TLS, response.StatusCode)
			}
		})
	})
	// Any number at once, because without TLS nothing reads crypto/rand.
	t.Run("at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const path = "/metadata/identity/oauth2/token"
			imds, arc := identitytest.NewIMDS(nil), identitytest.NewArc(&identitytest.Options{Dir: t.TempDir()})
			var asking sync.WaitGroup
			for range 500 {
				asking.Go(func() {
					identitytest.NewAppService(nil) // with a secret of its own
					ask(t, imds, path+"?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net", http.StatusOK)
					ask(t, arc, path+"?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net", http.StatusUnauthorized)
				})
			}
			asking.Wait()
		})
	})
}

func ask(t *testing.T, endpoint *identitytest.Endpoint, uri string, want int) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://169.254.169.254"+uri, nil)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Metadata", "true")
	response, err := endpoint.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	_ = response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("%s: got status %d, want %d", uri, response.StatusCode, want)
	}
}
