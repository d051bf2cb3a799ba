package standins

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyless-go/identity/identitytest"
)

// serverVariable names a PostgreSQL to use: postgres://SUPERUSER:PASSWORD@127.0.0.1:PORT/postgres.
const serverVariable = "IDENTITY_TEST_POSTGRES"

// Postgres is a role of a real PostgreSQL, with its own table of orders. That server has never
// heard of Entra: the newest token is the role's password.
type Postgres struct {
	Role string
	URL  string // without a user and a password
	Stop func()

	superuser string // the URL
}

// StartPostgres uses the server that IDENTITY_TEST_POSTGRES names, or starts one that is installed
// as on Debian. If there is none it returns nil, and why.
func StartPostgres(ctx context.Context) (p *Postgres, words string, err error) {
	superuser, stop := os.Getenv(serverVariable), func() {}
	words = "PostgreSQL of " + serverVariable
	if superuser == "" {
		programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
		switch {
		case len(programs) == 0:
			return nil, "no PostgreSQL in /usr/lib/postgresql, and no " + serverVariable, nil
		case os.Geteuid() == 0:
			return nil, "PostgreSQL doesn't run as root, and there is no " + serverVariable, nil
		}
		bin := slices.MaxFunc(programs, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) // 9.6 is before 15
		})
		if superuser, stop, err = initPostgres(ctx, bin); err != nil {
			return nil, "", err
		}
		words = "PostgreSQL of " + bin
	}
	p = &Postgres{superuser: superuser, Role: "orders-" + strings.ToLower(rand.Text()[:8])}
	if err := p.create(ctx); err != nil {
		stop()
		return nil, "", err
	}
	p.Stop = func() {
		_ = p.exec(context.Background(), p.sql("DROP SCHEMA %[1]s CASCADE; DROP ROLE %[1]s"))
		stop()
	}
	return p, words, nil
}

// initPostgres starts a server that listens on a socket in a temporary directory.
func initPostgres(ctx context.Context, bin string) (superuser string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "orders-")
	if err != nil {
		return "", nil, err
	}
	password, data := rand.Text(), filepath.Join(dir, "data")
	tool := func(name string, args ...string) error {
		c := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(bin, name), args...)
		c.WaitDelay = time.Second // the server keeps the output open
		if out, err := c.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	stop = func() {
		_ = tool("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
		_ = os.RemoveAll(dir)
	}
	file := filepath.Join(dir, "password")
	if err = os.WriteFile(file, []byte(password), 0o600); err == nil {
		err = tool("initdb", "-D", data, "-U", "postgres", "--auth=password", "--pwfile="+file,
			"--no-sync")
	}
	if err == nil {
		err = tool("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o",
			"-F -c listen_addresses= -c unix_socket_directories="+dir, "start")
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return "postgres://postgres:" + password + "@/postgres?host=" + url.QueryEscape(dir), stop, nil
}

// create makes the role, and the table with one order.
func (p *Postgres) create(ctx context.Context) error {
	u, err := url.Parse(p.superuser)
	if err != nil {
		return errors.New(serverVariable + " is no URL")
	}
	u.User = nil
	if p.URL = u.String(); u.RawQuery == "" {
		p.URL += "?sslmode=disable"
	}
	return p.exec(ctx, p.sql("CREATE ROLE %[1]s LOGIN; CREATE SCHEMA %[1]s; "+
		"GRANT USAGE ON SCHEMA %[1]s TO %[1]s; "+
		"CREATE TABLE %[1]s.orders (id bigint PRIMARY KEY, item text, quantity bigint); "+
		"GRANT SELECT ON %[1]s.orders TO %[1]s; INSERT INTO %[1]s.orders VALUES (1, 'tea', 3)"))
}

// sql is a format with the role's name.
func (p *Postgres) sql(format string, args ...any) string {
	return fmt.Sprintf(format, append([]any{pgx.Identifier{p.Role}.Sanitize()}, args...)...)
}

// Issued is called with each new token, before the service has it.
func (p *Postgres) Issued(t identitytest.Token) {
	if t.Resource != "https://ossrdbms-aad.database.windows.net" {
		return
	}
	set := p.sql("ALTER ROLE %s PASSWORD '%s'", t.Raw) // its letters need no quoting
	if err := p.exec(context.Background(), set); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in: the role has no new password:", err)
	}
}

func (p *Postgres) exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, p.superuser)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}
