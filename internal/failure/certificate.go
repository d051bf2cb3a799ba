package failure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// IsCertificate reports whether the server's certificate was not accepted. A Transport of the
// user's may not wrap the reason as crypto/tls does.
func IsCertificate(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return unverified || unknown || noRoots || otherName || invalid
}

// CertificateAdvice is what to check after a certificate was not accepted.
func CertificateAdvice(err error) string {
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	switch {
	case otherName:
		return " (is the endpoint's name right, or does a proxy intercept TLS?)"
	case unknown || noRoots:
		return " (has this image its CA certificates, the package ca-certificates or " +
			"SSL_CERT_FILE, or does a proxy intercept TLS?)"
	case invalid.Reason == x509.Expired && invalid.Cert != nil:
		return " (is this machine's clock right? It says " +
			time.Now().UTC().Format(time.RFC3339) + ")"
	}
	return ""
}
