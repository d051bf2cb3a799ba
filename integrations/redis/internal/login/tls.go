package login

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// CheckTLS says what is wrong with a client's TLS, if anything. A server's certificate that nobody
// looks at is as good as none: whoever is in between gets the token.
func CheckTLS(config *tls.Config) error {
	switch {
	case config == nil:
		return errors.New("TLSConfig is nil: the token would travel in clear text; " +
			"set &tls.Config{MinVersion: tls.VersionTLS12}, and the port for TLS")
	case config.InsecureSkipVerify && config.VerifyConnection == nil &&
		config.VerifyPeerCertificate == nil:
		return errors.New("TLSConfig.InsecureSkipVerify: the token would go to whoever answers; " +
			"set ServerName to the name in the certificate, or RootCAs")
	case config.MinVersion != 0 && config.MinVersion < tls.VersionTLS12:
		return errors.New("TLSConfig.MinVersion is below TLS 1.2, which is Azure's lowest")
	case config.MaxVersion != 0 && config.MaxVersion < tls.VersionTLS12:
		return errors.New("TLSConfig.MaxVersion is below TLS 1.2, which is Azure's lowest")
	}
	return nil
}

// IsLocal reports whether an address, host:port or a path, is of this machine by its text.
func IsLocal(address string) bool {
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Carries returns conn if it may carry a token: it has TLS, or it doesn't leave this machine.
// Otherwise it closes conn and returns an error.
func Carries(conn net.Conn) (net.Conn, error) {
	if _, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return conn, nil
	}
	switch a := conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		return conn, nil
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return conn, nil
		}
	}
	_ = conn.Close()
	return nil, fmt.Errorf("the connection to %s has no TLS: the token would travel in clear text; "+
		"set TLSConfig and the port for TLS, or have the dialer return a *tls.Conn", conn.RemoteAddr())
}
