package identitygrpc

import (
	"fmt"
	"net/netip"
	"net/url"
)

// scopeOf makes a scope of the URI that gRPC gives credentials, which is of the server's name, its
// port if that isn't 443, and the service: https://orders.example.com:8443/shop.Orders. The port is
// left out, because an application has one name at Entra on all of them.
func scopeOf(uris []string) (string, error) {
	if len(uris) == 0 {
		return "", fmt.Errorf("no scope was given to New, and gRPC says nothing of the server")
	}
	uri, err := url.Parse(uris[0])
	if err != nil || uri.Scheme != "https" || uri.Hostname() == "" || uri.User != nil {
		return "", fmt.Errorf("no scope was given to New, and %q names no server", uris[0])
	}
	if _, err := netip.ParseAddr(uri.Hostname()); err == nil {
		return "", fmt.Errorf("no scope was given to New, and %q is called by its address, "+
			"for which Entra has no application: give it a scope, such as api://orders/.default",
			uri.Host)
	}
	return "https://" + uri.Hostname() + "/.default", nil
}
