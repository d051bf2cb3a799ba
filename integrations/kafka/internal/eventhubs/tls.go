package eventhubs

import (
	"crypto/tls"
	"errors"
)

// CheckTLS refuses a configuration that looks at no certificate, and has no check of its own: the
// token would go to whoever answers. nil is fine.
func CheckTLS(config *tls.Config) error {
	if config != nil && config.InsecureSkipVerify && config.VerifyConnection == nil &&
		config.VerifyPeerCertificate == nil {
		return errors.New("InsecureSkipVerify: the token would go to whoever answers; set " +
			"ServerName to the name in the brokers' certificates, or RootCAs")
	}
	return nil
}
