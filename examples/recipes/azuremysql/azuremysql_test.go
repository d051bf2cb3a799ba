package azuremysql_test

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/keyless-go/identity/examples/recipes/azuremysql"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
)

const scope = "https://ossrdbms-aad.database.windows.net/.default"

func open(t *testing.T, s *server, azure *standin.Azure) *sql.DB {
	t.Helper()
	connector, err := azuremysql.Connector(s.config(), azure.Credential, "")
	if err != nil {
		t.Fatal(err)
	}
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

// TestConnector connects, and connects again when the token has ended. What keeps the first token
// in its Config can't.
func TestConnector(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s := startServer(t, func(token string) bool { return token == azure.Token(t, scope) })
	db := open(t, s, azure)
	config := s.config()
	config.Passwd, config.AllowCleartextPasswords = azure.Token(t, scope), true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	naive := sql.OpenDB(connector)
	t.Cleanup(func() { naive.Close() })
	for _, pool := range []*sql.DB{db, naive} {
		if err := use(t, pool, 2); err != nil {
			t.Fatal(err)
		}
	}
	if sent := len(azure.Endpoint.Requests()); sent != 1 {
		t.Errorf("%d requests for a token, want 1", sent)
	}
	azure.Rotate(t, scope)
	if err := use(t, db, 4); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
	var refused *mysql.MySQLError
	if err := use(t, naive, 4); !errors.As(err, &refused) || refused.Number != 1045 {
		t.Errorf("naive, after its token ended: %v, want error 1045 of the third connection", err)
	} else if strings.Contains(fmt.Sprintf("%+v", err), config.Passwd) {
		t.Error("the driver's error has the token: say so in docs/recipes.md")
	}
}

// TestConnectorWantsLoc: a Config that was written out panics with its first time.Time.
func TestConnectorWantsLoc(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s := startServer(t, func(token string) bool { return token == azure.Token(t, scope) })
	naive := &mysql.Config{User: user, Passwd: azure.Token(t, scope), Net: "tcp", Addr: host,
		AllowCleartextPasswords: true, AllowNativePasswords: true, InterpolateParams: true,
		MaxAllowedPacket: 1 << 20, TLS: s.pool, DialFunc: s.dial}
	if _, err := azuremysql.Connector(naive, azure.Credential, ""); err == nil ||
		!strings.Contains(err.Error(), "mysql.NewConfig") {
		t.Errorf("%v, want that it says where to begin", err)
	}
	connector, err := mysql.NewConnector(naive)
	if err != nil {
		t.Fatal(err)
	}
	sent := s.config()
	sent.InterpolateParams = true
	ours, err := azuremysql.Connector(sent, azure.Credential, "")
	if err != nil {
		t.Fatal(err)
	}
	insert := func(db *sql.DB) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		_, err = db.ExecContext(t.Context(), "INSERT INTO orders (at) VALUES (?)", time.Now())
		return err
	}
	if err := insert(sql.OpenDB(connector)); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("naive: %v, want a panic", err)
	}
	db := sql.OpenDB(ours)
	t.Cleanup(func() { db.Close() })
	if err := insert(db); err != nil {
		t.Error(err)
	}
}

// TestConnectorWantsTLS: nobody else reads the token. To somebody in between, one without TLS or
// one with a certificate of another's making, a naive client sends it, unless its TLS is what ours
// wants.
func TestConnectorWantsTLS(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	token := azure.Token(t, scope)
	accepts := func(string) bool { return true }
	for query, ok := range map[string]bool{
		"": false, "?tls=false": false, "?tls=preferred": false, "?tls=skip-verify": false,
		"?tls=true": true, "?tls=true&allowFallbackToPlaintext=true": false,
		"a TLSConfig": false, // with InsecureSkipVerify
	} {
		between := []*server{start(t, &server{accepts: accepts, plain: true}), startServer(t, accepts)}
		config := func() *mysql.Config {
			config, err := mysql.ParseDSN(user + "@tcp(" + host + ":3306)/orders" +
				strings.TrimPrefix(query, "a TLSConfig"))
			if err != nil {
				t.Fatal(err)
			}
			if query == "a TLSConfig" {
				config.TLS = &tls.Config{InsecureSkipVerify: true}
			}
			return config
		}
		for _, s := range between {
			naive := config()
			naive.DialFunc, naive.Passwd, naive.AllowCleartextPasswords = s.dial, token, true
			_ = openConfig(t, naive).PingContext(t.Context())
		}
		if saw := between[0].saw(token) || between[1].saw(token); saw == ok {
			t.Errorf("%q, naive: somebody in between has the token: %v, want %v", query, saw, !ok)
		}
		for _, s := range between {
			ours := config()
			ours.DialFunc = s.dial
			connector, err := azuremysql.Connector(ours, azure.Credential, "")
			if (err == nil) != ok {
				t.Errorf("%q: error %v, want it to be taken: %v", query, err, ok)
			}
			if err == nil && (sql.OpenDB(connector).PingContext(t.Context()) == nil || s.saw(token)) {
				t.Errorf("%q: somebody in between has the token", query)
			}
		}
	}
}

// TestConnectorScopes: each cloud has its own, and what isn't in a cloud has to be told.
func TestConnectorScopes(t *testing.T) {
	t.Parallel()
	const china = "https://ossrdbms-aad.database.chinacloudapi.cn/.default"
	for _, c := range []struct{ addr, scope, want string }{
		{"contoso.mysql.database.azure.com:3306", "", scope},
		{"contoso.MySQL.database.azure.com", "", scope},
		{"contoso.mysql.database.usgovcloudapi.net:3306", "",
			"https://ossrdbms-aad.database.usgovcloudapi.net/.default"},
		{"contoso.mysql.database.chinacloudapi.cn:3306", "", china},
		{"10.0.0.4:3306", china, china},
		{"contoso.mysql.database.azure.com:3306", china, china},
		{"10.0.0.4:3306", "", ""},
		{"mysql.database.azure.com.example.org:3306", "", ""},
	} {
		azure := standin.New(t)
		s := startServer(t, func(token string) bool {
			return standin.Audience(token) == strings.TrimSuffix(c.want, "/.default")
		})
		config := s.config()
		config.Addr = c.addr
		connector, err := azuremysql.Connector(config, azure.Credential, c.scope)
		if c.want == "" || err != nil {
			if c.want != "" || err == nil || !strings.Contains(err.Error(), "give the scope") {
				t.Errorf("%s: error %v, want scope %q", c.addr, err, c.want)
			}
			continue
		}
		db := sql.OpenDB(connector)
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("%s: %v, want scope %q", c.addr, err, c.want)
		}
		db.Close()
	}
}

// TestConnectorFails: a credential's error reaches the caller, and the server isn't asked.
func TestConnectorFails(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(string) bool { return true })
	connector, err := azuremysql.Connector(s.config(), standin.Broken{}, "")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(t.Context()); !errors.Is(err, standin.ErrBroken) {
		t.Errorf("%v, want the credential's error", err)
	}
}
