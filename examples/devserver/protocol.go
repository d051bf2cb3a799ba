package main

import (
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// protocol is what differs between the hosts that this program stands in for.
type protocol struct {
	name      string // in messages
	flag      string // for -protocols
	path      string
	selectors []string // the parameters that select an identity
	version   func(string) bool
	versions  string // in messages
	admit     func(*handler, http.Header) *refusal
	success   func(token azcore.AccessToken, resource string) any
	failure   func(refusal, http.Header) any // may add to the answer's header
}

// protocols are all of them, in the order in which SDKs look for them.
var protocols = []protocol{appService, imds}

// protocolAt finds the protocol by its path. Neither case nor a slash at the end counts: MSAL for
// JavaScript adds one, and App Service's own is /MSI/token in places. A path that is nobody's is
// refused in the words of IMDS.
func protocolAt(path string) (_ protocol, known bool) {
	for _, p := range protocols {
		if strings.EqualFold(strings.TrimSuffix(path, "/"), p.path) {
			return p, true
		}
	}
	return imds, false
}

// only reports whether the header has this name once, and returns its value.
func only(header http.Header, name string) (value string, ok bool) {
	values := header.Values(name)
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}
