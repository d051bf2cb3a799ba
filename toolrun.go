package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/tokencache"
)

// raceWait is how long another process may take to write its cache, before the tool is asked once
// more.
const raceWait = time.Second

// Begin implements tokencache.Source. A tool gets nothing of the caller's context.
func (s *toolSource) Begin(_ context.Context, r tokencache.Request) tokencache.Acquisition {
	return func(p *tokencache.Progress) (tokencache.Grant, error) {
		return acquisition(s, r.Resource, func(error) {}, func() (tokencache.Grant, *failure.Failure) {
			return s.acquire(context.Background(), r, p)
		})
	}
}

// acquire is one run of the tool, when no other is under way, and a second one
// after a race for the tool's cache. It isn't repeated otherwise: the tool does that itself.
func (s *toolSource) acquire(
	ctx context.Context, r tokencache.Request, p *tokencache.Progress,
) (tokencache.Grant, *failure.Failure) {
	start := time.Now()
	total := cmp.Or(r.Budget, s.budget(ctx)) - command.LongestEnd
	queue, cancel := context.WithTimeout(ctx, total-cmp.Or(s.timeout, leastRun))
	defer cancel()
	if s.running.Take(queue) != nil {
		f := s.failure(r, start)
		f.What = fmt.Sprintf("waited for other runs of %s, which don't end", s.program)
		f.Verdict = failure.Later
		return tokencache.Grant{}, f
	}
	defer s.running.Leave()
	limit := cmp.Or(s.timeout, total-time.Since(start))
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for raced := false; ; {
		p.Sent()
		got, err := s.runOnce(limited, r)
		if err == nil {
			return grantFrom(got.Token), nil
		}
		var said complaint.Complaint
		exit, exited := errors.AsType[*command.ExitError](err)
		if exited {
			said = complaint.Read(exit.Stderr, s.complaint, s.asks)
		}
		if exited && !raced && !r.Once && s.raced(said) {
			select {
			case <-time.After(raceWait):
				raced = true
				continue
			case <-limited.Done():
			}
		}
		f := s.failure(r, start)
		f.Attempts = 1
		if raced {
			f.Attempts = 2
		}
		s.explain(f, r, err, said, limit)
		if f.Reason == failure.Unavailable && (raced || s.raced(said)) {
			f.Reason = failure.NoReason // a moment ago somebody was logged in
		}
		return tokencache.Grant{}, f
	}
}

// runOnce runs the tool once, and reads what it prints.
func (s *toolSource) runOnce(ctx context.Context, r tokencache.Request) (printed, error) {
	c := s.command
	c.Arguments = s.arguments(s, r)
	stdout, err := s.run(ctx, c)
	if err != nil {
		return printed{}, err
	}
	got, err := s.parse(stdout, time.Now())
	switch {
	case err != nil && ctx.Err() != nil: // it was ended while it printed, and calls that a success
		return printed{}, ctx.Err()
	case err != nil:
		return printed{}, &printedError{what: strings.TrimPrefix(err.Error(), "identity: "),
			hint: "is " + s.program + " on PATH the real one, and up to date?"}
	case s.subscription != "" && isGUID(r.Tenant) && isGUID(got.tenant) &&
		!strings.EqualFold(r.Tenant, got.tenant):
		return printed{}, &printedError{
			what: fmt.Sprintf("the token is of tenant %s, that of subscription %s, and the resource is "+
				"of tenant %s", got.tenant, redact.Quoted(s.subscription), r.Tenant),
			hint: "is the resource in another subscription?",
		}
	}
	return got, nil
}

// objectWith returns the first JSON object of a tool's output that has a text in a field, and nil
// if there is none. What is around it doesn't matter: warnings, a byte order mark, escapes of a
// terminal (Azure/azure-sdk-for-python#37841). No byte is read more than a few times, and after
// maxObjects that are none, or not this one, there is none.
func objectWith(out []byte, field string) []byte {
	for range maxObjects {
		for { // to where an object may begin
			begin := bytes.IndexByte(out, '{')
			if begin < 0 {
				return nil
			}
			out = out[begin:]
			if inside := bytes.TrimLeft(out[1:], " \t\r\n"); len(inside) > 0 && inside[0] == '"' {
				break
			}
			out = out[1:]
		}
		end := len(out)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(out, &fields); err != nil {
			end = 1
			// One byte before is where an object may have ended.
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				end = max(int(syntax.Offset)-1, 1)
			}
			fields = nil
			_ = json.Unmarshal(out[:end], &fields)
		}
		for name, value := range fields {
			if strings.EqualFold(name, field) && value[0] == '"' { // as json.Unmarshal takes them
				return out[:end]
			}
		}
		out = out[end:]
	}
	return nil
}

// maxObjects is far above what a tool has to tell beside a token, a line each. Ten thousand pieces
// of JSON are judged in a tenth of a second.
const maxObjects = 10_000
