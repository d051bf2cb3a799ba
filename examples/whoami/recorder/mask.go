package recorder

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/record"
)

// mask puts placeholders into the place of secrets and identifiers, the same for the same value.
// What it lets pass is what it knows: words of the protocols, numbers that are too short to say
// anything, and prose. Anything else goes. It is not safe for concurrent use.
type mask struct {
	secrets []string // that are known, for what may repeat them
	places  map[string]string
	counts  map[string]int
}

func newMask(secrets []string) *mask {
	return &mask{secrets: secrets, places: map[string]string{}, counts: map[string]int{}}
}

// place is the one of a value of some kind.
func (m *mask) place(kind, value string, form func(n int) string) string {
	if value == "" || record.IsPlaceholder(value) {
		return value
	}
	key := kind + "\x00" + value
	if p, ok := m.places[key]; ok {
		return p
	}
	m.counts[kind]++
	m.places[key] = form(m.counts[kind])
	return m.places[key]
}

// named is for values of which nothing stays.
func (m *mask) named(kind, value string) string {
	return m.place(kind, value, func(n int) string { return record.Named(kind, n) })
}

// secret is for keys, tokens that are none of Entra's, and what may be one.
func (m *mask) secret(value string) string { return m.named("SECRET", value) }

var guids = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// guid is the same in upper and lower case.
func (m *mask) guid(value string) string {
	return m.place("GUID", strings.ToLower(value), record.GUID)
}

// id is a client or object ID, a tenant, or a resource ID.
func (m *mask) id(value string) string {
	switch {
	case guids.MatchString(value):
		return m.guid(value)
	case strings.HasPrefix(value, "/"):
		return m.resourceID(value)
	case strings.Contains(value, ":"): // a subject of Kubernetes or of GitHub
		return m.each(value, ":")
	case slices.Contains(tenants, strings.ToLower(value)):
		return value
	}
	return m.named("NAME", value)
}

// tenants are the words that stand for one.
var tenants = []string{"common", "organizations", "consumers"}

func (m *mask) each(value, separator string) string {
	parts := strings.Split(value, separator)
	for i, part := range parts {
		if !slices.Contains(subjects, part) {
			parts[i] = m.id(part)
		}
	}
	return strings.Join(parts, separator)
}

var subjects = []string{"system", "serviceaccount", "repo", "ref", "environment", "pull_request", "sc"}

// resourceID keeps what all have: the words, the provider and the types.
func (m *mask) resourceID(value string) string {
	parts := strings.Split(value, "/")
	types := 0 // where the names of the types begin
	for i, part := range parts {
		switch {
		case part == "":
		case slices.Contains(resourceWords, strings.ToLower(part)):
		case providers.MatchString(part):
			types = i + 1
		case types > 0 && (i-types)%2 == 0 && letters.MatchString(part):
		default:
			parts[i] = m.id(part)
		}
	}
	return strings.Join(parts, "/")
}

var (
	resourceWords = []string{"subscriptions", "resourcegroups", "providers"}
	providers     = regexp.MustCompile(`^(?i:microsoft)\.[A-Za-z]{3,30}$`)
	letters       = regexp.MustCompile(`^[A-Za-z]{3,30}$`)
)

// microsoft are the domains of hosts whose names say nothing of whoever asks. Below the others of
// Microsoft's everybody has a name: NAME.vault.azure.net.
var microsoft = []string{
	"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
	"login.chinacloudapi.cn", "login.windows.net", "sts.windows.net", "login.microsoft.com",
	"management.azure.com", "management.core.windows.net", "management.usgovcloudapi.net",
	"management.chinacloudapi.cn", "graph.microsoft.com", "vault.azure.net",
	"vault.usgovcloudapi.net", "vault.azure.cn", "storage.azure.com", "database.windows.net",
	"ossrdbms-aad.database.windows.net", "redis.azure.com", "servicebus.azure.net",
	"eventhubs.azure.net", "monitor.azure.com", "containerregistry.azure.net", "cosmos.azure.com",
	"docs.microsoft.com", "learn.microsoft.com", "aka.ms", "token.actions.githubusercontent.com",
	"vstoken.dev.azure.com", "localhost",
}

// host is a name or an address, maybe with a port, which stays.
func (m *mask) host(value string) string {
	name, port, err := net.SplitHostPort(value)
	if err != nil {
		name = strings.Trim(value, "[]")
	}
	if address, err := netip.ParseAddr(name); err == nil {
		name = m.address(address)
	} else if !slices.Contains(microsoft, strings.ToLower(name)) {
		name = m.place("host", strings.ToLower(name), record.HostName)
	}
	switch {
	case port != "":
		return net.JoinHostPort(name, port)
	case strings.Contains(name, ":"):
		return "[" + name + "]"
	}
	return name
}

// azureHost is the address of a node's own services on every machine of Azure's.
var azureHost = netip.AddrFrom4([4]byte{168, 63, 129, 16})

func (m *mask) address(a netip.Addr) string {
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a == azureHost {
		return a.WithZone("").String()
	}
	return m.place("address", a.String(), record.Address)
}
