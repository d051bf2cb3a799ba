package main

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// dockerHost is the name that Docker Desktop gives the machine that containers run on.
const dockerHost = "host.docker.internal"

// usualHosts are the names by which containers and programs reach this machine. Nobody else can
// have a web page under one of them.
var usualHosts = []string{"localhost", dockerHost, "gateway.docker.internal",
	"host.containers.internal"}

// fromBrowser are headers that browsers add to requests of web pages, and that pages can't take
// away. Sec-Fetch-Mode isn't among them: Node.js sends it, too, and a browser sends it beside
// Sec-Fetch-Site.
var fromBrowser = []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User"}

// stranger returns why a request isn't one of a program that was told to come here, or "".
func (h *handler) stranger(r *http.Request) string {
	for name := range r.Header {
		switch {
		case name == "Forwarded", name == "Via", name == "X-Real-Ip",
			strings.HasPrefix(name, "X-Forwarded-"):
			return "the header " + name +
				" says that somebody forwards this request: ask without a proxy (NO_PROXY=" + h.hostOf(r) + ")"
		case slices.Contains(fromBrowser, name):
			return "the header " + name + " says that a web page asks: tokens are for programs"
		}
	}
	if r.URL.IsAbs() {
		return "this request is for a proxy, and devserver is none: ask without one (NO_PROXY=" +
			h.hostOf(r) + ")"
	}
	if !isKnown(hostname(r.Host), h.hostName) {
		// A name of somebody else's that leads to this machine is how a web page would come around the
		// browser's rules.
		return "unknown name in the header Host: start devserver with -host-name and that name if it " +
			"is this machine's"
	}
	return ""
}

// hostOf is the name of this machine to give as advice: the request's own if it is a known one.
func (h *handler) hostOf(r *http.Request) string {
	if name := hostname(r.Host); isKnown(name, h.hostName) {
		return name
	}
	return dockerHost
}

// isKnown reports whether a name is this machine's: one of the usual, or the own one that
// -host-name gives it. An address is no name that could be made to lead elsewhere.
func isKnown(name, own string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return slices.ContainsFunc(append([]string{own}, usualHosts...), func(known string) bool {
		return known != "" && strings.EqualFold(name, known)
	})
}

// hostname is the Host header without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
