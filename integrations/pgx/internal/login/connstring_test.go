package login

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// named are connection strings with a user, and unnamed those without.
var (
	named = []string{
		"user=ada", "host=h user=ada", "user = 'ada b' host=h", `password=a\ user=x user=ada`,
		"host='' user='ada'", `user=\'ada`,
		"user= ada", "user='' user=ada", "user=ada user=''", "\tuser\n=\nada",
		"postgres://ada@h/d", "postgresql://ada:secret@h", "postgres://h/d?user=ada",
		"postgres://h1:1,h2:2/d?sslmode=disable&user=ada", "postgres://:p@h/d?user=ada",
		"postgres://h?us%65r=ada", "postgres://a%64a@h",
	}
	unnamed = []string{
		"", "host=h", "user=''", "user=", "dbname=user", "host=h dbname='user=x'",
		`dbname=user\ user=x`, `dbname='a\' user=x'`, "user.name=x", "application_name='user = x'",
		"postgres://h/d", "postgres://:p@h/d", "postgres://h/user", "postgres://h/d?user=",
		"postgres://h/d?application_name=user", "postgres:///d@x?sslmode=disable", "postgres://",
		"postgres://h1:1,h2:2/", "postgres://h/d?x=user%3Dada",
	}
)

func TestConnString(t *testing.T) {
	t.Parallel()
	for _, s := range named {
		if !connStringNamesUser(s) {
			t.Errorf("%q names a user", s)
		}
	}
	for _, s := range unnamed {
		if connStringNamesUser(s) {
			t.Errorf("%q names no user", s)
		}
	}
}

// FuzzConnString compares with pgx itself, which has its guess where none is named.
func FuzzConnString(f *testing.F) {
	for _, s := range append(named, unnamed...) {
		f.Add(s)
	}
	guess := OSUser()
	f.Fuzz(func(t *testing.T, s string) {
		for _, other := range []string{"service", "passfile", "ssl", "%"} { // files; other spellings
			if strings.Contains(s, other) {
				return
			}
		}
		config, err := pgconn.ParseConfig(s)
		if err != nil || config.User == "" || strings.Contains(s, guess) {
			return
		}
		if got, want := connStringNamesUser(s), config.User != guess; got != want {
			t.Errorf("%q: names a user: %v, want %v: pgx has %q", s, got, want, config.User)
		}
	})
}
