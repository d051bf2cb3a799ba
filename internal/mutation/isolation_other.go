//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

// inside is the first argument by which this command runs another in its own network namespace: on
// Linux only.
const inside = "-inside-network-namespace"

var errNoNamespaces = errors.New("only Linux has network namespaces: -network tests with this " +
	"machine's network, which must not be that of an Azure VM")

func isolated(*exec.Cmd, string) error { return errNoNamespaces }

func enter([]string) error { return errNoNamespaces }
