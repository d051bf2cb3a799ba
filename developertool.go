package identity

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/usercode"
)

// tool is what is particular to a developer's command-line tool that prints tokens.
type tool struct {
	name    string // in messages, and in the cache's keys
	program string // on PATH
	install string // where it comes from
	login   string // what logs in
	tenant  string // the option of that which names a tenant

	arguments func(s *toolSource, r tokencache.Request) []string  // each is one word, or has blanks
	parse     func(stdout []byte, now time.Time) (printed, error) // errors never repeat a byte of it
	// what it says of a failure, and what to do about it
	complaint func(stderr string) (reason, advice string)
	// the login that it asks for, see asking
	asks *regexp.Regexp
	// the login that nobody has done, "" if somebody is logged in
	loggedOut func(c complaint.Complaint) (login string)
	// texts of failures that asking once more may mend
	races []string
	// of other failures: a text of theirs, and what to do
	advice [][2]string
	claims bool // it takes those of a challenge
}

// toolSource acquires a developer's tokens from a tool.
type toolSource struct {
	*tool
	options      string  // the name of the options' type
	tenants      tenants // the own one is that of the options
	subscription string
	timeout      time.Duration   // for one run, 0 for the budget
	command      command.Command // without its arguments
	run          command.Runner
	running      *acquire.Places // of one place
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
)

// newToolSource makes k one of a tool's tokens.
func newToolSource(k *cached, shared *shared, env environment, s *toolSource) error {
	if s.tenants.own != "" {
		if err := check.Tenant(s.options+".TenantID", s.tenants.own); err != nil {
			return err
		}
		s.tenants.own = strings.ToLower(s.tenants.own)
	}
	field := s.options + ".AdditionallyAllowedTenants"
	if err := validateAllowed(field, s.tenants.allowed); err != nil {
		return err
	}
	if err := validateProcessTimeout(s.options, s.timeout); err != nil {
		return err
	}
	switch first := strings.TrimLeft(s.subscription, " -"); {
	case s.subscription == "":
	case s.tenants.own != "":
		return fmt.Errorf("identity: %s: Subscription and TenantID: %s takes one of the two, and a "+
			"subscription has one tenant", s.options, s.program)
	case len(s.subscription) > check.MaxLength, first != s.subscription,
		strings.TrimRight(first, " ") != first,
		strings.ContainsFunc(first, func(r rune) bool { return !isToolWord(r) && r != ' ' }):
		return fmt.Errorf("identity: %s.Subscription: %q has characters that a subscription's ID "+
			"hasn't: give its ID, not its name", s.options, redact.Line(s.subscription))
	}
	s.tenants.allowed = slices.Clone(s.tenants.allowed)
	s.run, s.running = env.run, shared.tool(s.program)
	s.log = usercode.Logger(s.log)
	// Another program, another login, or other options may be another developer's tokens. What
	// decides it now decides it in each run, so that a token never comes under the key of another
	// login.
	s.command = command.Command{Program: s.program, Path: command.Find(s.program),
		Variables: toolVariables(env)}
	identity := quotedLines(s.command.Variables, s.name, s.command.Path, s.tenants.own,
		s.subscription)
	terms := s.terms()
	k.tokens, k.source = shared.tokens, s
	k.view = tokencache.NewView(identity, tokencache.Variant{}, terms)
	k.views = &views{tokencache.NewViews(identity, terms), s}
	return nil
}

// deciding are the variables that decide whose login a tool uses, and of which tenant and cloud its
// tokens are.
var deciding = []string{"HOME", "USERPROFILE", "AZURE_CONFIG_DIR", "AZURE_CLOUD_NAME",
	"AZD_CONFIG_DIR", "AZD_AUTH_ENDPOINT", "AZURE_SUBSCRIPTION_ID"}

// toolVariables are the deciding ones as they are now, set or not, and those that turn off colors.
func toolVariables(env environment) []string {
	variables := make([]string, 0, len(deciding)+2)
	variables = append(variables, "AZURE_CORE_NO_COLOR=true", "NO_COLOR=1")
	for _, name := range deciding {
		if value := env.getenv(name); value != "" {
			name += "=" + value
		}
		variables = append(variables, name)
	}
	return variables
}

