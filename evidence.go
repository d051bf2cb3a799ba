package identity

import (
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/chassis"
	"github.com/keyless-go/identity/internal/redact"
)

// Evidence is a variable or a file that says which host this is, or how to ask it. Among the files
// is the chassis asset tag of the machine, which says whether it is one of Azure's; on Windows it
// is in the registry, on other systems than that and Linux it is not looked for.
type Evidence struct {
	Name string `json:"name"`           // of the variable, or the file's path
	File bool   `json:"file,omitempty"` // it is a file
	// the variable is set to something, the file exists or can't be ruled out
	Set bool `json:"set"`
	// of the variable, without what may be a secret; an endpoint's without user info and query; of
	// a file, what it says
	Value string `json:"value,omitempty"`
	// it has a value that isn't shown: a secret, a certificate, a malformed URL, a chassis asset
	// tag that isn't Azure's
	Withheld bool `json:"withheld,omitempty"`
}

// consulted are all variables that the hosts' files read, in the order in which a reader looks for
// them.
var consulted = []struct {
	name string
	show func(string) string // "" for what must not be seen
}{
	{envTokenFile, showText},
	{envClientID, showText},
	{envTenantID, showText},
	{envAuthorityHost, redact.URL},
	{binding.EnvProxy, redact.URL},
	{binding.EnvCAFile, showText},
	{binding.EnvCAData, showNothing}, // no secret, but long
	{binding.EnvSNIName, showText},
	{envEndpoint, redact.URL},
	{envHeader, showNothing},
	{envThumbprint, showText},
	{envAPIVersion, showText},
	{envIMDS, redact.URL},
	{envMSI, redact.URL},
	{envMSISecret, showNothing},
	{envDefaultClientID, showText},
	{envAuthority, redact.URL},
	{envAppService, showText},
	{envContainerApp, showText},
	{envContainerJob, showText},
	{envGitHub, showText},
	{envPipelines, showText},
}

// notSeen is the value of a file that may exist.
const notSeen = "permission denied"

// showText: somebody may have put a token into any of them.
func showText(value string) string { return redact.Line(redact.Text(value)) }

func showNothing(string) string { return "" }

// evidence looks at everything that any host is recognised by or asked with, whichever it is.
func evidence(env environment) []Evidence {
	var list []Evidence
	for _, c := range consulted {
		e := Evidence{Name: c.name}
		if value := env.getenv(c.name); value != "" {
			e.Set, e.Value = true, c.show(value)
			e.Withheld = e.Value == ""
		}
		list = append(list, e)
	}
	for _, path := range arcAgentPaths(env) {
		e := Evidence{Name: path, File: true, Set: env.exists(path)}
		if !e.Set && env.mayNotSee(path) {
			e.Set, e.Value = true, notSeen
		}
		list = append(list, e)
	}
	if env.chassis == nil {
		return list
	}
	machine := Evidence{Name: chassis.Path, File: true}
	switch env.chassis() {
	case "":
	case chassis.Azure:
		machine.Set, machine.Value = true, chassis.Azure
	default:
		machine.Set, machine.Withheld = true, true
	}
	return append(list, machine)
}
