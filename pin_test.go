package identity

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// dials counts the connections of a client, which come of the returned endpoint's.
func dials(client *http.Client) *atomic.Int64 {
	transport := client.Transport.(*http.Transport)
	dial, n := transport.DialContext, new(atomic.Int64)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
	return n
}

// TestImpostors: whatever the options say about retries, one that has been found out isn't asked
// again. The client trusts the certificate's chain, and the certificate is for localhost.
func TestImpostors(t *testing.T) {
	always := func(*http.Response, error) bool { return true }
	for name, retry := range map[string]policy.RetryOptions{
		"defaults":     {},
		"many tries":   {MaxRetries: 10, RetryDelay: time.Millisecond},
		"all errors":   {ShouldRetry: always},
		"all statuses": {StatusCodes: []int{404, 500}},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			values := fabricVariables(ep)
			own := values[envThumbprint]
			values[envThumbprint] = fabricVariables(identitytest.NewServiceFabric(nil))[envThumbprint]
			client := ep.Client()
			resp, err := client.Get(fabricBase) // otherwise it would be refused anyway
			if err != nil {
				t.Fatalf("the certificate isn't valid by its chain: %v", err)
			}
			_ = resp.Body.Close()
			n, before := dials(client), len(ep.Requests())
			cred := credentialAt(t, environmentOf(values), client,
				func(o *CredentialOptions) { o.Retry = retry })
			e, took := mustFail(t, cred)
			want := "identity: Service Fabric: no answer from " + fabricBase + imdsPath +
				": the server's certificate has the thumbprint " + own + ", not that in " + envThumbprint +
				": is another program listening there? (token for https://vault.azure.net, 1 attempt, 0s)"
			if diff := cmp.Diff(want, e.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if e.Attempts != 1 || took != 0 || n.Load() != 1 {
				t.Errorf("%d attempts and %d connections in %v, want 1 at once", e.Attempts, n.Load(), took)
			}
			if e.StatusCode != 0 || e.RawResponse != nil || errors.Is(e, ErrUnavailable) ||
				errors.Is(e, ErrIdentityNotFound) {
				t.Errorf("error is off: %+v", e)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now() // Ready doesn't wait for what waiting can't mend
			if err := cred.Ready(ctx, vaultScope); err == nil || time.Since(start) != 0 {
				t.Errorf("Ready: got %v after %v, want an error at once", err, time.Since(start))
			}
			for range 1000 {
				_, _ = capable(t.Context(), cred)
			}
			if n.Load() > 2 { // one for each kind of token
				t.Errorf("%d connections by 1000 callers, want a trickle", n.Load())
			}
			if got := len(ep.Requests()) - before; got != 0 {
				t.Errorf("%d requests reached the impostor, and the secret with them", got)
			}
		})
	}
}

// TestImpostorOverLoopback: on the unmodified default path, and with a client of the user's. Not
// parallel: Start sets the process's variables.
func TestImpostorOverLoopback(t *testing.T) {
	ep := identitytest.NewServiceFabric(nil)
	ep.Start(t)
	t.Setenv(envThumbprint, strings.Repeat("0", 40))
	for name, transport := range map[string]policy.Transporter{"default": nil, "own": &http.Client{}} {
		options := &CredentialOptions{}
		options.Transport = transport
		cred, err := NewCredential(options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://" + name + ".example/.default"}})
		wantErrorText(t, err, envThumbprint, "another program", "1 attempt")
	}
	if got := len(ep.Requests()); got != 0 {
		t.Errorf("%d requests reached what isn't pinned", got)
	}
}

func TestChangedThumbprintAtTheNextConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first, second := identitytest.NewServiceFabric(nil), identitytest.NewServiceFabric(nil)
		v := &variables{values: fabricVariables(first)}
		now := first // who listens
		client := first.Client()
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network,
			addr string) (net.Conn, error) {
			return now.Client().Transport.(*http.Transport).DialContext(ctx, network, addr)
		}
		for _, ep := range []*identitytest.Endpoint{first, second} {
			ep.Enqueue(identitytest.Response{Body: grantBody("t", 24*time.Hour), For: time.Hour})
		}
		cred := credentialAt(t, v.environment(), client)
		ask := func(n int) error {
			scopes := []string{fmt.Sprintf("https://%d.example/.default", n)}
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes})
			return err
		}
		if err := ask(1); err != nil {
			t.Fatal(err)
		}
		now = second // the platform replaces the certificate, and the variable only later
		wantErrorText(t, ask(2), "another program", "1 attempt")
		v.set(envThumbprint, fabricVariables(second)[envThumbprint])
		if err := ask(3); err != nil {
			t.Errorf("with the new thumbprint: %v", err)
		}
		v.set(envThumbprint, "pa55word")
		start := time.Now()
		wantErrorText(t, ask(4), envThumbprint, "40 hexadecimal digits", "1 attempt")
		v.set(envThumbprint, "")
		wantErrorText(t, ask(5), envThumbprint, "40 hexadecimal digits", "1 attempt")
		if took := time.Since(start); took != 0 {
			t.Errorf("errors after %v, want them at once", took)
		}
		v.set(envThumbprint, fabricVariables(first)[envThumbprint])
		wantErrorText(t, ask(6), "another program")
		if a, b := len(first.Requests()), len(second.Requests()); a != 1 || b != 1 {
			t.Errorf("%d and %d requests arrived, want 1 of each", a, b)
		}
		time.Sleep(time.Minute)
		now = first
		if err := ask(6); err != nil {
			t.Errorf("after the cool-down: %v", err)
		}
	})
}

