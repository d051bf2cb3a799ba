package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
)

// arcEndpoint is where the agent listens. Services have no variable that says so; the port is fixed.
const arcEndpoint = "http://127.0.0.1:40342/metadata/identity/oauth2/token"

// detectArc finds the Connected Machine agent by its variables, or by its program where a service has no variables.
func detectArc(env environment) (endpoint, reason string, ok bool) {
	if env.has(envEndpoint, envIMDS) {
		return env.getenv(envEndpoint), envEndpoint + " and " + envIMDS + " are set", true
	}
	for _, path := range arcAgentPaths(env) {
		// A variable that somebody set to move IMDS says more than a file that a machine carries.
		switch {
		case env.has(envAuthority):
		case env.exists(path):
			return arcEndpoint, path + " exists", true
		case env.mayNotSee(path) && env.exists(arcAgentDirectory(path)):
			return arcEndpoint, path +
				" may not be seen by this process, in a directory of the agent", true
		}
	}
	return arcEndpoint, "", false
}

// arcAgentDirectory is the directory of the agent that its program is in or below.
func arcAgentDirectory(program string) string {
	if i := strings.LastIndex(program, `\`); i >= 0 {
		return program[:i]
	}
	return "/opt/azcmagent"
}

// arcUnseen is the path of the agent's program if neither it nor a directory of the agent may be
// seen: it may be there.
func arcUnseen(env environment) string {
	for _, path := range arcAgentPaths(env) {
		if env.mayNotSee(path) {
			return path
		}
	}
	return ""
}

// arcAgentPaths: the agent installs its program under Program Files; MSAL for Go looks under ProgramData instead.
// Looking at both costs nothing.
func arcAgentPaths(env environment) []string {
	switch env.goos {
	case "linux":
		return []string{"/opt/azcmagent/bin/himds"}
	case "windows":
		var paths []string
		for _, root := range []string{"ProgramFiles", "ProgramData"} {
			if dir := env.getenv(root); dir != "" {
				paths = append(paths, strings.TrimRight(dir, `\/`)+`\AzureConnectedMachineAgent\himds.exe`)
			}
		}
		return paths
	}
	return nil
}

// arc is the Connected Machine agent's token endpoint. It hands out a token only to who can read a file that it has just
// written into a directory of its own.
//
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
type arc struct {
	named
	byVariable bool // the endpoint is in IDENTITY_ENDPOINT; otherwise it is the fixed one
}

func newArc(env environment, options settings) (anyHost, error) {
	s := &arc{named: named{is: HostArc, env: env, id: options.ID}, byVariable: env.has(envEndpoint, envIMDS)}
	r, err := s.Call(acquire.Request{})
	if err != nil {
		return nil, err
	}
	if _, err := s.keyDirectory(r.URL); err != nil {
		return nil, err
	}
	return s.checked(s)
}

// keyDirectory is the agent's, or that of a fake.
func (s *arc) keyDirectory(endpoint *url.URL) (string, error) {
	if place, ok := seam.Lookup(endpoint.Path); ok {
		return place.KeyDirectory, nil
	}
	return arcKeyDirectory(s.env)
}

func (s *arc) Call(r acquire.Request) (acquire.Call, error) {
	configured := arcEndpoint
	if s.byVariable {
		configured = s.env.getenv(envEndpoint)
	}
	endpoint, err := check.URL(envEndpoint, configured, arcEndpoint)
	if err != nil {
		return acquire.Call{}, err
	}
	selector, value := selector(s.id, "client_id", "object_id", "msi_res_id")
	return acquire.Call{
		Method: http.MethodGet,
		URL:    with(endpoint, selector, value, "api-version", "2020-06-01", "resource", r.Resource),
		Header: header("Metadata", "true"),
	}, nil
}

// Follow implements acquire.Follows: the first request is answered with a challenge, which names the file that the second one
// has to bring the content of.
func (s *arc) Follow(r acquire.Request, got acquire.Answer) (acquire.Call, bool, error) {
	if got.Status >= 200 && got.Status < 300 {
		return acquire.Call{}, false, errors.New("a token without a challenge: what listens there is not Azure Arc's agent")
	}
	if got.Status != http.StatusUnauthorized {
		return acquire.Call{}, false, nil
	}
	realm, ok := basicRealm(got.Header)
	if !ok {
		return acquire.Call{}, false, errors.New("a challenge without \"Basic realm=<path of a key file>\" in its WWW-Authenticate header: what listens there is not Azure Arc's agent")
	}
	next, err := s.Call(r)
	if err != nil {
		return acquire.Call{}, false, err
	}
	directory, err := s.keyDirectory(next.URL)
	if err != nil {
		return acquire.Call{}, false, err
	}
	if s.env.goos == "windows" {
		if err := checkArcDirectory(directory); err != nil {
			return acquire.Call{}, false, err
		}
	}
	if err := checkArcKeyPath(realm, directory, s.env.goos); err != nil {
		return acquire.Call{}, false, err
	}
	key, err := readArcKey(realm, s.env.goos)
	if err != nil {
		return acquire.Call{}, false, err
	}
	next.Header.Set("Authorization", "Basic "+key)
	next.Secret = key
	return next, true, nil
}

// basicRealm finds the realm of a Basic challenge. The agent sends it without quotes.
func basicRealm(h http.Header) (string, bool) {
	for _, challenge := range h.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		name, realm, ok := strings.Cut(strings.TrimSpace(parameters), "=")
		if !ok || !strings.EqualFold(scheme, "Basic") || !strings.EqualFold(strings.TrimSpace(name), "realm") {
			continue
		}
		realm = strings.TrimSpace(realm)
		if quoted, ok := strings.CutPrefix(realm, `"`); ok {
			if inside, _, ok := strings.Cut(quoted, `"`); ok {
				return inside, inside != ""
			}
		}
		if at := furtherParameter.FindStringIndex(realm); at != nil {
			realm = strings.TrimSpace(realm[:at[0]])
		}
		return realm, strings.Trim(realm, ", ") != ""
	}
	return "", false
}

