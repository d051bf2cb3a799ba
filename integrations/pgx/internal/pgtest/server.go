// Package pgtest is what the tests of this module share: a stand-in for a PostgreSQL server, in
// memory, and roles of a real one whose password is a token.
package pgtest

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Login is what a client has sent.
type Login struct{ User, Secret string }

// Server stands in for a PostgreSQL server without TLS. It takes any secret unless Refuse says
// otherwise, and answers each statement as if it were empty. Its Dial is for
// pgconn.Config.DialFunc, and leads there whatever the address is.
type Server struct {
	OAuth  bool // asks for OAUTHBEARER, as PostgreSQL 18 with the method oauth
	Refuse func(Login) bool

	mu     sync.Mutex
	logins []Login
	busy   sync.WaitGroup
}

// Logins are all so far, refused ones too.
func (s *Server) Logins() []Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Login(nil), s.logins...)
}

// NewServer returns a stand-in whose connections have ended when the test ends.
func NewServer(t testing.TB) *Server {
	s := new(Server)
	t.Cleanup(s.busy.Wait)
	return s
}

// Lookup leaves a name as it is: no test asks a name server.
func (*Server) Lookup(_ context.Context, host string) ([]string, error) {
	return []string{host}, nil
}

// Dial connects in memory.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.busy.Go(func() {
		defer server.Close()
		s.serve(server)
	})
	return client, nil
}

func (s *Server) serve(conn net.Conn) {
	b := pgproto3.NewBackend(conn, conn)
	var login Login
	for login.User == "" {
		first, err := b.ReceiveStartupMessage()
		if err != nil {
			return
		}
		switch first := first.(type) {
		case *pgproto3.StartupMessage:
			login.User = first.Parameters["user"]
		default: // a wish for encryption
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
		}
	}
	var ok bool
	if login.Secret, ok = s.ask(b); !ok {
		return
	}
	s.mu.Lock()
	s.logins = append(s.logins, login)
	s.mu.Unlock()
	if s.Refuse != nil && s.Refuse(login) {
		s.refuse(b)
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		switch m, err := b.Receive(); {
		case err != nil:
			return
		default:
			if _, ok := m.(*pgproto3.Query); !ok {
				return
			}
		}
		b.Send(&pgproto3.EmptyQueryResponse{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

// ask asks for the password, or for a token as RFC 7628 has it.
func (s *Server) ask(b *pgproto3.Backend) (secret string, ok bool) {
	if s.OAuth {
		b.Send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}})
		_ = b.SetAuthType(pgproto3.AuthTypeSASL)
	} else {
		b.Send(&pgproto3.AuthenticationCleartextPassword{})
		_ = b.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	}
	if b.Flush() != nil {
		return "", false
	}
	m, err := b.Receive()
	if err != nil {
		return "", false
	}
	switch m := m.(type) {
	case *pgproto3.PasswordMessage:
		return m.Password, true
	case *pgproto3.SASLInitialResponse:
		secret, ok = strings.CutPrefix(string(m.Data), "n,,\x01auth=Bearer ")
		if !ok || m.AuthMechanism != "OAUTHBEARER" {
			return "", false
		}
		return strings.CutSuffix(secret, "\x01\x01")
	}
	return "", false
}

func (s *Server) refuse(b *pgproto3.Backend) {
	if s.OAuth {
		b.Send(&pgproto3.AuthenticationSASLContinue{
			Data: []byte(`{"status":"invalid_token","scope":"openid"}`)})
	} else {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01",
			Message: "password authentication failed"})
	}
	_ = b.Flush()
}
