// Command devserver is a token endpoint for programs on a laptop, in containers or not and in any
// language, that get their tokens from a managed identity on Azure: it serves the protocols of App
// Service and of IMDS on loopback, with the tokens of the developer who is logged in to the Azure
// CLI. The programs run unchanged; a few variables tell them where it is.
//
// Whoever gets a token is the developer until it ends, so it is careful whom it answers: see
// caller.go.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

func main() {
	commandline.Main(func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
		return run(ctx, args, stdout, stderr, config.newCredential)
	})
}

// run is main with everything that it touches, but for the file of -env. It returns the exit
// status: 0 also when it was told to stop, which is how a server ends.
func run(
	ctx context.Context, args []string, stdout, stderr io.Writer,
	newCredential func(config) (azcore.TokenCredential, error),
) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return 0
	}
	if err == nil {
		err = c.run(ctx, stdout, slog.New(slog.NewTextHandler(stderr, nil)), newCredential)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "devserver: "+oneLine(err.Error()))
		return 1
	}
	return 0
}

func (c config) run(
	ctx context.Context, out io.Writer, log *slog.Logger,
	newCredential func(config) (azcore.TokenCredential, error),
) error {
	credential, err := newCredential(c)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen.String())
	if err != nil {
		return fmt.Errorf("-listen %v: %w", c.listen, err)
	}
	defer func() { _ = listener.Close() }()
	h := &handler{
		credential: credential,
		protocols:  c.protocols,
		// 130 bits, other ones in each run: what leaked is worth nothing tomorrow
		secret:   rand.Text(),
		hostName: c.hostName,
		accepted: c.accepted,
		log:      log,
	}
	s := startUp{config: c, address: listener.Addr().String(), secret: h.secret}
	if c.envFile != "" {
		if err := writeEnv(c.envFile, s.variables()); err != nil {
			return fmt.Errorf("-env: %w", err)
		}
		defer removeEnv(c.envFile, s.variables())
	}
	if err := s.announce(out, log); err != nil {
		return err
	}
	return serve(ctx, listener, h)
}

// serve serves until the context ends, and then lets what is under way come to its end for a
// moment.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      tokenTimeout + 10*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // connections that break off: the client tells
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if server.Shutdown(limited) != nil {
		_ = server.Close() // the credential takes too long
	}
	return nil
}