// quotedLines are texts in quotes, each on a line, so that no two lists are the same.
func quotedLines(list []string, more ...string) string {
	lines := make([]byte, 0, 512)
	for _, texts := range [][]string{list, more} {
		for _, text := range texts {
			lines = append(strconv.AppendQuote(lines, text), '\n')
		}
	}
	return string(lines)
}

func validateProcessTimeout(options string, timeout time.Duration) error {
	if timeout < 0 || timeout > longestProcessTimeout {
		return fmt.Errorf("identity: %s.ProcessTimeout: %v: want a time up to %v, or 0 for the default",
			options, timeout, longestProcessTimeout)
	}
	return nil
}

// isToolWord reports whether a character of a scope or an ID is passed on: none of these means
// anything to a shell.
func isToolWord(r rune) bool { return command.IsWord(r) && r != '+' && r != '=' }

// Variant implements acquire.Varies. Tokens differ by tenant: Key Vault's clients ask for the
// tenant that the vault names.
func (s *toolSource) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	scope := options.Scopes[0]
	if strings.HasPrefix(scope, "-") ||
		strings.ContainsFunc(scope, func(r rune) bool { return !isToolWord(r) }) {
		return acquire.Variant{},
			fmt.Errorf("identity: GetToken: scope %q has characters that are not passed "+
				"to %s: want letters, digits, and . _ : / -", redact.Line(scope), s.program)
	}
	tenant, allowed, err := s.tenants.other(options.TenantID)
	if err == nil && !allowed && (s.tenants.own != "" || len(s.tenants.allowed) > 0) {
		err = fmt.Errorf("identity: GetToken: a token of tenant %s was asked for, %s.TenantID is %q: is "+
			"the resource in the wrong tenant? If not, name it in %s.AdditionallyAllowedTenants",
			options.TenantID, s.options, s.tenants.own, s.options)
	}
	return acquire.Variant{Tenant: tenant}, err
}

// terms are those of the options. A run isn't repeated.
func (s *toolSource) terms() tokencache.Terms {
	t := tokencache.Terms{Patience: cmp.Or(s.timeout, toolBudget),
		Budget: s.budget(context.Background())}
	if s.timeout > 0 {
		t.Rules = s.timeout.String()
	}
	return t
}

// Report implements tokencache.Source.
func (s *toolSource) Report(r tokencache.Request, e tokencache.Event) {
	logEvent(s.logger(), s, r, e, s.tool.claims)
}

// budget implements tokenSource: the waiting for others, the run, and its end.
func (s *toolSource) budget(ctx context.Context) time.Duration {
	if s.timeout > 0 {
		return s.timeout + max(s.timeout, toolBudget-leastRun) + command.LongestEnd
	}
	budget := toolBudget
	if deadline, ok := callersDeadline(ctx); ok {
		budget = min(max(budget, time.Until(deadline)), longestToolBudget)
	}
	return budget + command.LongestEnd
}

// sign implements tokenSource.
func (s *toolSource) sign(e *AuthenticationError) { e.tool = s.name }

func (s *toolSource) logger() *slog.Logger {
	log := s.log.With("source", s.name)
	if s.tenants.own != "" {
		log = log.With("tenant", s.tenants.own)
	}
	if s.subscription != "" {
		log = log.With("subscription", s.subscription)
	}
	return log
}

// line is what was run, as it can be copied into any shell.
func (s *toolSource) line(r tokencache.Request) string {
	words := append([]string{s.program}, s.arguments(s, r)...)
	for i, word := range words {
		if strings.Contains(word, " ") {
			words[i] = `"` + word + `"`
		}
	}
	return strings.Join(words, " ")
}

// printed is what a tool prints.
type printed struct {
	token.Token
	tenant string // whose token it is, "" if it doesn't say
}

// printedError is what is wrong with the output of a run that ended well.
type printedError struct{ what, hint string }

func (e *printedError) Error() string { return e.what }
