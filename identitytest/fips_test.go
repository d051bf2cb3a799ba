package identitytest_test

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"flag"
	"io"
	"net"
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

// TestMain: in FIPS 140-3 mode, up to Go 1.26, a goroutine of a bubble that reads crypto/rand while
// another one does panics (see takeTurn). Some tests serve TLS outside of bubbles with net/http,
// which takes no turns. So the tests run one at a time then, other than TestBubbleInFIPSMode's,
// which are to show that the fakes need no such care.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(underFIPS) == "" && fips140.Enabled() &&
		strings.HasPrefix(runtime.Version(), "go1.26") {
		_ = flag.Set("test.parallel", "1")
	}
	os.Exit(m.Run())
}

// underFIPS tells the test binary that it is the child of TestBubbleInFIPSMode.
const underFIPS = "IDENTITYTEST_UNDER_FIPS"

// The fakes work in bubbles with GODEBUG=fips140=only, also if nothing has read crypto/rand before
// and many ask at once. The setting is read when a process starts, so that it takes one.
func TestBubbleInFIPSMode(t *testing.T) {
	t.Parallel()
	if os.Getenv(underFIPS) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestBubbleInFIPSMode$", "-test.v",
			"-test.parallel=4")
		child.Env = append(os.Environ(), underFIPS+"=1", "GODEBUG=fips140=only")
		out, err := child.CombinedOutput()
		switch text := string(out); {
		// the runtime refused the mode
		case strings.Contains(text, "--- SKIP"), err != nil && !strings.Contains(text, "=== RUN"):
			t.Skipf("this platform has no FIPS mode: %v\n%s", err, out)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if !fips140.Enabled() || !fips140.Enforced() {
		t.Skip("Go's FIPS mode can't be enforced here")
	}
	t.Run("TLS", testBubbleTLS)
	t.Run("TLS at once", testBubbleTLSAtOnce)
	t.Run("handshakes that fail", testBubbleFailedHandshakes)
	t.Run("at once", testBubbleAtOnce)
}

func testBubbleTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewServiceFabric(nil)
		env := strings.Join(endpoint.Env("https://localhost"), " ")
		if !strings.Contains(env, "_THUMBPRINT=") { // of SHA-1
			t.Errorf("Env: got %s, want a thumbprint in it", env)
		}
		response, err := endpoint.Client().Get("https://localhost/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.TLS == nil || response.TLS.Version != tls.VersionTLS13 ||
			response.StatusCode != http.StatusNotFound {
			t.Errorf("got TLS %v, status %d, want 1.3, 404", response.TLS, response.StatusCode)
		}
	})
}

func testBubbleTLSAtOnce(t *testing.T) {
	for _, name := range []string{"one bubble", "another bubble", "a third bubble"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, endpoint := time.Now(), identitytest.NewServiceFabric(nil)
				var asking sync.WaitGroup
				for i := range 30 {
					asking.Go(func() {
						client := endpoint.Client()
						if i%10 == 0 { // makes a certificate meanwhile
							client = identitytest.NewServiceFabric(nil).Client()
						}
						response, err := client.Get("https://localhost/")
						if err != nil {
							t.Error(err)
							return
						}
						_ = response.Body.Close()
						if response.StatusCode != http.StatusNotFound {
							t.Errorf("got status %d, want 404", response.StatusCode)
						}
					})
				}
				asking.Wait()
				if took := time.Since(began); took != 0 {
					t.Errorf("waiting for one's turn took %v of the bubble's time, want none",
						took)
				}
			})
		})
	}
}

// testBubbleFailedHandshakes: a caller that can't have a turn leaves none taken. That is a
// handshake that fails, one that its client gives up, and a request without TLS.
func testBubbleFailedHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoint, stranger := identitytest.NewServiceFabric(nil),
			identitytest.NewServiceFabric(nil).Client()
		for range 3 {
			client := endpoint.Client()
			client.Transport.(*http.Transport).TLSClientConfig = stranger.Transport.(*http.Transport).TLSClientConfig
			if response, err := client.Get("https://localhost/"); err == nil {
				_ = response.Body.Close()
				t.Error("got a response from a server that isn't trusted")
			}
			connection, err := dial(t.Context(), endpoint)
			if err != nil {
				t.Fatal(err)
			}
			_ = connection.Close()
			response, err := endpoint.Client().Get("http://localhost/")
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
		held, err := dial(t.Context(), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if strings.HasPrefix(runtime.Version(), "go1.26") { // later ones know no turns
			if _, err := dial(gone, endpoint); err != context.Canceled {
				t.Errorf("got error %v, want %v: another has the turn", err, context.Canceled)
			}
		}
		_ = held.Close()
	})
}

// testBubbleAtOnce asks any number of times, because without TLS nothing reads crypto/rand.
func testBubbleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = "/metadata/identity/oauth2/token"
		imds, arc := identitytest.NewIMDS(nil),
			identitytest.NewArc(&identitytest.Options{Dir: t.TempDir()})
		var asking sync.WaitGroup
		for range 500 {
			asking.Go(func() {
				identitytest.NewAppService(nil) // with a secret of its own
				ask(t, imds, path+"?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net",
					http.StatusOK)
				ask(t, arc, path+"?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net",
					http.StatusUnauthorized)
			})
		}
		asking.Wait()
	})
}

// dial opens a connection as the client does, up to the end of the handshake.
func dial(ctx context.Context, endpoint *identitytest.Endpoint) (net.Conn, error) {
	return endpoint.Client().Transport.(*http.Transport).DialContext(ctx, "", "")
}

func ask(t *testing.T, endpoint *identitytest.Endpoint, uri string, want int) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://169.254.169.254"+uri, nil)
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
