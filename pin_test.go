package identity

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
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

func TestPinnedCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		client := ep.Client()
		n := dials(client)
		cred := credentialAt(t, environmentAt(ep, fabricBase), client)
		mustToken(t, cred)
		mustToken(t, cred)
		if n.Load() != 1 || len(ep.Requests()) != 1 {
			t.Errorf("%d connections and %d requests, want 1 of each", n.Load(), len(ep.Requests()))
		}
	})
}

// TestPinSpellings: as tools show a thumbprint, so it is compared.
func TestPinSpellings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		values := map[string]string{}
		for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"} {
			values[name] = environmentAt(ep, fabricBase).getenv(name)
		}
		digits := values["IDENTITY_SERVER_THUMBPRINT"]
		if len(digits) != 40 || digits != strings.ToUpper(digits) {
			t.Fatalf("the fake's thumbprint is %q", digits)
		}
		var pairs []string
		for i := 0; i < 40; i += 2 {
			pairs = append(pairs, digits[i:i+2])
		}
		for _, spelling := range []string{
			digits, strings.ToLower(digits), strings.Join(pairs, ":"),
			strings.ToLower(strings.Join(pairs, " ")), "\t" + digits + "\r\n",
			" : " + strings.Join(pairs, ": "),
		} {
			values["IDENTITY_SERVER_THUMBPRINT"] = spelling
			mustToken(t, credentialAt(t, environmentOf(maps.Clone(values)), ep.Client()))
		}
	})
}

func TestImpostors(t *testing.T) {
	off := func(thumbprint string, i int) string { // by one digit
		digit := "0"
		if thumbprint[i] == '0' {
			digit = "1"
		}
		return thumbprint[:i] + digit + thumbprint[i+1:]
	}
	for _, tt := range []struct {
		name       string
		thumbprint func(own string) string
	}{
		// The client trusts the certificate's chain in each case, and the certificate is for localhost.
		{"another certificate's thumbprint", func(string) string {
			return environmentAt(identitytest.NewServiceFabric(nil),
				fabricBase).getenv("IDENTITY_SERVER_THUMBPRINT")
		}},
		{"first digit", func(own string) string { return off(own, 0) }},
		{"last digit", func(own string) string { return off(own, 39) }},
		{"zeros", func(string) string { return strings.Repeat("0", 40) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				values := fabricVariables(ep)
				own := values["IDENTITY_SERVER_THUMBPRINT"]
				values["IDENTITY_SERVER_THUMBPRINT"] = tt.thumbprint(own)
				client := ep.Client()
				if resp, err := client.Get(fabricBase); err != nil { // otherwise it would be refused anyway
					t.Fatalf("the certificate isn't valid by its chain: %v", err)
				} else {
					_ = resp.Body.Close()
				}
				n, before := dials(client), len(ep.Requests())
				cred := credentialAt(t, environmentOf(values), client)
				e, took := mustFail(t, cred)
				want := "identity: Service Fabric: no answer from https://localhost:2377/metadata/identity/oauth2/token: the server's certificate has the thumbprint " + own +
					", not that in IDENTITY_SERVER_THUMBPRINT: is another program listening there? (token for https://vault.azure.net, 1 attempt, 0s)"
				if diff := cmp.Diff(want, e.Error()); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if e.Attempts != 1 || took != 0 || n.Load() != 1 {
					t.Errorf("%d attempts and %d connections in %v, want 1 at once: an impostor stays one",
						e.Attempts, n.Load(), took)
				}
				if e.StatusCode != 0 || e.RawResponse != nil || errors.Is(e, ErrUnavailable) ||
					errors.Is(e, ErrIdentityNotFound) {
					t.Errorf("error is off: %+v", e)
				}
				if got := len(ep.Requests()) - before; got != 0 {
					t.Errorf("%d requests reached the impostor, and the secret with them", got)
				}
				// Ready doesn't wait for what waiting can't mend.
				start := time.Now()
				if err := cred.Ready(t.Context(), vaultScope); err == nil || time.Since(start) != 0 {
					t.Errorf("Ready: got %v after %v, want an error at once", err, time.Since(start))
				}
				// A flood of callers is a trickle.
				for range 1000 {
					if _, _ = capable(t.Context(), cred); n.Load() > 2 {
						break
					}
				}
				if n.Load() > 2 {
					t.Errorf("%d connections by 1000 callers, want 2 at most: one for each kind of token",
						n.Load())
				}
			})
		})
	}
}

