package identity

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/redact"
)

// Detection is what [Detect] concluded.
type Detection struct {
	Host Host // the host; IMDS when nothing says otherwise
	// the token endpoint's URL, without query; "" if a variable that it comes from is malformed or
	// missing
	Endpoint string
	// what decided, in words: names of variables and files, never a value that is secret
	Reason string

	// Evidence is everything that was looked at, set or not: the variables by which hosts are
	// recognised and asked, then the files. No value in it is secret.
	Evidence []Evidence
}

// Detect tells which host this process runs on, as [NewCredential] sees it. It reads environment
// variables and looks for the Azure Arc agent's program; it sends nothing, so that it can't tell
// whether the endpoint answers: see [Credential.Ready]. A variable that is set to the empty string
// counts as unset. It is safe for concurrent use.
func Detect() Detection {
	env := processEnvironment()
	d := detectIn(env)
	d.Evidence = evidence(env)
	return d
}

func detectIn(env environment) Detection {
	found := detect.On(env.machine())
	host, endpoint, reason := Host(found.Host), found.Endpoint, found.Reason
	if endpoint == "" {
		if src, err := makers[host](env, settingsOf(&CredentialOptions{})); err == nil {
			endpoint = src.Endpoint()
		}
	}
	if variable := detect.Pipeline(env.machine()); variable != "" {
		reason += "; " + detect.InPipeline(variable)
	}
	return Detection{Host: host, Endpoint: redact.URL(endpoint), Reason: reason}
}

// Evidence is a variable or a file that says which host this is, or how to ask it. Among the files
// is the chassis asset tag of the machine, which says whether it is one of Azure's; on Windows it
// is in the registry, on systems other than Linux and Windows it is not looked for.
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

// evidence is all of it, whichever host this is.
func evidence(env environment) (list []Evidence) {
	for _, e := range detect.Evidence(env.machine()) {
		list = append(list, Evidence(e))
	}
	return list
}

// makers make what asks a host, each in the host's own file. Their errors name the field or the
// variable.
var makers = map[Host]func(environment, settings) (anyHost, error){
	HostWorkloadIdentity:   newWorkload,
	HostContainerInstances: newContainerInstances,
	HostServiceFabric:      newServiceFabric,
	HostAppService:         newAppService,
	HostAzureML:            newAzureML,
	HostCloudShell:         newCloudShell,
	HostArc:                newArc,
	HostIMDS:               newIMDS,
}

// newSource makes the source of the host that was detected, or that the user has named. It also
// returns why it is that host.
func newSource(env environment, options settings) (src anyHost, reason string, err error) {
	want, reason := options.Host, cmp.Or(options.named, "CredentialOptions.Host names it")
	if want == "" {
		found := detect.On(env.machine())
		want, reason = Host(found.Host), found.Reason
	}
	newHost := makers[want]
	if newHost == nil {
		var names []string
		for _, host := range detect.Hosts() {
			names = append(names, strconv.Quote(host))
		}
		return nil, "", fmt.Errorf("%s.Host: unknown host %.100q: "+
			"want one of %s, or \"\" to detect it", options.options, redact.Text(string(want)),
			strings.Join(names, ", "))
	}
	src, err = newHost(env, options)
	switch {
	case err != nil && options.Host != "":
		return nil, "", fmt.Errorf("%s: %w", options.hostNamed(), err)
	case err != nil && want == HostWorkloadIdentity && isHalfAPod(env, options.CredentialOptions):
		return nil, "", fmt.Errorf("%w; %s. %s", err, reason, options.asNode)
	}
	return src, reason, err
}
