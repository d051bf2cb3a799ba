package transport

import (
	"net"
	"net/http"
	"time"
)

// nodeDialer: a connection on the same machine or from its hypervisor stands within milliseconds. A
// second is off Azure.
var nodeDialer = &net.Dialer{Timeout: time.Second}

// Node asks node endpoints. No proxy: it would get the request or forge the answer, and Go's
// default exempts loopback but not 169.254.169.254. No redirect: it would carry the secret header
// elsewhere. No connection is kept: there is one request in half a day, and a pooled connection to
// an endpoint that has restarted fails the next one.
var Node = &http.Client{
	CheckRedirect: refuseRedirect,
	Transport: &http.Transport{
		Proxy:                  nil,
		DialContext:            nodeDialer.DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	},
}

// refuseRedirect hands the redirect itself to the caller, as an answer that is not the host's.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
