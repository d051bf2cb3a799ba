package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
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
	complaint func(stderr string) string                          // the message in it
	loggedOut func(complaint string) bool                         // nobody is logged in
	claims    bool                                                // it takes those of a challenge
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
	allowed      []string // other tenants
	run          runner
	running      chan struct{} // has room for one
	log          *slog.Logger
}

const (
	// toolTimeout is for one run. az takes half a second to two when it needn't ask Entra. The peers allow as much.
	toolTimeout = 10 * time.Second
	// toolBudget is for one run and for waiting until others have ended: one at a time, because each has the one token cache
	// of the developer's in its hands.
	toolBudget = time.Minute
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
	switch first := strings.TrimLeft(s.subscription, " -"); {
	case s.subscription == "":
	case s.home != "":
		return fmt.Errorf("identity: %s: Subscription and TenantID: %s takes one of the two, and a subscription has one tenant", s.options, s.program)
	case len(s.subscription) > maxIDLength, first != s.subscription, strings.TrimRight(first, " ") != first,
		strings.ContainsFunc(first, func(r rune) bool { return !isToolWord(r) && r != ' ' }):
		return fmt.Errorf("identity: %s.Subscription: %q has characters that a subscription's ID hasn't: give its ID, not its name", s.options, oneLine(s.subscription))
	}
	s.allowed = slices.Clone(s.allowed)
	s.run, s.running = env.run, shared.tool(s.program)
	s.log = shieldedLogger(s.log)
	// Another program, another login, or other options may be another developer's tokens.
	path, _ := exec.LookPath(s.program)
	identity := strings.Join([]string{s.name, path, env.getenv("AZURE_CONFIG_DIR"), env.getenv("AZD_CONFIG_DIR"), s.home, s.subscription}, "\n") + "\n"
	k.tokens, k.acquirer, k.view.identity = shared.tokens, s, identity
	k.variants = &variants{source: s, identity: identity}
	return nil
}

// isToolWord are the characters of scopes and IDs that are passed on: none of them means anything to a shell.
func isToolWord(r rune) bool { return isWord(r) && r != '+' && r != '=' }

// choose implements chooser. Tokens differ by tenant: Key Vault's clients ask for the tenant that the vault names.
func (s *cli) choose(options policy.TokenRequestOptions) (variant, error) {
	scope := options.Scopes[0]
	if strings.HasPrefix(scope, "-") || strings.ContainsFunc(scope, func(r rune) bool { return !isToolWord(r) }) {
		return variant{}, fmt.Errorf("identity: GetToken: scope %q has characters that are not passed to %s: want letters, digits, and . _ : / -", oneLine(scope), s.program)
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

// budget implements acquirer.
func (s *cli) budget() time.Duration { return toolBudget }

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

// acquire implements acquirer: one run of the tool, when no other is under way. It isn't repeated: the tool does that itself.
func (s *cli) acquire(ctx context.Context, a ask, t *tally) (grant, error) {
	start := time.Now()
	queue, cancel := context.WithTimeout(ctx, toolBudget-toolTimeout)
	defer cancel()
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	case <-queue.Done():
		e := s.failure(a, start)
		e.what, e.transient = fmt.Sprintf("waited for other runs of %s, which don't end", s.program), true
		return grant{}, e
	}
	limited, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	t.requests.Add(1)
	stdout, err := s.run(limited, s.program, s.arguments(s, a))
	e := s.failure(a, start)
	e.Attempts = 1
	if err != nil {
		s.explain(e, a, err)
		return grant{}, e
	}
	got, err := s.parse(stdout, time.Now())
	switch {
	case err != nil:
		e.what = strings.TrimPrefix(err.Error(), "identity: ")
		e.hint = "is " + s.program + " on PATH the real one, and up to date?"
		return grant{}, e
	case s.subscription != "" && isGUID(a.tenant) && isGUID(got.tenant) && !strings.EqualFold(a.tenant, got.tenant):
		e.what = fmt.Sprintf("the token is of tenant %s, that of subscription %q, and the resource is of tenant %s", got.tenant, s.subscription, a.tenant)
		e.hint = "is the resource in another subscription?"
		return grant{}, e
	}
	return got.grant, nil
}

func (s *cli) failure(a ask, start time.Time) *AuthenticationError {
	return &AuthenticationError{tool: s.name, Resource: a.resource, Elapsed: time.Since(start)}
}

// explain says what a failed run means. What the tool has printed to its standard output is never looked at: it may be a
// token.
func (s *cli) explain(e *AuthenticationError, a ask, err error) {
	exit, exited := errors.AsType[*exitError](err)
	login := s.loginTo(a.variant)
	switch {
	case errors.Is(err, errNotOnPath), exited && exit.noSuchProgram(): // az's script can't find its Python
		e.reason, e.transient = ErrUnavailable, true
		e.what = s.program + " is not installed, or not on PATH"
		e.hint = "install it from " + s.install + " and run " + s.login
		return
	case errors.Is(err, context.DeadlineExceeded):
		e.what, e.transient = fmt.Sprintf("%s did not answer within %v and was ended", s.program, toolTimeout), true
		a.claims = "" // the caller's business
		e.hint = "does " + s.command(a) + " work in a terminal?"
		return
	case !exited:
		e.what = "can't run " + s.program + ": " + oneLine(redact(err.Error()))
		return
	}
	complaint := s.complaint(exit.stderr)
	number := entraNumber.FindString(complaint)
	e.Code, e.Message = number, oneLine(redact(complaint))
	switch {
	case a.claims != "":
		e.what = moreOfTheLogin
		e.hint = "run " + login + " and try again"
		if strings.Contains(complaint, "unknown flag") {
			e.hint = "update " + s.program + ", which doesn't know about that, to 1.18.1 or later"
		}
	case number != "":
		e.hint = "Entra refused: https://login.microsoftonline.com/error?code=" + strings.TrimPrefix(number, "AADSTS") + " says what that means; if the login has expired, run " + login
	case s.loggedOut(complaint):
		e.reason, e.transient = ErrUnavailable, true
		e.what, e.hint = "nobody is logged in", "run "+login
	case e.Message == "":
		e.what = fmt.Sprintf("%s ended with %v and without a word", s.program, err)
	}
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

// command is what was run, as it can be copied into any shell.
func (s *cli) command(a ask) string {
	words := append([]string{s.program}, s.arguments(s, a)...)
	for i, word := range words {
		if strings.Contains(word, " ") {
			words[i] = `"` + word + `"`
		}
	}
	return strings.Join(words, " ")
}

// isGUID reports whether a tenant is named by its ID: two names of one tenant can't be compared.
func isGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", r)
	})
}
