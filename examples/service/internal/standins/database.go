package standins

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/keyless-go/identity/identitytest"
)

// DatabaseURL is the Database's, which Dial leads to. It knows PostgreSQL's simple protocol only.
const DatabaseURL = "postgres://127.0.0.1/orders?sslmode=disable&" +
	"default_query_exec_mode=simple_protocol"

// Database stands in for a PostgreSQL that has one order, number 1, and one user, the endpoint's
// identity. It speaks PostgreSQL's protocol in memory.
type Database struct {
	Endpoint *identitytest.Endpoint
	Query    func(sql string)           // if not nil, is called for each, and may keep it waiting
	Login    func(user string, _ error) // the same, with why it is refused
}

// Dial implements pgconn.DialFunc.
func (d *Database) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		_ = d.serve(pgproto3.NewBackend(server, server))
	}()
	return client, nil
}

func (d *Database) serve(b *pgproto3.Backend) error {
	startup, err := b.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	hello, ok := startup.(*pgproto3.StartupMessage)
	if !ok {
		return errors.New("want sslmode=disable")
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := b.Flush(); err != nil {
		return err
	}
	_ = b.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	message, err := b.Receive()
	if err != nil {
		return err
	}
	password, _ := message.(*pgproto3.PasswordMessage)
	err = d.check(hello.Parameters["user"], password)
	if d.Login != nil {
		d.Login(hello.Parameters["user"], err)
	}
	if err != nil {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: err.Error()})
		return b.Flush()
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	for {
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			return err
		}
		message, err := b.Receive()
		if err != nil {
			return err
		}
		query, ok := message.(*pgproto3.Query)
		if !ok {
			return nil // the client leaves
		}
		d.answer(b, query.String)
	}
}

// check is what the server does with a password that is a token.
func (d *Database) check(user string, password *pgproto3.PasswordMessage) error {
	if password == nil {
		return errors.New("no password")
	}
	token, err := d.Endpoint.Verify(password.Password)
	switch {
	case err != nil:
		return err
	case token.Resource != "https://ossrdbms-aad.database.windows.net":
		return fmt.Errorf("the token is for %s", token.Resource)
	case !strings.HasSuffix(token.Identity.ResourceID, "/"+user):
		return fmt.Errorf("the token is not that of %s", user)
	}
	return nil
}

func (d *Database) answer(b *pgproto3.Backend, sql string) {
	if d.Query != nil {
		d.Query(sql)
	}
	_, where, ok := strings.Cut(sql, "WHERE id =")
	if !ok {
		b.Send(&pgproto3.EmptyQueryResponse{}) // a ping
		return
	}
	const bigint, text = 20, 25
	b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
		{Name: []byte("id"), DataTypeOID: bigint, DataTypeSize: 8, TypeModifier: -1},
		{Name: []byte("item"), DataTypeOID: text, DataTypeSize: -1, TypeModifier: -1},
		{Name: []byte("quantity"), DataTypeOID: bigint, DataTypeSize: 8, TypeModifier: -1},
	}})
	if id, err := strconv.Atoi(strings.Trim(where, " '")); err == nil && id == 1 {
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("1"), []byte("tea"), []byte("3")}})
	}
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
}
