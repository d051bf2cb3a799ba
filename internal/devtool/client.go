package devtool

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

// Client acquires tokens of one login. Its fields don't change once it is made.
type Client struct {
	*Tool
	Tenants      check.Tenants // the own one is that of the options
	Subscription string        // whose tenant and account are used; "" for the selected one

	options string          // the name of the options' type
	timeout time.Duration   // for one run, 0 for the budget
	command command.Command // without its arguments
	run     command.Runner
	running *acquire.Places // of one place
}

// Options are what a user sets.
type Options struct {
	Type           string // the name of the type that has the other fields, for errors
	Tenants        check.Tenants
	Subscription   string        // "" for the one that the tool has selected
	ProcessTimeout time.Duration // for one run, 0 for what the caller has
}

// Machine is where a tool is run.
type Machine struct {
	Getenv func(name string) string
	Run    command.Runner
	Place  *acquire.Places // one for all runs of the tool
}

// New makes a Client. It runs nothing. Its errors begin with the name of a field.
//
// Another program, another login, or other options may be another developer's tokens. What decides
// it now decides it in each run, so that a token never comes under the key of another login.
func New(t *Tool, o Options, m Machine) (*Client, error) {
	tenants := check.Tenants{Own: strings.ToLower(o.Tenants.Own),
		Allowed: slices.Clone(o.Tenants.Allowed)}
	if tenants.Own != "" {
		if err := check.Tenant(o.Type+".TenantID", o.Tenants.Own); err != nil {
			return nil, err
		}
	}
	if err := check.AllowedTenants(o.Type+".AdditionallyAllowedTenants", tenants.Allowed); err != nil {
		return nil, err
	}
	if err := CheckTimeout(o.Type, o.ProcessTimeout); err != nil {
		return nil, err
	}
	if err := checkSubscription(t, o); err != nil {
		return nil, err
	}
	return &Client{Tool: t, Tenants: tenants, Subscription: o.Subscription, options: o.Type,
		timeout: o.ProcessTimeout, run: m.Run, running: m.Place,
		command: command.Command{Program: t.Program, Path: command.Find(t.Program),
			Variables: variables(m.Getenv)},
	}, nil
}

// longestTimeout is where an option is taken for a mistake, such as seconds for nanoseconds.
const longestTimeout = time.Hour

// CheckTimeout refuses a ProcessTimeout that can't be meant. options is the type that has it.
func CheckTimeout(options string, timeout time.Duration) error {
	if timeout < 0 || timeout > longestTimeout {
		return fmt.Errorf("%s.ProcessTimeout: %v: want a time up to %v, or 0 for the default",
			options, timeout, longestTimeout)
	}
	return nil
}

func checkSubscription(t *Tool, o Options) error {
	switch first := strings.TrimLeft(o.Subscription, " -"); {
	case o.Subscription == "":
	case o.Tenants.Own != "":
		return fmt.Errorf("%s: Subscription and TenantID: %s takes one of the two, and a "+
			"subscription has one tenant", o.Type, t.Program)
	case len(o.Subscription) > check.MaxLength, first != o.Subscription,
		strings.TrimRight(first, " ") != first,
		strings.ContainsFunc(first, func(r rune) bool { return !isWord(r) && r != ' ' }):
		return fmt.Errorf("%s.Subscription: %q has characters that a subscription's ID "+
			"hasn't: give its ID, not its name", o.Type, redact.Line(o.Subscription))
	}
	return nil
}

// isWord reports whether a character of a scope or an ID is passed on: none of these means anything
// to a shell.
func isWord(r rune) bool { return command.IsWord(r) && r != '+' && r != '=' }

// deciding are the variables that decide whose login a tool uses, and of which tenant and cloud its
// tokens are.
var deciding = []string{"HOME", "USERPROFILE", "AZURE_CONFIG_DIR", "AZURE_CLOUD_NAME",
	"AZD_CONFIG_DIR", "AZD_AUTH_ENDPOINT", "AZURE_SUBSCRIPTION_ID"}

// variables are the deciding ones as they are now, set or not, and those that turn off colors.
func variables(getenv func(string) string) []string {
	list := make([]string, 0, len(deciding)+2)
	list = append(list, "AZURE_CORE_NO_COLOR=true", "NO_COLOR=1")
	for _, name := range deciding {
		if value := getenv(name); value != "" {
			name += "=" + value
		}
		list = append(list, name)
	}
	return list
}

// Key is the same for Clients that get the same tokens, and for no others.
func (c *Client) Key() string {
	return quotedLines(c.command.Variables, c.Name, c.command.Path, c.Tenants.Own, c.Subscription)
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

// Tenant is the one that a token for a scope is asked for of, "" for the Client's own, or why it
// must not be asked for. Tokens differ by tenant: Key Vault's clients ask for the tenant that the
// vault names.
func (c *Client) Tenant(scope, asked string) (string, error) {
	if strings.HasPrefix(scope, "-") ||
		strings.ContainsFunc(scope, func(r rune) bool { return !isWord(r) }) {
		return "", fmt.Errorf("GetToken: scope %q has characters that are not passed "+
			"to %s: want letters, digits, and . _ : / -", redact.Line(scope), c.Program)
	}
	tenant, allowed, err := c.Tenants.Other(asked)
	if err == nil && !allowed && (c.Tenants.Own != "" || len(c.Tenants.Allowed) > 0) {
		err = fmt.Errorf("GetToken: a token of tenant %s was asked for, %s.TenantID is %q: is "+
			"the resource in the wrong tenant? If not, name it in %s.AdditionallyAllowedTenants",
			asked, c.options, c.Tenants.Own, c.options)
	}
	return tenant, err
}

// query is what the tool is asked for.
func (c *Client) query(r acquire.Request) query {
	return query{resource: r.Resource, tenant: cmp.Or(r.Tenant, c.Tenants.Own),
		subscription: c.Subscription, claims: r.Claims}
}
