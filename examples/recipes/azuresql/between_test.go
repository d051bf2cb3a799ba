package azuresql_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"

	"github.com/keyless-go/identity/examples/recipes/azuresql"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// inPrelogin has TLS's handshake in messages of TDS, which is where TDS 7 has it.
type inPrelogin struct {
	net.Conn
	left []byte
	done bool // the handshake is
}

func (c *inPrelogin) Read(b []byte) (n int, err error) {
	if c.done {
		return c.Conn.Read(b)
	}
	if len(c.left) == 0 {
		if c.left, err = receive(c.Conn, prelogin); err != nil {
			return 0, err
		}
	}
	n = copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *inPrelogin) Write(b []byte) (int, error) {
	if c.done {
		return c.Conn.Write(b)
	}
	header := binary.BigEndian.AppendUint16([]byte{prelogin, 1}, uint16(8+len(b)))
	_, err := c.Conn.Write(append(append(header, 0, 0, 1, 0), b...))
	return len(b), err
}

// between is somebody between a client and Azure SQL, without TLS or with a certificate of their
// own making. They answer as the server would, to get the token.
type between struct {
	*server
	token atomic.Value
}

func startBetween(t *testing.T, secure bool) *between {
	t.Helper()
	theirs := &tls.Config{MaxVersion: tls.VersionTLS12} // as the handshake's end is another in 1.3
	if secure {
		certificate, _ := standin.Certificate(t, host)
		theirs.Certificates = []tls.Certificate{certificate}
	}
	b := &between{}
	b.server = startServer(t, &server{resource: resource, tenantURL: signIn, version7: theirs,
		accepts: func(token string) bool { b.token.Store(token); return true }})
	return b
}

func (b *between) saw(token string) bool { return b.token.Load() == token }

// TestConnectorWantsTLS: nobody else reads the token. To somebody in between a naive client sends
// it, unless its encryption is what ours wants.
func TestConnectorWantsTLS(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	token := azure.Token(t, scope)
	for dsn, ok := range map[string]bool{
		"":                              false,
		"?encrypt=disable":              false,
		"?encrypt=false":                false,
		"?TrustServerCertificate=false": false,
		"?encrypt=true&TrustServerCertificate=true": false,
		"?encrypt=true":   true,
		"?encrypt=strict": true,
	} {
		all := []*between{startBetween(t, false), startBetween(t, true)}
		config, err := msdsn.Parse("sqlserver://" + host + dsn)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			naive, err := mssql.NewActiveDirectoryTokenConnector(config, mssql.FedAuthADALWorkflowMSI,
				func(context.Context, string, string) (string, error) { return token, nil })
			if err != nil {
				t.Fatal(err)
			}
			_ = open(t, naive, b.server).PingContext(t.Context())
		}
		if saw := all[0].saw(token) || all[1].saw(token); saw == ok {
			t.Errorf("%q, naive: somebody in between has the token: %v, want %v", dsn, saw, !ok)
		}
		for _, b := range all {
			connector, err := azuresql.Connector("sqlserver://"+host+dsn, azure.Credential)
			if (err == nil) != ok {
				t.Errorf("%q: error %v, want it to be taken: %v", dsn, err, ok)
			}
			if err == nil && (open(t, connector, b.server).PingContext(t.Context()) == nil || b.saw(token)) {
				t.Errorf("%q: somebody in between has the token", dsn)
			}
		}
	}
}
