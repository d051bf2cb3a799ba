package mongodb_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	host = "contoso.global.mongocluster.cosmos.azure.com"
	uri  = "mongodb://" + host + ":10260/?tls=true&directConnection=true"
)

// server stands in for MongoDB: it speaks as much of OP_MSG as a login with a token takes, and does
// nothing for commands. Like MongoDB it asks for another token when the one of a connection ends.
type server struct {
	accepts func(token string) bool
	logins  atomic.Int64
	address string
	options *options.ClientOptions // by which a client finds it
}

func startServer(t *testing.T, accepts func(token string) bool) *server {
	t.Helper()
	certificate, pool := standin.Certificate(t, host)
	s := start(t, accepts, &tls.Config{Certificates: []tls.Certificate{certificate}})
	s.options.SetTLSConfig(&tls.Config{RootCAs: pool, ServerName: host})
	return s
}

// start has a server with that TLS, or with none.
func start(t *testing.T, accepts func(token string) bool, secure *tls.Config) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	t.Cleanup(func() { listener.Close() })
	s := &server{accepts: accepts, address: listener.Addr().String()}
	s.options = options.Client().SetDialer(s).
		SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1)) // no OP_QUERY before OP_MSG
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

// DialContext leads to the server, whatever the name.
func (s *server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", s.address)
}

func (s *server) client(t *testing.T, o *options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(o, s.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	token := "" // of the user who has logged in
	for {
		number, command, err := receive(connection)
		if err != nil {
			return
		}
		switch name := command[0].Key; {
		case name == "hello":
			send(connection, number, bson.D{{Key: "ok", Value: 1}, {Key: "helloOk", Value: true},
				{Key: "isWritablePrimary", Value: true}, {Key: "maxBsonObjectSize", Value: 1 << 24},
				{Key: "maxMessageSizeBytes", Value: 48000000}, {Key: "maxWriteBatchSize", Value: 100000},
				{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21}})
		case name == "saslStart":
			if token = jwt(command); !s.accepts(token) {
				token = ""
				fail(connection, number, 18, "AuthenticationFailed")
				continue
			}
			s.logins.Add(1)
			send(connection, number, bson.D{{Key: "ok", Value: 1}, {Key: "conversationId", Value: 1},
				{Key: "done", Value: true}, {Key: "payload", Value: []byte{}}})
		case token == "":
			fail(connection, number, 13, "Unauthorized")
		case !s.accepts(token):
			fail(connection, number, 391, "ReauthenticationRequired")
		default:
			send(connection, number, bson.D{{Key: "ok", Value: 1}})
		}
	}
}

// jwt is the token in a saslStart.
func jwt(command bson.D) string {
	var start struct {
		Mechanism string
		Payload   []byte
	}
	raw, _ := bson.Marshal(command)
	var payload struct{ JWT string }
	if bson.Unmarshal(raw, &start) != nil || start.Mechanism != "MONGODB-OIDC" ||
		bson.Unmarshal(start.Payload, &payload) != nil {
		return ""
	}
	return payload.JWT
}

func fail(w io.Writer, number uint32, code int, name string) {
	send(w, number, bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code},
		{Key: "codeName", Value: name}, {Key: "errmsg", Value: name}})
}

const (
	opMsg     = 2013
	beginning = 16 + 4 + 1 // the header, the flags, and the kind of the first section
)

func receive(r io.Reader) (number uint32, command bson.D, err error) {
	var header [beginning]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	if binary.LittleEndian.Uint32(header[12:]) != opMsg || header[beginning-1] != 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	body := make([]byte, binary.LittleEndian.Uint32(header[:])-beginning)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, err
	}
	err = bson.Unmarshal(body, &command)
	return binary.LittleEndian.Uint32(header[4:]), command, err
}

func send(w io.Writer, answers uint32, document bson.D) {
	body, err := bson.Marshal(document)
	if err != nil {
		panic(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(beginning+len(body)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, answers)
	b = binary.LittleEndian.AppendUint32(b, opMsg)
	w.Write(append(append(b, 0, 0, 0, 0, 0), body...))
}
