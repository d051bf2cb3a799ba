package detect

import "strings"

// ArcEndpoint is where Azure Arc's agent listens. Services have no variable that says so; the port
// is fixed.
const ArcEndpoint = "http://127.0.0.1:40342/metadata/identity/oauth2/token"

// ArcByVariable reports whether variables name the agent's endpoint. It is the fixed one otherwise.
func ArcByVariable(m Machine) bool { return m.has(EnvEndpoint, EnvIMDS) }

// arc finds the Connected Machine agent by its variables, or by its program where a service has no
// variables.
func arc(m Machine) (endpoint, reason string, ok bool) {
	if ArcByVariable(m) {
		return m.Getenv(EnvEndpoint), EnvEndpoint + " and " + EnvIMDS + " are set", true
	}
	for _, path := range arcPrograms(m) {
		// A variable that somebody set to move IMDS says more than a file that a machine carries.
		switch {
		case m.has(EnvAuthority):
		case m.Exists(path):
			return ArcEndpoint, path + " exists", true
		case m.mayNotSee(path) && m.Exists(arcDirectory(path)):
			return ArcEndpoint, path +
				" may not be seen by this process, in a directory of the agent", true
		}
	}
	return ArcEndpoint, "", false
}

// arcDirectory is the directory of the agent that its program is in or below.
func arcDirectory(program string) string {
	if i := strings.LastIndex(program, `\`); i >= 0 {
		return program[:i]
	}
	return "/opt/azcmagent"
}

// arcUnseen is the path of the agent's program if neither it nor a directory of the agent may be
// seen: it may be there.
func arcUnseen(m Machine) string {
	for _, path := range arcPrograms(m) {
		if m.mayNotSee(path) {
			return path
		}
	}
	return ""
}

// arcOnLinux is made once, and not by each credential.
var arcOnLinux = []string{"/opt/azcmagent/bin/himds"}

// arcPrograms are the paths where the agent's program may be. The agent installs it under Program
// Files; MSAL for Go looks under ProgramData instead. Looking at both costs nothing.
func arcPrograms(m Machine) []string {
	switch m.GOOS {
	case "linux":
		return arcOnLinux
	case "windows":
		var paths []string
		for _, root := range []string{"ProgramFiles", "ProgramData"} {
			if dir := m.Getenv(root); dir != "" {
				paths = append(paths,
					strings.TrimRight(dir, `\/`)+`\AzureConnectedMachineAgent\himds.exe`)
			}
		}
		return paths
	}
	return nil
}