// furtherParameter is where another parameter begins, as distinct from a comma in a path.
var furtherParameter = regexp.MustCompile(`,\s*[A-Za-z0-9_-]+\s*=`)

// arcKeyDirectory is the agent's directory of keys, which others can't write to.
func arcKeyDirectory(env environment) (string, error) {
	switch env.goos {
	case "linux":
		return "/var/opt/azcmagent/tokens", nil
	case "windows":
		root := env.getenv("ProgramData")
		if root == "" {
			return "", errors.New("identity: ProgramData: is empty, and Azure Arc's keys are below it")
		}
		if err := check.Path("ProgramData", root); err != nil {
			return "", err
		}
		return strings.TrimRight(root, `\/`) + `\AzureConnectedMachineAgent\Tokens`, nil
	}
	return "", errors.New("identity: Azure Arc's agent runs on Linux and Windows, not on " + env.goos)
}

// checkArcDirectory refuses a directory that leads elsewhere. On Windows, where there is no agent, any user can make one of its
// name below ProgramData, let it be a junction to another's files, and answer in the agent's place.
func checkArcDirectory(directory string) error {
	for _, d := range []string{directory, filepath.Dir(directory)} {
		if info, err := os.Lstat(d); err == nil && info.Mode().Type() != fs.ModeDir {
			return errors.New("the challenge was not answered: " + d + " is a link or no directory, which Azure Arc's agent does not make: who did?")
		}
	}
	return nil
}

