package commandline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// Program is a command that reads its flags, does its work, and says in one line what went wrong. C
// is what its flags say.
type Program[C any] struct {
	Name  string
	Parse func(args []string) (C, error) // flag.ErrHelp for -h
	Usage func(out io.Writer)
	Run   func(C, context.Context, io.Writer) error // a method of C
	// Explain is an error in one line. Its C is the zero one if the flags can't be read.
	Explain func(c C, err error) string
}

// Main is for [Main]: it returns the exit status.
func (p Program[C]) Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := p.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		p.Usage(stdout)
		return 0
	}
	if err == nil {
		err = p.Run(c, ctx, stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, p.Name+": "+p.Explain(c, err))
		return 1
	}
	return 0
}

// TimeoutError means that the time of -timeout was up.
type TimeoutError struct {
	Timeout time.Duration
	Err     error // what failed because of it
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("gave up after %v (-timeout): %v", e.Timeout, e.Err)
}

func (e *TimeoutError) Unwrap() error { return e.Err }

// Within calls work with a context that ends after the timeout. Its error is then a *TimeoutError.
// After Ctrl-C it is that, since what failed because of it says less.
func Within(
	ctx context.Context, timeout time.Duration, work func(ctx context.Context) error,
) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := work(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return &TimeoutError{timeout, err}
	}
	return err
}
