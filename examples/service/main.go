// Service is an HTTP service for Azure without a secret in its configuration. It reads orders from
// PostgreSQL, where a token is the password, and signs them with a key of Key Vault. On Azure it
// is the managed identity of its place, on a laptop the developer. Run it with stand-ins:
//
//	go -C examples/service run . -standins
//
// One idea a file: main.go starts and ends it, service.go makes the clients, orders.go is what the
// service is for, signingkey.go a secret that may change, failures.go what users hear of failures,
// probes.go readiness, health page and metrics, and serve.go timeouts and the graceful stop. To
// copy it, leave out internal/standins, standins.go, and its call in run.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/keyless-go/identity"
)

func main() {
	// Kubernetes, App Service and Container Apps send SIGTERM; Ctrl-C is os.Interrupt.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

const usage = `An HTTP service for Azure that has no secret. Its variables:
  VAULT_URL     the Key Vault with the secret signing-key, such as https://NAME.vault.azure.net
  DATABASE_URL  such as postgres://NAME.postgres.database.azure.com/orders?sslmode=verify-full
  LISTEN        the address for users, :8080 if it is not set
  LISTEN_ADMIN  the address for probes, the health page and metrics, :8081 if it is not set
AZURE_CLIENT_ID selects a user-assigned identity. Its flag:
  -standins     in place of all that: stand-ins for Azure, on this machine
`

// run is the program, until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are run's to return
	standIns := flags.Bool("standins", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := fmt.Fprint(out, usage)
		return err
	case err != nil:
		return fmt.Errorf("%w: -h lists the flags", err)
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: -h lists the flags", flags.Arg(0))
	}
	log, cfg := slog.New(slog.NewJSONHandler(out, nil)), config{
		vaultURL:    os.Getenv("VAULT_URL"),
		databaseURL: os.Getenv("DATABASE_URL"),
		listen:      cmp.Or(os.Getenv("LISTEN"), ":8080"),
		listenAdmin: cmp.Or(os.Getenv("LISTEN_ADMIN"), ":8081"),
	}
	if *standIns {
		log = slog.New(slog.NewTextHandler(out, nil)) // is read by a person
		stop, err := useStandIns(ctx, &cfg, log)
		if err != nil {
			return err
		}
		defer stop()
	}

	// One credential for all clients. Its log says which identity is in use and why.
	cred, err := identity.NewDefaultCredential(&identity.DefaultCredentialOptions{Logger: log})
	if err != nil {
		return err
	}
	s, err := newService(cfg, cred, log)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("LISTEN: %w", err)
	}
	admin, err := net.Listen("tcp", cfg.listenAdmin)
	if err != nil {
		return fmt.Errorf("LISTEN_ADMIN: %w", err)
	}
	return s.serve(ctx, public, admin)
}
