// Package detect finds out where a process runs: which of Azure's hosts it is on, whether the
// machine is Azure's at all, and whether this is a job of a pipeline.
//
// [On] goes through the hosts in a fixed order (rules.go), and the first whose variables or files
// are there is it. IMDS is what is left (imds.go). [Azure] says what speaks for Azure (azure.go),
// [Pipeline] which variable speaks for a pipeline (pipeline.go), and [Evidence] lists all that was
// looked at (evidence.go). The names of the variables are in variables.go.
//
// The package looks at a [Machine] and asks nobody: it sends nothing, and doesn't know how a host
// is asked for a token, what an endpoint must look like, or which identity is wanted. Its answers
// are for people, too, so that no secret is in them. It has no state. Its functions call those of
// the Machine, which may read files, and are as safe for concurrent use as those.
package detect

import "github.com/keyless-go/identity/internal/chassis"

// Machine is what is looked at: the variables of the process, which files exist, and what the
// machine is.
type Machine struct {
	Getenv    func(string) string
	Exists    func(path string) bool
	Forbidden func(path string) bool // whether a path exists may not be seen; nil for never
	Chassis   func() string          // the machine's chassis asset tag; nil for none
	GOOS      string
}

// has reports whether all of the variables are set to something.
func (m Machine) has(names ...string) bool {
	for _, name := range names {
		if m.Getenv(name) == "" {
			return false
		}
	}
	return true
}

// mayNotSee reports whether it can't be seen whether a path exists.
func (m Machine) mayNotSee(path string) bool { return m.Forbidden != nil && m.Forbidden(path) }

// onAzureVM reports whether this machine, or the one that this container runs on, is a virtual
// machine of Azure.
func (m Machine) onAzureVM() bool { return m.Chassis != nil && m.Chassis() == chassis.Azure }