// TestPinIsFinal: whatever the options say about retries.
func TestPinIsFinal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		retry policy.RetryOptions
	}{
		{"defaults", policy.RetryOptions{}},
		{"many tries", policy.RetryOptions{MaxRetries: 10, RetryDelay: time.Millisecond}},
		{"a function that wants all retried",
			policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool {
				return true
			}}},
		{"all statuses", policy.RetryOptions{StatusCodes: []int{404, 500}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				values := fabricVariables(ep)
				values["IDENTITY_SERVER_THUMBPRINT"] = strings.Repeat("A", 40)
				client := ep.Client()
				n := dials(client)
				e, took := mustFail(t, credentialAt(t, environmentOf(values), client,
					func(o *CredentialOptions) {
						o.Retry = tt.retry
					}))
				if e.Attempts != 1 || n.Load() != 1 || took != 0 || len(ep.Requests()) != 0 {
					t.Errorf("%d attempts, %d connections, %d requests in %v: %v", e.Attempts, n.Load(),
						len(ep.Requests()), took, e)
				}
			})
		})
	}
}

// TestPinOverLoopback runs the unmodified default path. Not parallel: Start sets the process's
// variables.
func TestPinOverLoopback(t *testing.T) {
	ep := identitytest.NewServiceFabric(nil)
	ep.Start(t)
	cred, err := NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := cred.Host(); got != HostServiceFabric {
		t.Fatalf("host is %q", got)
	}
	if err := cred.Ready(t.Context(), vaultScope); err != nil {
		t.Fatal(err)
	}
	ep.RotateSecret() // the variable changes
	if err := anotherToken(cred); err != nil {
		t.Errorf("after the secret was rotated: %v", err)
	}
	for _, r := range ep.Requests() {
		if !r.Close || r.ProtoMajor != 1 || r.Header.Get("Accept-Encoding") != "" ||
			r.URL.Scheme != "https" {
			t.Errorf("the request is %s to %s, kept %v, with the headers %v", r.Proto, r.URL, !r.Close,
				r.Header)
		}
	}
	before := len(ep.Requests())
	t.Setenv("IDENTITY_SERVER_THUMBPRINT", strings.Repeat("0", 40))
	for name, transport := range map[string]policy.Transporter{"default": nil, "a client": &http.Client{}} {
		options := &CredentialOptions{}
		options.Transport = transport
		cred, err := NewCredential(options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cred.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://" + strings.ReplaceAll(name, " ", "-") +
				".example/.default"}})
		wantErrorText(t, err, "IDENTITY_SERVER_THUMBPRINT", "another program", "1 attempt")
	}
	if got := len(ep.Requests()) - before; got != 0 {
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
			_, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://%d.example/.default", n)}})
			return err
		}
		if err := ask(1); err != nil {
			t.Fatal(err)
		}
		now = second // the platform replaces the certificate, and the variable only later
		wantErrorText(t, ask(2), "another program", "1 attempt")
		v.set("IDENTITY_SERVER_THUMBPRINT", fabricVariables(second)["IDENTITY_SERVER_THUMBPRINT"])
		if err := ask(3); err != nil {
			t.Errorf("with the new thumbprint: %v", err)
		}
		v.set("IDENTITY_SERVER_THUMBPRINT", "pa55word")
		start := time.Now()
		wantErrorText(t, ask(4), "IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits", "1 attempt")
		v.set("IDENTITY_SERVER_THUMBPRINT", "")
		wantErrorText(t, ask(5), "IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits", "1 attempt")
		if took := time.Since(start); took != 0 {
			t.Errorf("errors after %v, want them at once", took)
		}
		v.set("IDENTITY_SERVER_THUMBPRINT", fabricVariables(first)["IDENTITY_SERVER_THUMBPRINT"])
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
		{"impostor", []string{"IDENTITY_SERVER_THUMBPRINT=" + strings.Repeat("0", 40)},
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

// TestTransportsThatCannotBePinned: the constructor says so, and names the field.
func TestTransportsThatCannotBePinned(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewServiceFabric(nil)
	const field = "identity: CredentialOptions.Transport: "
	for want, own := range map[string]policy.Transporter{
		field + "*identitytest.Endpoint: the server's certificate has to be pinned": ep,
		field + "identity.transportFunc: the server's certificate has to be pinned": transportFunc(nil),
		field + "nil *http.Client":                               (*http.Client)(nil),
		field + "*http.Client over a nil *http.Transport: leave": &http.Client{Transport: (*http.Transport)(nil)},
	} {
		for _, host := range []Host{"", HostServiceFabric} {
			options := &CredentialOptions{Host: host}
			options.Transport = own
			cred, err := newCredential(options, environmentAt(ep, fabricBase))
			if cred != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, %v, want %q", cred, err, want)
			}
		}
	}
	if got := len(ep.Requests()); got != 0 {
		t.Errorf("constructors sent %d requests", got)
	}
}
