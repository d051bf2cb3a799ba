package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

// tool is what is particular to a developer's command-line tool that prints tokens.
type tool struct {
	name    string // in messages, and in the cache's keys
	program string // on PATH
	install string // where it comes from
	login   string // what logs in
	tenant  string // the option of that which names a tenant

	arguments func(s *cli, a ask) []string                        // each is one word, or has blanks
	parse     func(stdout []byte, now time.Time) (printed, error) // errors never repeat a byte of it
	// what it says of a failure, and what to do about it
	complaint func(stderr string) (reason, advice string)
	// the login that it asks for, see asking
	asks *regexp.Regexp
	// the login that nobody has done, "" if somebody is logged in
	loggedOut func(c complaint) (login string)
	// texts of failures that asking once more may mend
	races []string
	// of other failures: a text of theirs, and what to do
	advice [][2]string
	claims bool // it takes those of a challenge
}

// printed is what a tool prints.
type printed struct {
	grant
	tenant string // whose token it is, "" if it doesn't say
}

// cli acquires tokens from a tool. It is both source and sender for the tokens of a developer.
type cli struct {
	*tool
	options      string // the name of the options' type
	home         string // the tenant that the options name, "" for the tool's own
	subscription string
	allowed      []string        // other tenants
	timeout      time.Duration   // for one run, 0 for the budget
	command      command.Command // without its arguments
	run          command.Runner
	running      *queue // of one place
	log          *slog.Logger
}

const (
	// toolBudget is for one run and for waiting until others have ended, where the caller sets no
	// other time: one at a time, because each has the one token cache of the developer's in its
	// hands. az takes half a second to two when it needn't ask Entra, and has been seen to take 20
	// s to start on a busy machine (Azure/azure-cli#20404).
	toolBudget = time.Minute
	// longestToolBudget: a context may last as long as its program, and a tool that hangs must not
	// keep all others waiting until then.
	longestToolBudget = 10 * time.Minute
	// longestProcessTimeout is where an option is taken for a mistake, such as seconds for
	// nanoseconds.
	longestProcessTimeout = time.Hour
	// leastRun is what a run has left when it begins: one that is ended at once helps nobody. azd
	// has been seen to take 12 s.
	leastRun = 15 * time.Second
	// raceWait is how long another process may take to write its cache, before the tool is asked
	// once more.
	raceWait = time.Second
)

// newCLI makes k one of a tool's tokens.
func newCLI(k *keeper, shared *realm, env environment, s *cli) error {
	if s.home != "" {
		if err := validateTenant(s.options+".TenantID", s.home); err != nil {
			return err
		}
		s.home = strings.ToLower(s.home)
	}
	for _, tenant := range s.allowed {
		if tenant != anyTenant {
			if err := validateTenant(s.options+".AdditionallyAllowedTenants", tenant); err != nil {
				return err
			}
		}
	}
	if err := validateProcessTimeout(s.options, s.timeout); err != nil {
		return err
	}
	switch first := strings.TrimLeft(s.subscription, " -"); {
	case s.subscription == "":
	case s.home != "":
		return fmt.Errorf("identity: %s: Subscription and TenantID: %s takes one of the two, and a subscription has one tenant", s.options, s.program)
	case len(s.subscription) > maxIDLength, first != s.subscription, strings.TrimRight(first, " ") != first,
		strings.ContainsFunc(first, func(r rune) bool { return !isToolWord(r) && r != ' ' }):
		return fmt.Errorf("identity: %s.Subscription: %q has characters that a subscription's ID hasn't: give its ID, not its name", s.options, redact.Line(s.subscription))
	}
	s.allowed = slices.Clone(s.allowed)
	s.run, s.running = env.run, shared.tool(s.program)
	s.log = shieldedLogger(s.log)
	// Another program, another login, or other options may be another developer's tokens. What
	// decides it now decides it in each run, so that a token never comes under the key of another
	// login.
	s.command = command.Command{Program: s.program, Path: command.Find(s.program),
		Variables: toolVariables(env)}
	identity := fmt.Sprintf("%s\n%q\n%q\n%s\n%s\n", s.name, s.command.Path, s.command.Variables,
		s.home, s.subscription)
	k.tokens, k.acquirer, k.view.identity = shared.tokens, s, identity
	k.variants = &variants{source: s, identity: identity}
	return nil
}