// checkArcKeyPath lets pass what can only be a key file of the agent's: whoever answers in its place must not choose
// what this process reads and sends. The path itself is not repeated: it is the other side's text.
func checkArcKeyPath(path, directory, goos string) error {
	const refused = "the challenge names a file that is no key of Azure Arc's agent, which was not read: "
	separators, want := "/", directory
	same := func(a, b string) bool { return a == b }
	if goos == "windows" {
		separators, same = `\/`, func(a, b string) bool { return asciiLower(a) == asciiLower(b) }
		path, want = strings.ReplaceAll(path, "/", `\`), strings.ReplaceAll(directory, "/", `\`)
	}
	at := strings.LastIndexAny(path, separators)
	name := path[at+1:]
	switch {
	case strings.ContainsFunc(path, unicode.IsControl):
		return errors.New(refused + "its path contains a control character")
	case at < 0 || !same(path[:at], want):
		return errors.New(refused + "it is not in " + directory)
	case len(name) <= len(".key") || !strings.HasSuffix(name, ".key"):
		return errors.New(refused + "its name does not end in .key")
	case goos == "windows" && strings.ContainsAny(name, `:*?"<>|`): // a colon names a stream within another file
		return errors.New(refused + "its name is no file name")
	}
	return nil
}

// maxArcKey is the size beyond which no peer reads, either.
const maxArcKey = 4096

// readArcKey reads a key, whose path has been checked. It is used once, never kept.
func readArcKey(path, goos string) (string, error) {
	fail := func(why string) error {
		return errors.New("Azure Arc's key " + redact.Line(filepath.Base(path)) + " " + why)
	}
	before, err := os.Lstat(path)
	if err != nil {
		return "", arcKeyError(err, goos)
	}
	if !before.Mode().IsRegular() { // a symbolic link could lead anywhere, and reading a pipe could take for ever
		return "", fail("is not a regular file, and was not read")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", arcKeyError(err, goos)
	}
	defer f.Close()
	after, err := f.Stat()
	if err != nil {
		return "", arcKeyError(err, goos)
	}
	if !os.SameFile(before, after) {
		return "", failure.AtNextTry(fail("was replaced while it was opened"))
	}
	key, err := io.ReadAll(io.LimitReader(f, maxArcKey+1))
	switch {
	case err != nil:
		return "", arcKeyError(err, goos)
	case len(key) == 0:
		return "", failure.AtNextTry(fail("is empty"))
	case len(key) > maxArcKey:
		return "", fail(fmt.Sprintf("is larger than %d bytes", maxArcKey))
	case strings.ContainsFunc(string(key), unicode.IsControl):
		return "", fail("contains a control character, and can't be sent in a header")
	}
	return string(key), nil
}

// arcKeyError says who may read a key.
//
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication#prerequisites
func arcKeyError(err error, goos string) error {
	var path *fs.PathError
	if !errors.As(err, &path) {
		return err
	}
	text := "can't read Azure Arc's key " + redact.Line(path.Path) + ": " + path.Err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission) && goos == "windows":
		return errors.New(text + ": add the account that this process runs as to the local group \"Hybrid agent extension applications\", or run it as an administrator")
	case errors.Is(err, fs.ErrPermission):
		return errors.New(text + ": add the user that this process runs as to the group himds (sudo usermod -aG himds USER), and start it anew")
	case errors.Is(err, fs.ErrNotExist):
		directory := filepath.Dir(path.Path)
		if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) {
			return errors.New(text + ": there is no directory " + redact.Line(directory) + ": if this is a container, mount the machine's there")
		}
		return failure.AtNextTry(errors.New(text)) // keys are short-lived: another challenge brings another
	}
	return errors.New(text)
}

// NotAssigned: an agent that knows selectors says identity_not_found. One that doesn't ignores them, and is found out by
// the missing echo.
func (s *arc) NotAssigned(status int, said failure.Said) bool {
	return said.Code == "identity_not_found"
}

// Mismatch wants the answer to name the identity: older agents ignore selectors.
func (s *arc) Mismatch(t token.Token) string { return mismatch(s.id, t, true) }

func (s *arc) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return "is Azure Arc's agent running (azcmagent show), and does it listen at " + s.first + "?"
	case s.NotAssigned(status, said) && s.id != nil:
		return "is " + describeID(s.id) +
			" assigned to this Arc-enabled server? For its system-assigned one leave ID nil"
	case s.NotAssigned(status, said):
		return "is this server connected (azcmagent show), and its system-assigned identity there?"
	case status >= http.StatusInternalServerError && !said.FromEntra():
		return "is this server connected (azcmagent show)? One that was offline for months has to be connected anew"
	case status == http.StatusUnauthorized:
		return "the agent refused the key that it had just written: is more than one agent installed here?"
	}
	return ""
}
