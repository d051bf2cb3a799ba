package identityredis

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/redis/go-redis/v9"
)

// BenchmarkConnection is a new connection, dial, HELLO with AUTH and PING, on loopback without TLS,
// with a token that is held, beside the same token as a fixed password. They take turns, so that
// the ratio doesn't depend on what else the machine does.
func BenchmarkConnection(b *testing.B) {
	a := newAccount(b)
	host := identitytest.NewIMDS(&identitytest.Options{HostCache: true,
		Identities: []identitytest.Identity{a.is}})
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: host}})
	if err != nil {
		b.Fatal(err)
	}
	token, err := identity.TokenFunc(cred, Scope)(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	a.do(b, "ACL", "SETUSER", a.is.ObjectID, ">"+token)
	base := redis.Options{Addr: a.addr, DisableIdentity: true}
	fixed, streaming, plain := base, base, base
	fixed.Username, fixed.Password = a.is.ObjectID, token
	streaming.StreamingCredentialsProvider = NewProvider(cred, nil)
	plain.CredentialsProviderContext = CredentialsProvider(cred, nil)
	kinds := []*redis.Options{&fixed, &streaming, &plain}
	took := make([]time.Duration, len(kinds))
	for b.Loop() {
		for i, o := range kinds {
			start := time.Now()
			c := redis.NewClient(o)
			if err := c.Ping(context.Background()).Err(); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(start)
			_ = c.Close()
		}
	}
	b.ReportMetric(float64(took[0].Microseconds())/float64(b.N), "µs/fixed")
	b.ReportMetric(float64(took[1])/float64(took[0]), "streaming/fixed")
	b.ReportMetric(float64(took[2])/float64(took[0]), "plain/fixed")
}