// underFIPS tells the test binary that it is the child of TestPinUnderFIPS.
const underFIPS = "IDENTITY_TEST_UNDER_FIPS"

// TestPinUnderFIPS: with GODEBUG=fips140=only Go refuses SHA-1, which the platform's thumbprints
// are. The setting is read when a process starts, so that it takes one.
func TestPinUnderFIPS(t *testing.T) {
	if os.Getenv(underFIPS) != "" {
		if !fips140.Enabled() || !fips140.Enforced() {
			t.Skip("Go's FIPS mode can't be enforced here")
		}
		cred, err := NewCredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		tk, err := challenged(t.Context(), cred) // with nothing held it is an ordinary one
		if err == nil {
			tk, err = challenged(t.Context(), cred)
		}
		fmt.Printf("got a token: %v, error: %v\n", tk.Token != "", err)
		return
	}
	t.Parallel()
	ep := identitytest.NewServiceFabric(nil)
	server := httptest.NewUnstartedServer(ep)
	server.TLS = ep.TLSConfig()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, tt := range []struct {
		name      string
		variables []string
		want      string
	}{
		{"pinned", nil, "got a token: true, error: <nil>\n"},
		{"impostor", []string{envThumbprint + "=" + strings.Repeat("0", 40)},
			"is another program listening there?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPinUnderFIPS$", "-test.v")
			child.Env = append(os.Environ(), ep.Env(server.URL)...)
			child.Env = append(child.Env, tt.variables...)
			child.Env = append(child.Env, underFIPS+"=1", "GODEBUG=fips140=only")
			out, err := child.CombinedOutput()
			switch text := string(out); {
			// the runtime refused the mode
			case strings.Contains(text, "--- SKIP"), err != nil && !strings.Contains(text, "=== RUN"):
				t.Skipf("this platform has no FIPS mode: %v\n%s", err, out)
			case err != nil || !strings.Contains(text, tt.want):
				t.Errorf("error %v, output %s, want %q in it", err, out, tt.want)
			}
		})
	}
}

// TestTransportsThatCannotBePinned: the constructor says so, and names the field. Which those are,
// internal/transport tests.
func TestTransportsThatCannotBePinned(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewServiceFabric(nil)
	for want, own := range map[string]policy.Transporter{
		"*identitytest.Endpoint: the server's certificate has to be pinned": ep,
		"nil *http.Client": (*http.Client)(nil),
	} {
		for _, host := range []Host{"", HostServiceFabric} {
			options := &CredentialOptions{Host: host}
			options.Transport = own
			cred, err := newCredential(options, environmentAt(ep, fabricBase))
			wantErrorText(t, err, "identity: CredentialOptions.Transport: "+want)
			if cred != nil {
				t.Error("a credential came back beside the error")
			}
		}
	}
	if got := len(ep.Requests()); got != 0 {
		t.Errorf("constructors sent %d requests", got)
	}
}