// deciding are the variables that decide whose login a tool uses, and of which tenant and cloud its
// tokens are.
var deciding = []string{"HOME", "USERPROFILE", "AZURE_CONFIG_DIR", "AZURE_CLOUD_NAME",
	"AZD_CONFIG_DIR", "AZD_AUTH_ENDPOINT", "AZURE_SUBSCRIPTION_ID"}

// toolVariables are the deciding ones as they are now, set or not, and those that turn off colors.
func toolVariables(env environment) []string {
	variables := []string{"AZURE_CORE_NO_COLOR=true", "NO_COLOR=1"}
	for _, name := range deciding {
		if value := env.getenv(name); value != "" {
			name += "=" + value
		}
		variables = append(variables, name)
	}
	return variables
}

func validateProcessTimeout(options string, timeout time.Duration) error {
	if timeout < 0 || timeout > longestProcessTimeout {
		return fmt.Errorf("identity: %s.ProcessTimeout: %v: want a time up to %v, or 0 for the default",
			options, timeout, longestProcessTimeout)
	}
	return nil
}

// isToolWord are the characters of scopes and IDs that are passed on: none of them means anything to a shell.
func isToolWord(r rune) bool { return command.IsWord(r) && r != '+' && r != '=' }

// choose implements chooser. Tokens differ by tenant: Key Vault's clients ask for the tenant that the vault names.
func (s *cli) choose(options policy.TokenRequestOptions) (variant, error) {
	scope := options.Scopes[0]
	if strings.HasPrefix(scope, "-") || strings.ContainsFunc(scope, func(r rune) bool { return !isToolWord(r) }) {
		return variant{}, fmt.Errorf("identity: GetToken: scope %q has characters that are not passed to %s: want letters, digits, and . _ : / -", redact.Line(scope), s.program)
	}
	if options.TenantID == "" || strings.EqualFold(options.TenantID, s.home) {
		return variant{}, nil
	}
	if err := validateTenant("GetToken: TenantID", options.TenantID); err != nil {
		return variant{}, err
	}
	tenant := strings.ToLower(options.TenantID)
	if s.home == "" && len(s.allowed) == 0 || slices.ContainsFunc(s.allowed, func(t string) bool { return t == anyTenant || strings.EqualFold(t, tenant) }) {
		return variant{tenant: tenant}, nil
	}
	return variant{}, fmt.Errorf("identity: GetToken: a token of tenant %s was asked for, %s.TenantID is %q: is the resource in the wrong tenant? If not, name it in %s.AdditionallyAllowedTenants",
		options.TenantID, s.options, s.home, s.options)
}

// terms implements acquirer. A run isn't repeated.
func (s *cli) terms() terms {
	if s.timeout > 0 {
		return terms{rules: s.timeout.String()}
	}
	return terms{}
}

// patience implements acquirer.
func (s *cli) patience() time.Duration { return cmp.Or(s.timeout, toolBudget) }

// begin implements acquirer. A tool gets nothing of the caller's context.
func (s *cli) begin(context.Context) (context.Context, func(error)) {
	return context.Background(), func(error) {}
}

// budget implements acquirer: the waiting for others, the run, and its end.
func (s *cli) budget(ctx context.Context) time.Duration {
	if s.timeout > 0 {
		return s.timeout + max(s.timeout, toolBudget-leastRun) + command.LongestEnd
	}
	budget := toolBudget
	if deadline, ok := callersDeadline(ctx); ok {
		budget = min(max(budget, time.Until(deadline)), longestToolBudget)
	}
	return budget + command.LongestEnd
}

// heedsClaims implements acquirer.
func (s *cli) heedsClaims() bool { return s.tool.claims }

// sign implements acquirer.
func (s *cli) sign(e *AuthenticationError) { e.tool = s.name }

// logger implements acquirer.
func (s *cli) logger() *slog.Logger {
	log := s.log.With("source", s.name)
	if s.home != "" {
		log = log.With("tenant", s.home)
	}
	if s.subscription != "" {
		log = log.With("subscription", s.subscription)
	}
	return log
}

