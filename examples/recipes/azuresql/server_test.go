package azuresql_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/keyless-go/identity/examples/recipes/internal/standin"
)

// server stands in for Azure SQL: it speaks as much of TDS 8.0 as a login with a token takes, and
// answers whatever follows with no rows. See [MS-TDS] 2.2.6 and 2.2.7.
type server struct {
	resource, tenantURL string // what it tells clients to get a token for, and where
	accepts             func(token string) bool
	version7            *tls.Config // if not nil TDS 7.4, with this TLS if it has a certificate, or none
	again               bool        // accepts is asked at each query, too
	logins              atomic.Int64
	address             string
	ca                  string // a file with the certificate to trust
}

const host = "contoso.database.windows.net"

func startServer(t *testing.T, s *server) *server {
	t.Helper()
	certificate, _ := standin.Certificate(t, host)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(s.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.version7 == nil {
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{certificate}, NextProtos: []string{"tds/8.0"},
		})
	}
	t.Cleanup(func() { listener.Close() })
	s.address = listener.Addr().String()
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

// HostName and DialContext make it a dialer that leads to the server, whatever the name.
func (s *server) HostName() string { return host }

func (s *server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", s.address)
}

const ( // types of messages and tokens
	prelogin, login7, fedAuthToken, reply            = 18, 16, 8, 4
	fedAuthInfo, loginAck, failure, done, terminator = 0xEE, 0xAD, 0xAA, 0xFD, 0xFF

	on, notSupported = 1, 2 // encryption
)

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	if _, err := receive(connection, prelogin); err != nil {
		return
	}
	secure := s.version7 != nil && len(s.version7.Certificates) > 0
	encryption := byte(notSupported)
	if secure {
		encryption = on
	}
	// VERSION, ENCRYPTION and FEDAUTHREQUIRED: number, offset, length each, then the values
	send(connection, []byte{0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 6, 0, 23, 0, 1, terminator,
		12, 0, 0, 0, 0, 0, encryption, 1})
	if secure {
		wrapped := &inPrelogin{Conn: connection}
		encrypted := tls.Server(wrapped, s.version7)
		if encrypted.Handshake() != nil {
			return
		}
		wrapped.done = true
		connection = encrypted
	}
	if _, err := receive(connection, login7); err != nil {
		return
	}
	send(connection, s.info())
	message, err := receive(connection, fedAuthToken)
	if err != nil || len(message) < 8 {
		return
	}
	if !s.accepts(text(message[8:])) {
		send(connection, refusal(18456, "Login failed for user '<token-identified principal>'."))
		return
	}
	s.logins.Add(1)
	ack := append([]byte{1, 8, 0, 0, 0, 3}, ucs2("SQL")...)
	ack = append(ack, 12, 0, 0, 0)
	send(connection, append(sized16(loginAck, ack), finished(0)...))
	for {
		if _, err := receive(connection, 0); err != nil {
			return
		}
		if s.again && !s.accepts(text(message[8:])) {
			send(connection, refusal(37396, "Query cannot be executed, access token is expired."))
			continue
		}
		send(connection, finished(0))
	}
}

// info is FEDAUTHINFO: the URL of the tenant (1) and the resource (2), behind where each is.
func (s *server) info() []byte {
	sts, spn := ucs2(s.tenantURL), ucs2(s.resource)
	const first = 4 + 2*9
	b := binary.LittleEndian.AppendUint32(nil, 2)
	b = binary.LittleEndian.AppendUint32(append(b, 1), uint32(len(sts)))
	b = binary.LittleEndian.AppendUint32(b, first)
	b = binary.LittleEndian.AppendUint32(append(b, 2), uint32(len(spn)))
	b = binary.LittleEndian.AppendUint32(b, uint32(first+len(sts)))
	b = append(append(b, sts...), spn...)
	return append(binary.LittleEndian.AppendUint32([]byte{fedAuthInfo}, uint32(len(b))), b...)
}

// refusal is an error of state 1 and class 14.
func refusal(number uint32, message string) []byte {
	b := append(binary.LittleEndian.AppendUint32(nil, number), 1, 14)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(message)))
	b = append(append(b, ucs2(message)...), 0, 0, 0, 0, 0, 0) // no server, procedure, line
	return append(sized16(failure, b), finished(2)...)
}

func finished(status byte) []byte { return append([]byte{done, status}, make([]byte, 11)...) }

func sized16(token byte, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{token}, uint16(len(b))), b...)
}

func send(w io.Writer, message []byte) {
	header := binary.BigEndian.AppendUint16([]byte{reply, 1}, uint16(8+len(message)))
	w.Write(append(append(header, 0, 0, 1, 0), message...))
}

// receive reads a message of a type, 0 being any: packets up to the one that says it is the last.
func receive(r io.Reader, kind byte) ([]byte, error) {
	var message bytes.Buffer
	for {
		var header [8]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, err
		}
		if kind != 0 && header[0] != kind {
			return nil, errors.New("another message was due")
		}
		size := int64(binary.BigEndian.Uint16(header[2:])) - 8
		if _, err := io.CopyN(&message, r, size); err != nil {
			return nil, err
		}
		if header[1]&1 != 0 {
			return message.Bytes(), nil
		}
	}
}

func ucs2(s string) (b []byte) {
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

func text(b []byte) string {
	var units []uint16
	for ; len(b) > 1; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}
