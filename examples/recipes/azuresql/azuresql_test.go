package azuresql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/recipes/azuresql"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"github.com/keyless-go/identity/identitytest"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

const (
	tenant   = "11111111-2222-4333-8444-555555555555"
	signIn   = "https://login.windows.net/" + tenant
	resource = "https://database.windows.net/"
	scope    = resource + "/.default"
)

// dsn is the connection string for a stand-in.
func (s *server) dsn() string {
	return "sqlserver://" + host + "?database=orders&encrypt=strict&certificate=" + s.ca
}

func parse(t *testing.T, s *server) msdsn.Config {
	t.Helper()
	config, err := msdsn.Parse(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// naiveToken gets any server what it asks for.
func naiveToken(cred azcore.TokenCredential) func(context.Context, string, string) (string, error) {
	return func(ctx context.Context, serverSPN, _ string) (string, error) {
		return identity.TokenFunc(cred, serverSPN+"/.default")(ctx)
	}
}

// open is a pool of connections to the server.
func open(t *testing.T, connector *mssql.Connector, s *server) *sql.DB {
	t.Helper()
	connector.Dialer = s
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// use has that many connections open at once. The pool keeps two of them.
func use(t *testing.T, db *sql.DB, connections int) error {
	t.Helper()
	for range connections {
		connection, err := db.Conn(t.Context())
		if err != nil {
			return err
		}
		defer connection.Close()
		if err := connection.PingContext(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// refused says whether SQL Server has refused the login.
func refused(err error) bool { return answered(err, 18456) }

func answered(err error, number int32) bool {
	var answer mssql.Error
	return errors.As(err, &answer) && answer.Number == number
}

// TestConnector has 10 connections with one request for a token, and more when that one has ended.
// What keeps the first token can't connect any more.
func TestConnector(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s := startServer(t, &server{resource: resource, tenantURL: signIn,
		accepts: func(token string) bool { return token == azure.Token(t, scope) }})
	connector, err := azuresql.Connector(s.dsn(), azure.Credential)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, connector, s)
	if err := use(t, db, 10); err != nil {
		t.Fatal(err)
	}
	if sent, logins := len(azure.Endpoint.Requests()), s.logins.Load(); sent != 1 || logins != 10 {
		t.Errorf("%d requests for %d connections, want 1 for 10", sent, logins)
	}

	captured := azure.Token(t, scope)
	connector, err = mssql.NewActiveDirectoryTokenConnector(parse(t, s), mssql.FedAuthADALWorkflowMSI,
		func(context.Context, string, string) (string, error) { return captured, nil })
	if err != nil {
		t.Fatal(err)
	}
	naive := open(t, connector, s)
	if err := use(t, naive, 1); err != nil {
		t.Fatal(err)
	}
	azure.Rotate(t, scope)
	if err := use(t, db, 12); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
	if err := use(t, naive, 2); !refused(err) {
		t.Errorf("naive, after its token ended: %v, want a refusal of the second connection", err)
	} else if strings.Contains(fmt.Sprintf("%+v", err), captured) {
		t.Error("the driver's error has the token: say so in docs/recipes.md")
	}
}

// TestLifetime: the server looks at the token of an open connection again. A pool whose connections
// have no Lifetime hands out one that is of no use, again and again.
func TestLifetime(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s := startServer(t, &server{resource: resource, tenantURL: signIn, again: true,
		accepts: func(token string) bool { return token == azure.Token(t, scope) }})
	pool := func(lifetime time.Duration) *sql.DB {
		connector, err := azuresql.Connector(s.dsn(), azure.Credential)
		if err != nil {
			t.Fatal(err)
		}
		db := open(t, connector, s)
		db.SetConnMaxLifetime(lifetime)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return db
	}
	naive, ours := pool(0), pool(time.Nanosecond) // for a test that doesn't take 20 minutes
	azure.Rotate(t, scope)
	for range 3 {
		if err := naive.PingContext(t.Context()); !answered(err, 37396) {
			t.Errorf("naive: %v, want error 37396: if the pool drops the connection now, say so", err)
		}
	}
	if err := ours.PingContext(t.Context()); err != nil {
		t.Errorf("with a lifetime: %v", err)
	}
	if azuresql.Lifetime <= 0 || azuresql.Lifetime > 27*time.Minute {
		t.Errorf("Lifetime is %v, and a token may have 27 minutes when a connection gets it",
			azuresql.Lifetime)
	}
}

// TestConnectorAsksForAzureSQLOnly: in each cloud the server says what it is called. One that says
// it is Azure Resource Manager gets no token, which a naive function would hand over.
func TestConnectorAsksForAzureSQLOnly(t *testing.T) {
	t.Parallel()
	for asked, ok := range map[string]bool{
		"https://database.windows.net":           true,
		"https://database.windows.net/":          true,
		"https://database.usgovcloudapi.net/":    true,
		"https://database.chinacloudapi.cn/":     true,
		"https://management.azure.com/":          false,
		"https://database.windows.net.evil.com/": false,
		"":                                       false,
	} {
		t.Run("asked for "+asked, func(t *testing.T) {
			t.Parallel()
			azure := standin.New(t)
			s := startServer(t, &server{resource: asked, tenantURL: signIn,
				accepts: func(token string) bool { return token == azure.Token(t, asked+"/.default") }})
			connector, err := azuresql.Connector(s.dsn(), azure.Credential)
			if err != nil {
				t.Fatal(err)
			}
			err = use(t, open(t, connector, s), 1)
			if ok && err != nil {
				t.Error(err)
			}
			if !ok && (err == nil || !strings.Contains(err.Error(), "isn't Azure SQL")) {
				t.Errorf("%v, want a refusal", err)
			}
			if sent := len(azure.Endpoint.Requests()); !ok && sent != 0 {
				t.Errorf("%d requests for a token, want none", sent)
			}
			if asked != "https://management.azure.com/" {
				return
			}
			connector, err = mssql.NewActiveDirectoryTokenConnector(parse(t, s),
				mssql.FedAuthADALWorkflowMSI, naiveToken(azure.Credential))
			if err != nil {
				t.Fatal(err)
			}
			if err := use(t, open(t, connector, s), 1); err != nil {
				t.Errorf("naive: %v, want that the server gets what it asks for", err)
			}
		})
	}
}

// asked is a credential that says how it was asked.
type asked struct{}

var errAsked = errors.New("asked")

func (asked) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, fmt.Errorf("%w for %q of %s, CAE %v", errAsked, o.Scopes,
		o.TenantID, o.EnableCAE)
}

// TestConnectorAsks: for the server's resource, of its tenant, and as Ready does. The credential's
// error reaches the caller.
func TestConnectorAsks(t *testing.T) {
	t.Parallel()
	s := startServer(t, &server{resource: resource, tenantURL: signIn,
		accepts: func(string) bool { return true }})
	connector, err := azuresql.Connector(s.dsn(), asked{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("for %q of %s, CAE true", []string{scope}, tenant)
	err = use(t, open(t, connector, s), 1)
	if !errors.Is(err, errAsked) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want that it was asked %s", err, want)
	}
}

// entra counts what a credential of azidentity sends, and has the pages that MSAL reads.
type entra struct {
	*identitytest.Endpoint
	sent atomic.Int64
}

func (e *entra) Do(r *http.Request) (*http.Response, error) {
	e.sent.Add(1)
	const page = "/v2.0/.well-known/openid-configuration"
	base, ok := strings.CutSuffix("https://"+r.URL.Host+r.URL.Path, page)
	if !ok {
		return e.Endpoint.Do(r)
	}
	body := fmt.Sprintf(`{"issuer": "%s/v2.0", "authorization_endpoint": "%s/oauth2/v2.0/authorize",
		"token_endpoint": "%s/oauth2/v2.0/token"}`, base, base, base)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewBufferString(body))}, nil
}

// TestNaiveCredentialPerConnection is the mechanism of go-mssqldb's own package azuread: a new
// credential, and with it a new cache, for each connection.
func TestNaiveCredentialPerConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client := "66666666-7777-4888-9999-aaaaaaaaaaaa"
	fake := &entra{Endpoint: identitytest.NewWorkloadIdentity(&identitytest.Options{
		Identities: []identitytest.Identity{{ClientID: client, TenantID: tenant}}, Dir: dir,
	})}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, error %v, want the token's file", files, err)
	}
	assertion, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	naive := func(ctx context.Context, serverSPN, _ string) (string, error) {
		cred, err := azidentity.NewClientAssertionCredential(tenant, client,
			func(context.Context) (string, error) { return string(assertion), nil },
			&azidentity.ClientAssertionCredentialOptions{
				ClientOptions:            azcore.ClientOptions{Transport: fake},
				DisableInstanceDiscovery: true,
			})
		if err != nil {
			return "", err
		}
		token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
			Scopes: []string{serverSPN + "/.default"},
		})
		return token.Token, err
	}
	s := startServer(t, &server{resource: resource, tenantURL: signIn,
		accepts: func(token string) bool { return token != "" }})
	connector, err := mssql.NewActiveDirectoryTokenConnector(parse(t, s),
		mssql.FedAuthADALWorkflowMSI, naive)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(t, open(t, connector, s), 10); err != nil {
		t.Fatal(err)
	}
	if sent := fake.sent.Load(); sent != 20 {
		t.Errorf("%d requests for 10 connections, want 20: that is what TestConnector saves", sent)
	}
}