// acquire implements acquirer: one run of the tool, when no other is under way, and a second one
// after a race for the tool's cache. It isn't repeated otherwise: the tool does that itself.
func (s *cli) acquire(ctx context.Context, a ask, t *tally) (grant, error) {
	start := time.Now()
	total := cmp.Or(a.budget, s.budget(ctx)) - command.LongestEnd
	queue, cancel := context.WithTimeout(ctx, total-cmp.Or(s.timeout, leastRun))
	defer cancel()
	if s.running.take(queue, false) != nil {
		e := s.failure(a, start)
		e.what, e.transient = fmt.Sprintf("waited for other runs of %s, which don't end", s.program), true
		return grant{}, e
	}
	defer s.running.leave()
	limit := cmp.Or(s.timeout, total-time.Since(start))
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for raced := false; ; {
		t.requests.Add(1)
		got, err := s.ask(limited, a)
		if err == nil {
			return got.grant, nil
		}
		exit, exited := errors.AsType[*command.ExitError](err)
		var said complaint
		if exited {
			said = s.hear(exit.Stderr)
		}
		if exited && !raced && !a.once && s.raced(said) {
			select {
			case <-time.After(raceWait):
				raced = true
				continue
			case <-limited.Done():
			}
		}
		e := s.failure(a, start)
		e.Attempts = 1
		if raced {
			e.Attempts = 2
		}
		s.explain(e, a, err, said, limit)
		if e.reason == ErrUnavailable && (raced || s.raced(said)) { // a moment ago somebody was logged in
			e.reason = nil
		}
		return grant{}, e
	}
}

// ask runs the tool once.
func (s *cli) ask(ctx context.Context, a ask) (printed, error) {
	c := s.command
	c.Arguments = s.arguments(s, a)
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
	case s.subscription != "" && isGUID(a.tenant) && isGUID(got.tenant) && !strings.EqualFold(a.tenant, got.tenant):
		return printed{}, &printedError{
			what: fmt.Sprintf("the token is of tenant %s, that of subscription %s, and the resource is of tenant %s",
				got.tenant, redact.Quoted(s.subscription), a.tenant),
			hint: "is the resource in another subscription?",
		}
	}
	return got, nil
}

// printedError is what is wrong with the output of a run that ended well.
type printedError struct{ what, hint string }

func (e *printedError) Error() string { return e.what }

// raced reports whether a run may have failed because another process was writing the tool's cache,
// or because the system's broker of tokens was busy. Where Entra has answered it was neither.
func (s *cli) raced(said complaint) bool {
	return !entraNumber.MatchString(said.reason) && slices.ContainsFunc(s.races,
		func(text string) bool { return strings.Contains(said.whole, text) })
}

func (s *cli) failure(a ask, start time.Time) *AuthenticationError {
	return &AuthenticationError{tool: s.name, Resource: a.resource, Elapsed: time.Since(start)}
}

