package login

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Server is one that a driver may send the token to.
type Server struct {
	Host    string // a name, an address, or a socket's directory
	Address string // to which it connects; "" is Host's
	Socket  bool   // a Unix socket
	TLS     bool   // nothing is sent before TLS is up
}

// local says whether what is sent stays on this machine.
func (s Server) local() bool {
	host := cmp.Or(s.Address, s.Host)
	if s.Socket || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// names are the servers' hosts for messages, each once.
func names(servers []Server) string {
	var hosts []string
	for _, s := range servers {
		if !slices.Contains(hosts, s.Host) {
			hosts = append(hosts, s.Host)
		}
	}
	return strings.Join(hosts, ",")
}

// encrypted refuses servers one of which would get the token in clear text.
func encrypted(servers []Server) error {
	for _, s := range servers {
		if !s.TLS && !s.local() {
			return errors.New("the token might be sent in clear text: sslmode isn't set, or is " +
				"disable, allow or prefer; set sslmode=verify-full")
		}
	}
	return nil
}

// service is a kind of server of one cloud.
type service struct {
	suffix string // of the servers' names
	scope  string
	manage string // the scope of the cloud's Azure Resource Manager
}

const (
	public = "https://management.azure.com/.default"
	usGov  = "https://management.usgovcloudapi.net/.default"
	china  = "https://management.chinacloudapi.cn/.default"
)

// services are Azure's. Names of private endpoints (NAME.privatelink.postgres…) end alike. The
// scopes are what "az account get-access-token --resource-type oss-rdbms" asks for in each cloud:
// https://learn.microsoft.com/azure/postgresql/security/security-entra-configure. Cosmos DB for
// PostgreSQL has one of its own:
// https://learn.microsoft.com/azure/cosmos-db/postgresql/how-to-configure-authentication.
var services = []service{
	{".postgres.database.azure.com", "https://ossrdbms-aad.database.windows.net/.default", public},
	{".postgres.database.usgovcloudapi.net",
		"https://ossrdbms-aad.database.usgovcloudapi.net/.default", usGov},
	{".postgres.database.chinacloudapi.cn",
		"https://ossrdbms-aad.database.chinacloudapi.cn/.default", china},
	{".postgres.cosmos.azure.com", "https://token.postgres.cosmos.azure.com/.default", public},
}

// scope is what a token for all the servers is for. One connection has one token, so servers of two
// clouds are refused, and a token of Azure's goes to no stranger that the user hasn't vouched for.
func (c Client) scope(servers []Server) (string, error) {
	if c.Scope != "" {
		return c.Scope, nil
	}
	found := ""
	for _, s := range servers {
		name := strings.ToLower(strings.TrimSuffix(s.Host, "."))
		at := slices.IndexFunc(services, func(k service) bool {
			return strings.HasSuffix(name, k.suffix)
		})
		switch {
		case at < 0:
			which := "" // the error begins with the names of all servers
			if s.Host != names(servers) {
				which = fmt.Sprintf("%q is ", s.Host)
			}
			return "", fmt.Errorf("%sno name of Azure's, and doesn't tell what the token is for: "+
				"set Options.Scope, such as to %s", which, services[0].scope)
		case found != "" && found != services[at].scope:
			return "", fmt.Errorf("the servers want tokens for %s and for %s: have a pool for each, or "+
				"set Options.Scope", found, services[at].scope)
		}
		found = services[at].scope
	}
	return found, nil
}

// manageScope is that of Azure Resource Manager in the cloud of a database's scope; "" if unknown.
func manageScope(scope string) string {
	for _, s := range services {
		if strings.EqualFold(s.scope, scope) {
			return s.manage
		}
	}
	return ""
}
