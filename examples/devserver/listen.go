package main

import (
	"fmt"
	"net/netip"
	"strings"
)

// defaultListen has a port that is nobody's: IANA has given it to no service, Azure Arc's agent is
// at 40342, and systems take those of outgoing connections from 32768 or 49152 on. It is the same
// in each run, so that variables in a file stay right.
const defaultListen = "127.0.0.1:16925"

// listenAddress reads -listen. No name but localhost is looked up: what it leads to would decide
// who gets in.
func listenAddress(value string, allowRemote bool) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(value, ":")
	if strings.EqualFold(host, "localhost") {
		// where Docker Desktop brings its containers; it never means another machine
		value = "127.0.0.1:" + port
	}
	address, err := netip.ParseAddrPort(value)
	if err != nil {
		return address, fmt.Errorf("-listen %q: want an address and a port, such as %s", value,
			defaultListen)
	}
	if !address.Addr().Unmap().IsLoopback() && !allowRemote {
		return address, fmt.Errorf("-listen %v is not loopback: others could have your tokens; "+
			"-allow-remote allows it", address)
	}
	return address, nil
}

// remote reports whether others than this machine may come.
func (c config) remote() bool { return !c.listen.Addr().Unmap().IsLoopback() }
