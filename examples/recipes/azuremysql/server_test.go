package azuremysql_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
)

const (
	host = "contoso.mysql.database.azure.com"
	user = "orders"
)

// server stands in for Azure Database for MySQL: it speaks as much of the protocol as a login by
// mysql_clear_password takes, wants TLS before, and answers each command with OK. With plain it is
// somebody in between, who has no TLS and asks for the password all the same.
type server struct {
	accepts func(token string) bool
	plain   bool
	logins  atomic.Int64
	address string
	tls     *tls.Config
	pool    *tls.Config // a client's

	mu   sync.Mutex
	seen []string // the passwords
}

func startServer(t *testing.T, accepts func(token string) bool) *server {
	t.Helper()
	return start(t, &server{accepts: accepts})
}

func start(t *testing.T, s *server) *server {
	t.Helper()
	certificate, pool := standin.Certificate(t, host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.address = listener.Addr().String()
	s.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.pool = &tls.Config{RootCAs: pool, ServerName: host}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(connection)
		}
	}()
	return s
}

// config is a client's, as mysql.NewConfig begins one.
func (s *server) config() *mysql.Config {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.TLS = user, "tcp", host+":3306", s.pool
	config.DialFunc = s.dial
	return config
}

func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", s.address)
}

// saw reports whether anybody has sent that password.
func (s *server) saw(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.seen, token)
}

const ( // capabilities
	protocol41, sslRequest, secure, pluginAuth, lengthEncoded = 0x200, 0x800, 0x8000, 1 << 19, 1 << 21

	capabilities = 1 | protocol41 | sslRequest | secure | pluginAuth | lengthEncoded
)

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	offered := uint32(capabilities)
	if s.plain {
		offered &^= sslRequest
	}
	b := append([]byte{10}, "8.0.42-azure\x00\x01\x00\x00\x00saltsalt\x00"...)
	b = binary.LittleEndian.AppendUint16(b, uint16(offered))
	b = append(b, 45, 2, 0) // utf8mb4, autocommit
	b = binary.LittleEndian.AppendUint16(b, uint16(offered>>16))
	b = append(append(b, 21), make([]byte, 10)...)
	send(connection, 0, append(b, "saltsaltsalt\x00mysql_native_password\x00"...))
	number, hello, err := receive(connection)
	if err != nil || len(hello) < 4 {
		return
	}
	if !s.plain && binary.LittleEndian.Uint32(hello)&sslRequest == 0 {
		send(connection, number+1,
			refusal("HY000", "Connections using insecure transport are prohibited"))
		return
	}
	if !s.plain {
		connection = tls.Server(connection, s.tls)
		number, hello, err = receive(connection)
	}
	if err != nil || len(hello) < 33 {
		return
	}
	name, _, _ := bytes.Cut(hello[32:], []byte{0})
	send(connection, number+1, []byte("\xFEmysql_clear_password\x00"))
	number, password, err := receive(connection)
	if err != nil {
		return
	}
	token := string(bytes.TrimRight(password, "\x00"))
	s.mu.Lock()
	s.seen = append(s.seen, token)
	s.mu.Unlock()
	if string(name) != user || !s.accepts(token) {
		send(connection, number+1, refusal("28000", "Access denied for user '"+user+"'@'%'"))
		return
	}
	s.logins.Add(1)
	for err == nil {
		send(connection, number+1, []byte{0, 0, 0, 2, 0, 0, 0}) // OK, autocommit
		number, _, err = receive(connection)
	}
}

// refusal is error 1045.
func refusal(state, message string) []byte {
	return append([]byte{0xFF, 0x15, 0x04, '#'}, (state + message)...)
}

func send(w io.Writer, number byte, message []byte) {
	header := binary.LittleEndian.AppendUint32(nil, uint32(len(message)))
	header[3] = number
	w.Write(append(header, message...))
}

func receive(r io.Reader) (number byte, message []byte, err error) {
	var header [4]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	number, header[3] = header[3], 0
	message = make([]byte, binary.LittleEndian.Uint32(header[:]))
	_, err = io.ReadFull(r, message)
	return number, message, err
}
