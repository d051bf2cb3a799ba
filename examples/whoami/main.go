// Command whoami tells which identity this process has: which host was detected and by what,
// whether its endpoint answers, and whom the token names. The words are Entra's, so that they can
// be compared with what az and Azure PowerShell print of a service principal. It never prints the
// token.
//
// It asks the default credential, as most programs do: on Azure the host, elsewhere az and azd,
// which it runs. With -managed it asks the host alone.
//
// With -fake it needs no Azure: a stand-in for a host's endpoint runs on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/keyless-go/identity/examples/internal/commandline"
	"github.com/keyless-go/identity/examples/internal/standins"
)

func main() { commandline.Main(run) }

// run is main with everything that it touches, but for the environment. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return 0
	}
	var p *problem
	if err == nil {
		p, err = c.run(ctx, stdout)
	}
	switch {
	case err != nil: // a mistake, or Ctrl-C
		_, _ = fmt.Fprintln(stderr, "whoami: "+commandline.OneLine(err.Error()))
	// with -json, too, a mistake is a line, whoever found it
	case p != nil && (!c.json || p.Kind == invalid):
		p.print(stderr)
	}
	if err != nil || p != nil {
		return 1
	}
	return 0
}

// run reports on stdout. With -json the problem is part of that, too.
func (c config) run(ctx context.Context, stdout io.Writer) (*problem, error) {
	if c.fake.Name != "" {
		standIn, err := standins.Start(c.fake)
		if err != nil {
			return nil, err
		}
		defer standIn.Stop()
		if c.federation.Asked() {
			entra, err := standIn.StartEntra(c.federation.Application.String(), c.tenant)
			if err != nil {
				return nil, err
			}
			defer entra.Stop()
		}
	}
	r := c.look()
	if !c.json {
		r.printHost(stdout) // at once: an endpoint that doesn't answer takes a while to find out
	}
	if err := c.askAndRecord(ctx, r); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // Ctrl-C: what failed because of it says less
		return nil, context.Cause(ctx)
	}
	if c.json {
		return r.Error, r.printJSON(stdout)
	}
	if r.Error == nil || r.Error.Kind != invalid { // or nothing was asked
		r.printAnswer(stdout)
	}
	return r.Error, nil
}
