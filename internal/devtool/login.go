package devtool

import (
	"cmp"
	"encoding/base64"
	"strings"
)

// loginTo is the command that logs in to the tenant that a token was wanted of, "" for the
// Client's own.
func (c *Client) loginTo(tenant string) string {
	if tenant = cmp.Or(tenant, c.Tenants.Own); tenant != "" {
		return c.login + " " + c.tenant + " " + tenant
	}
	return c.login
}

// loginAsked is the command that the tool asks for, and for want of one, that of the tenant.
func (c *Client) loginAsked(tenant string, said complaint) string {
	own := cmp.Or(tenant, c.Tenants.Own)
	switch {
	case said.login == "" || said.login == c.login:
		return said.logout + c.loginTo(tenant)
	case own != "" && !strings.Contains(said.login, " "+c.tenant+" "):
		return said.logout + said.login + " " + c.tenant + " " + own
	}
	return said.logout + said.login
}

// moreOfTheLogin is why a claims challenge fails.
const moreOfTheLogin = "the resource wants more of the login than there is, such as a second factor"

// Challenged is what a tool that takes no claims can't meet, a claims challenge for a token of a
// tenant, and what to do about it.
func (c *Client) Challenged(tenant, claims string) (what, hint string) {
	return moreOfTheLogin, "run " + c.loginTo(tenant) + " --claims-challenge " +
		base64.StdEncoding.EncodeToString([]byte(claims)) + " and try again"
}
