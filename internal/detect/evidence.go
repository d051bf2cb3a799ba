package detect

import (
	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/redact"
)

// Item is a variable or a file that was looked at.
type Item struct {
	Name     string // of the variable, or the file's path
	File     bool   // it is a file
	Set      bool   // the variable is set to something, the file exists or can't be ruled out
	Value    string // without what may be a secret
	Withheld bool   // it has a value that isn't shown
}

// consulted are all variables that the hosts read, in the order in which a reader looks for them.
var consulted = []struct {
	name string
	show func(string) string // "" for what must not be seen
}{
	{EnvTokenFile, showText},
	{EnvClientID, showText},
	{EnvTenantID, showText},
	{EnvAuthorityHost, redact.URL},
	{EnvTokenProxy, redact.URL},
	{EnvCAFile, showText},
	{EnvCAData, showNothing}, // no secret, but long
	{EnvSNIName, showText},
	{EnvEndpoint, redact.URL},
	{EnvHeader, showNothing},
	{EnvThumbprint, showText},
	{EnvAPIVersion, showText},
	{EnvIMDS, redact.URL},
	{EnvMSI, redact.URL},
	{EnvMSISecret, showNothing},
	{EnvDefaultClientID, showText},
	{EnvAuthority, redact.URL},
	{EnvAppService, showText},
	{EnvContainerApp, showText},
	{EnvContainerJob, showText},
	{EnvGitHub, showText},
	{EnvPipelines, showText},
}

// notSeen is the value of a file that may exist.
const notSeen = "permission denied"

// showText: somebody may have put a token into any of them.
func showText(value string) string { return redact.Line(redact.Text(value)) }

func showNothing(string) string { return "" }

// Evidence looks at everything that any host is recognised by or asked with, whichever it is: the
// variables, then the files, then the machine's chassis asset tag.
func Evidence(m Machine) []Item {
	var list []Item
	for _, c := range consulted {
		e := Item{Name: c.name}
		if value := m.Getenv(c.name); value != "" {
			e.Set, e.Value = true, c.show(value)
			e.Withheld = e.Value == ""
		}
		list = append(list, e)
	}
	for _, path := range arcPrograms(m) {
		e := Item{Name: path, File: true, Set: m.Exists(path)}
		if !e.Set && m.mayNotSee(path) {
			e.Set, e.Value = true, notSeen
		}
		list = append(list, e)
	}
	if m.Chassis == nil {
		return list
	}
	machine := Item{Name: chassis.Path, File: true}
	switch m.Chassis() {
	case "":
	case chassis.Azure:
		machine.Set, machine.Value = true, chassis.Azure
	default:
		machine.Set, machine.Withheld = true, true
	}
	return append(list, machine)
}
