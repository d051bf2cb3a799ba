package commandline

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/keyless-go/identity"
)

// New returns the flags of a command. It prints nothing by itself: an error is one line, and -h is
// flag.ErrHelp. Both are the command's to print.
func New(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// Parse parses the arguments. There may be flags only.
func Parse(flags *flag.FlagSet, args []string) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil: // an unknown flag, or a value that is none
		return fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: -h lists the flags", flags.Arg(0))
	}
	return nil
}

// Given are the names of the flags that the arguments have. Whether a flag is given matters, not
// whether it is empty: an empty -client-id, of an unset shell variable, say, must not mean the
// default identity.
func Given(flags *flag.FlagSet) map[string]bool {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
}

// Selection is what -client-id, -object-id, -resource-id and -timeout say.
type Selection struct {
	ID      identity.ID // nil: the host's default identity
	Kind    string      // of ID, in words
	Timeout time.Duration

	byDefault time.Duration
}

// AddTo adds the four flags. Timeout is the default of -timeout.
func (s *Selection) AddTo(flags *flag.FlagSet, timeout time.Duration) {
	s.byDefault = timeout
	flags.String("client-id", "", "")
	flags.String("object-id", "", "")
	flags.String("resource-id", "", "")
	s.Timeout = timeout
	flags.Func("timeout", "", func(text string) (err error) {
		if s.Timeout, err = time.ParseDuration(text); err == nil {
			return nil
		}
		such := timeout.String()
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			such = text + "s"
		}
		return fmt.Errorf("want a duration, such as %s", such)
	})
}

// Read is called when the flags have been parsed. What makes an ID is the library's to say, which
// refuses an empty one.
func (s *Selection) Read(flags *flag.FlagSet) error {
	ids := 0
	flags.Visit(func(f *flag.Flag) {
		value := f.Value.String()
		switch f.Name {
		case "client-id":
			s.ID, s.Kind = identity.ClientID(value), "client ID"
		case "object-id":
			s.ID, s.Kind = identity.ObjectID(value), "object ID"
		case "resource-id":
			s.ID, s.Kind = identity.ResourceID(value), "resource ID"
		default:
			return
		}
		ids++
	})
	switch {
	case ids > 1:
		return errors.New("-client-id, -object-id and -resource-id exclude each other: give one of them")
	case s.Timeout <= 0:
		return fmt.Errorf("-timeout %v: want a time above zero, such as %v", s.Timeout, s.byDefault)
	}
	return nil
}
