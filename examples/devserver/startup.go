package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// startUp is what a developer needs to know.
type startUp struct {
	config
	address string // that it listens at
	secret  string
}

// base is the URL by which programs reach the server.
func (s startUp) base() string {
	_, port, _ := net.SplitHostPort(s.address)
	name := s.hostName
	if name == "" {
		name = dockerHost
		if ip := s.listen.Addr(); s.remote() && !ip.IsUnspecified() {
			name = ip.String()
		}
	}
	return "http://" + net.JoinHostPort(name, port)
}

func (s startUp) has(p protocol) bool {
	return slices.ContainsFunc(s.protocols, func(served protocol) bool {
		return served.name == p.name
	})
}

// variables are those that a program finds the server by. With all of them set, SDKs use App
// Service.
func (s startUp) variables() (lines []string) {
	if s.has(appService) {
		lines = append(lines, "IDENTITY_ENDPOINT="+s.base()+appService.path, "IDENTITY_HEADER="+s.secret)
	}
	if s.has(imds) {
		lines = append(lines, "AZURE_POD_IDENTITY_AUTHORITY_HOST="+s.base())
	}
	return lines
}

// announce prints what to set, and warns of an address that others can reach.
func (s startUp) announce(out io.Writer, log *slog.Logger) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Tokens of %s at http://%s until Ctrl-C\n\n", s.whose(), s.address)
	run := "docker run "
	if slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, s.hostName) {
		run += "--network host "
	}
	if s.envFile != "" {
		fmt.Fprintf(&b, "The variables are in %s, which is removed at the end. With Docker:\n", s.envFile)
		run += "--env-file " + shellWord(s.envFile)
	} else {
		lines := s.variables()
		if s.has(appService) {
			b.WriteString("App Service's protocol, which every Azure SDK knows:\n")
			fmt.Fprintf(&b, "  %s\n  %s\n", lines[0], lines[1])
			run += "-e " + strings.Join(lines[:2], " -e ")
		}
		if s.has(imds) {
			b.WriteString("IMDS's, for SDKs that read this variable; azidentity for Go doesn't:\n")
			fmt.Fprintf(&b, "  %s\n", lines[len(lines)-1])
		}
		if !s.has(appService) {
			run += "-e " + lines[0]
		}
		b.WriteString("\nWith Docker:\n")
	}
	fmt.Fprintf(&b, "  %s IMAGE\n", run)
	if s.hostName == "" && !s.remote() {
		b.WriteString("That is for Docker Desktop. Outside of containers, and for Docker on Linux, " +
			"which then wants\n" +
			"--network host, start with -host-name 127.0.0.1.\n")
	}
	if s.has(imds) && !s.remote() {
		b.WriteString("\nIMDS's protocol has no secret: every user and every program of this machine " +
			"can get a token of\nyours. -protocols appservice leaves it out.\n")
	}
	if s.remote() {
		log.Warn("this address is not loopback: " + s.remoteRisk())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// shellWord is a file's name as a shell takes it for one word and nothing else: the command is to
// be copied.
func shellWord(name string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || r == filepath.Separator ||
			strings.ContainsRune("/._-:", r)
	}
	switch {
	case !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }):
		return name
	case runtime.GOOS == "windows": // where no name has a quote in it
		return `"` + name + `"`
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// remoteRisk is what it means that the address isn't loopback.
func (s startUp) remoteRisk() string {
	if s.has(imds) {
		return "whoever can reach the port gets your tokens and is you (-protocols appservice wants a " +
			"secret)"
	}
	return "whoever can reach the port and has the secret, or reads it or a token on the way, which " +
		"is not encrypted, is you"
}