// explain says what a failed run means. What the tool has printed to its standard output is never
// looked at: it may be a token. Of the rest only what says that the tool is absent, or that nobody
// is logged in with it, makes it unavailable: a failure must not turn into another identity.
func (s *cli) explain(
	e *AuthenticationError, a ask, err error, said complaint, limit time.Duration,
) {
	exit, exited := errors.AsType[*command.ExitError](err)
	output, printed := errors.AsType[*printedError](err)
	switch {
	case errors.Is(err, command.ErrNotOnPath),
		exited && exit.NoSuchProgram() && !s.raced(said): // az's script can't find its Python
		e.reason, e.transient = ErrUnavailable, true
		e.what = s.program + " is not installed, or not on PATH"
		e.hint = "install it from " + s.install + " and run " + s.login
		return
	case errors.Is(err, context.DeadlineExceeded):
		e.what, e.transient = fmt.Sprintf("%s did not answer within %v and was ended", s.program,
			round(limit)), true
		e.waited = limit
		a.claims = "" // the caller's business
		e.hint = "does " + s.line(a) +
			" work in a terminal? If it only takes longer, set ProcessTimeout"
		return
	case printed:
		e.what, e.hint = output.what, output.hint
		return
	case !exited:
		e.what = "can't run " + s.program + ": " + redact.Line(redact.Text(err.Error()))
		return
	}
	number := entraNumber.FindString(said.reason)
	// What an assertion's times say passes in a pod, where another one is written. A tool logs in
	// with the one that it has.
	meaning := entraNumbers[number]
	passes := meaning.verdict != never && meaning.topic != aboutExpiry
	e.Code, e.Message = number, bothEnds(redact.Text(said.reason))
	login, loggedOut := s.loginAsked(a.variant, said), s.loggedOut(said)
	switch {
	case a.claims != "" && !passes && !s.raced(said) && (number != "" || !unreachable(said.reason)):
		e.what = moreOfTheLogin
		e.hint = "run " + login + " and try again"
		if strings.Contains(said.whole, "unknown flag") {
			e.hint = "update " + s.program + ", which doesn't know about that, to 1.18.1 or later"
		}
	case passes:
		e.transient = true
		e.hint = "Entra refused: https://login.microsoftonline.com/error?code=" +
			strings.TrimPrefix(number, "AADSTS") + " says what that means. It may pass by itself"
	case number != "":
		e.hint = "Entra refused: https://login.microsoftonline.com/error?code=" +
			strings.TrimPrefix(number, "AADSTS") + " says what that means; "
		if said.login != "" {
			e.hint += s.program + " asks for " + login
		} else {
			e.hint += "if the login has expired, run " + login
		}
	case loggedOut == s.login:
		e.reason, e.transient = ErrUnavailable, true
		e.what, e.hint = "nobody is logged in", "run "+s.loginTo(a.variant)
	case loggedOut != "": // with the tool that this one asks
		e.reason, e.transient = ErrUnavailable, true
		e.what, e.hint = "nobody is logged in", "run "+loggedOut
	case s.raced(said):
		e.transient = true
		e.hint = "was another " + s.program + " at work? If it stays like this, run " + login
	case unreachable(said.reason):
		e.transient = !untrusted(said.reason)
		e.hint = "can " + s.program +
			" reach Entra from here? Check the network and the variables HTTPS_PROXY and NO_PROXY"
		if !e.transient {
			e.hint = "does a proxy intercept TLS here? Then " + s.program +
				" needs the proxy's certificate"
		}
	case e.Message == "":
		e.what = fmt.Sprintf("%s ended with %v and without a word", s.program, err)
	case said.login != "":
		e.hint = "run " + login
	default:
		for _, advice := range s.advice {
			if strings.Contains(said.reason, advice[0]) {
				e.hint = advice[1]
			}
		}
	}
}

// unreachable reports whether the reason is the way to Entra, as Python's and Go's clients say it.
func unreachable(reason string) bool {
	return containsAny(reason, "Max retries exceeded", "Failed to establish a new connection",
		"Connection aborted", "Read timed out", "dial tcp", "read tcp", "write tcp", "proxyconnect",
		"no such host", "connection refused", "connection reset by peer", "i/o timeout", `": EOF`,
		"unexpected EOF", "Client.Timeout exceeded", "TLS handshake timeout") || untrusted(reason)
}

// untrusted reports whether it is a certificate on that way, which doesn't pass by itself.
func untrusted(reason string) bool {
	return containsAny(reason, "CERTIFICATE_VERIFY_FAILED", "x509: ")
}

func containsAny(text string, list ...string) bool {
	return slices.ContainsFunc(list, func(part string) bool { return strings.Contains(text, part) })
}

// moreOfTheLogin is why a claims challenge fails.
const moreOfTheLogin = "the resource wants more of the login than there is, such as a second factor"

// loginTo is the command that logs in to the tenant that a token was wanted of.
func (s *cli) loginTo(v variant) string {
	if tenant := cmp.Or(v.tenant, s.home); tenant != "" {
		return s.login + " " + s.tool.tenant + " " + tenant
	}
	return s.login
}

// loginAsked is the command that the tool asks for, and for want of one, that of the tenant.
func (s *cli) loginAsked(v variant, said complaint) string {
	tenant := cmp.Or(v.tenant, s.home)
	switch {
	case said.login == "" || said.login == s.login:
		return said.logout + s.loginTo(v)
	case tenant != "" && !strings.Contains(said.login, " "+s.tool.tenant+" "):
		return said.logout + said.login + " " + s.tool.tenant + " " + tenant
	}
	return said.logout + said.login
}

// line is what was run, as it can be copied into any shell.
func (s *cli) line(a ask) string {
	words := append([]string{s.program}, s.arguments(s, a)...)
	for i, word := range words {
		if strings.Contains(word, " ") {
			words[i] = `"` + word + `"`
		}
	}
	return strings.Join(words, " ")
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
			// one byte before is where an object may have ended
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

// isGUID reports whether a tenant is named by its ID: two names of one tenant can't be compared.
func isGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", r)
	})
}
