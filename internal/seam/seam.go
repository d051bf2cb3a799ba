// Package seam lets an endpoint of identitytest stand in for two things that a host keeps on the
// machine and that no variable names: the directory of Azure Arc's keys, and the certificate
// authorities by which Entra is trusted. It is no option, because outside of a test nothing good
// can come of moving either. The endpoint also learns here which acquisitions of the credentials
// that ask it are under way (flights.go): a renewal begins and ends where no request shows it.
//
// A [Place] is the one thing that can be changed for a process from outside of a Credential. It
// is keyed by an element of the endpoint's path that is random and the fake's alone, so that it
// never reaches another credential, and in a program that doesn't link identitytest it is empty.
package seam

import (
	"crypto/x509"
	"strings"
	"sync"
)

// Place is what stands in for the machine.
type Place struct {
	KeyDirectory string         // Azure Arc: where the agent's keys are
	RootCAs      *x509.CertPool // workload identity: the authorities by which the endpoint is trusted
}

var places sync.Map // nonce -> Place

// Register makes p the place of the endpoints whose path begins with the nonce, until the returned
// function is called.
func Register(nonce string, p Place) (unregister func()) {
	places.Store(nonce, p)
	return func() { places.Delete(nonce) }
}

// Lookup finds the place for an endpoint's path, "/nonce/…". For a real endpoint there is none.
func Lookup(path string) (Place, bool) {
	p, ok := places.Load(nonceOf(path))
	if !ok {
		return Place{}, false
	}
	return p.(Place), true
}

// nonceOf is the first element of a path.
func nonceOf(path string) string {
	nonce, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return nonce
}
