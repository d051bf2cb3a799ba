package azuremysql_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/go-sql-driver/mysql"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/recipes/azuremysql"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"github.com/keyless-go/identity/identitytest"
)

const (
	serverVariable = "IDENTITY_TEST_MYSQL"        // the superuser's data source name
	tokensVariable = "IDENTITY_TEST_MYSQL_TOKENS" // the directory of what users may send
)

// account is a user of a real MariaDB who logs in by mysql_clear_password over TLS, as with Azure,
// with what stands in a file of the user's.
type account struct {
	config *mysql.Config // a client's, with the user, and TLS that knows the server's certificate
	admin  *sql.DB
	file   string
}

// newAccount skips the test where there is no server.
func newAccount(t *testing.T) *account {
	t.Helper()
	dsn := os.Getenv(serverVariable)
	if dsn == "" {
		t.Skip(serverVariable + " isn't set: no MariaDB to test with; .ci/run starts one")
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := "orders" + rand.Text()
	a := &account{file: filepath.Join(os.Getenv(tokensVariable), name)}
	pool := x509.NewCertPool()
	config.TLS = &tls.Config{InsecureSkipVerify: true, // only to see the certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			pool.AddCert(s.PeerCertificates[0])
			return nil
		}}
	a.admin = openConfig(t, config)
	a.do(t, "CREATE USER "+name+" IDENTIFIED VIA pam USING 'identity' REQUIRE SSL")
	t.Cleanup(func() {
		_, _ = a.admin.Exec("DROP USER " + name)
		_ = os.Remove(a.file)
	})
	a.config = mysql.NewConfig()
	a.config.User, a.config.Net, a.config.Addr = name, config.Net, config.Addr
	a.config.TLS = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	return a
}

func (a *account) do(t *testing.T, statement string) {
	t.Helper()
	if _, err := a.admin.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// take has the server take these tokens, and no other.
func (a *account) take(t *testing.T, tokens ...string) {
	t.Helper()
	next := a.file + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(tokens, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, a.file); err != nil {
		t.Fatal(err)
	}
}

func openConfig(t *testing.T, config *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// azureOf is an identity whose tokens the server takes from when they are issued. They end by take.
func (a *account) azureOf(t *testing.T) *standin.Azure {
	t.Helper()
	var all []string // guarded by the host, which has one request at a time
	endpoint := identitytest.NewIMDS(&identitytest.Options{Issued: func(issued identitytest.Token) {
		all = append(all, issued.Raw)
		a.take(t, all...)
	}})
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &standin.Azure{Credential: cred, Endpoint: endpoint}
}

// load has a connection made, used and closed, again and again, until the test is over.
type load struct {
	made   atomic.Int64
	failed atomic.Pointer[error]
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, connector driver.Connector) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(-1)
	for range 4 {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.ExecContext(ctx, "DO 1"); err != nil && ctx.Err() == nil {
					l.failed.CompareAndSwap(nil, &err)
					return
				}
				l.made.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		l.wg.Wait()
		db.Close()
	})
	return l
}

// goesOn waits for some connections that are begun from now on.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	want := l.made.Load() + 12
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(8 * time.Second); l.made.Load() < want; <-ticker.C {
		if err := l.failed.Load(); err != nil {
			t.Fatalf("under load: %v", *err)
		}
		if time.Now().After(deadline) {
			t.Fatal("under load: no 12 connections in 8 s")
		}
	}
}

// TestMariaDB: a real server refuses a token that was taken once when it has ended. Ours is the one
// of its time, also under load. What is open lives on.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	azure := a.azureOf(t)
	first := azure.Token(t, scope)
	connector, err := azuremysql.Connector(a.config, azure.Credential, scope)
	if err != nil {
		t.Fatal(err)
	}
	ours := sql.OpenDB(connector)
	t.Cleanup(func() { ours.Close() })
	captured := a.config.Clone()
	captured.Passwd, captured.AllowCleartextPasswords = first, true
	naive := openConfig(t, captured)
	open := make(map[string]*sql.Conn)
	for name, db := range map[string]*sql.DB{"ours": ours, "naive": naive} {
		if open[name], err = db.Conn(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer open[name].Close()
	}
	l := startLoad(t, connector)
	l.goesOn(t)
	azure.Rotate(t, scope) // the server takes both
	l.goesOn(t)
	a.take(t, azure.Token(t, scope))
	l.goesOn(t)
	l.cancel()
	for name, connection := range open {
		var user, cipher string
		row := connection.QueryRowContext(t.Context(), "SELECT SUBSTRING_INDEX(USER(), '@', 1), "+
			"VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version'")
		if err := row.Scan(&user, &cipher); err != nil || user != a.config.User || cipher == "" {
			t.Errorf("%s: the open connection is %q's, TLS %q, %v", name, user, cipher, err)
		}
	}
	if err := use(t, ours, 3); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
	var refused *mysql.MySQLError
	if err := use(t, naive, 2); !errors.As(err, &refused) || refused.Number != 1045 {
		t.Errorf("naive, after its token ended: %v, want error 1045", err)
	} else if strings.Contains(fmt.Sprintf("%+v", err), first) {
		t.Error("the driver's error has the token: say so in docs/recipes.md")
	}
}
