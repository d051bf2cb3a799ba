package identityredis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/redis/go-redis/v9"
)

const (
	serverVariable   = "IDENTITY_TEST_REDIS"
	tlsVariable      = "IDENTITY_TEST_REDIS_TLS"
	passwordVariable = "IDENTITY_TEST_REDIS_PASSWORD"
)

// account is one identity, of which a real redis-server has an ACL user, and a credential whose
// tokens are that user's passwords. The server knows no end of a password: rotate makes it so.
type account struct {
	addr     string
	is       identitytest.Identity
	admin    *redis.Client
	endpoint *identitytest.Endpoint

	mu    sync.Mutex
	token azcore.AccessToken
	err   error // in place of a token
}

// newAccount has a user on the real server, with a first token. It skips the test where there is no
// server.
func newAccount(t testing.TB) *account {
	t.Helper()
	addr := os.Getenv(serverVariable)
	if addr == "" {
		t.Skip(serverVariable + " isn't set: no redis-server to test with; .ci/run starts one")
	}
	a := &account{addr: addr}
	a.admin = redis.NewClient(&redis.Options{Addr: addr, Password: os.Getenv(passwordVariable)})
	t.Cleanup(func() { _ = a.admin.Close() })
	b := make([]byte, 10)
	_, _ = rand.Read(b)
	a.is = identitytest.Identity{ObjectID: fmt.Sprintf("00000000-0000-4000-%x-%x", b[:2], b[2:8])}
	a.endpoint = identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{a.is}})
	a.renew(t)
	t.Cleanup(func() { a.do(t, "ACL", "DELUSER", a.is.ObjectID) })
	return a
}

func (a *account) do(t testing.TB, args ...any) {
	t.Helper()
	if err := a.admin.Do(context.Background(), args...).Err(); err != nil {
		t.Errorf("%v: %v", args[:2], err)
	}
}

// renew has a new token, beside which the old one still works.
func (a *account) renew(t testing.TB) {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: a.endpoint}}) // with a cache of its own
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{Scope}})
	if err != nil {
		t.Fatal(err)
	}
	token.RefreshOn = time.Now().Add(500 * time.Millisecond) // look again that soon
	a.do(t, "ACL", "SETUSER", a.is.ObjectID, "on", "allkeys", "allchannels", "+@all", ">"+token.Token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
}

// end makes the tokens but the newest useless, and ends the connections, as Azure does when the
// token of a connection ends.
func (a *account) end(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	token := a.token.Token
	a.mu.Unlock()
	a.do(t, "ACL", "SETUSER", a.is.ObjectID, "resetpass", ">"+token)
	a.do(t, "CLIENT", "KILL", "USER", a.is.ObjectID)
}

// rotate is renew and, some time later, end.
func (a *account) rotate(t testing.TB) { a.renew(t); a.end(t) }

func (a *account) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// GetToken implements azcore.TokenCredential.
func (a *account) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return azcore.AccessToken{}, a.err
	}
	return a.token, ctx.Err()
}

// client is a client that Configure has made this account's.
func (a *account) client(t testing.TB, o *redis.Options) *redis.Client {
	t.Helper()
	o.Addr = a.addr
	if err := Configure(o, a, nil); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// streaming is such a client with a Provider.
func (a *account) streaming(t testing.TB, o *redis.Options) (*redis.Client, *Provider) {
	t.Helper()
	p := NewProvider(a, nil)
	o.Addr, o.StreamingCredentialsProvider = a.addr, p
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c, p
}

// trusting is a TLS configuration that knows the certificate of the real server.
func trusting(t testing.TB, addr string) *tls.Config {
	t.Helper()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // only to see the certificate
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	certificate := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	name := certificate.Subject.CommonName
	if len(certificate.DNSNames) > 0 {
		name = certificate.DNSNames[0]
	}
	return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}
}

// soon waits for a condition.
func soon(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 8 s: %s", what)
		}
		<-ticker.C
	}
}
