// Package standins stands in for the identity endpoints of Azure's hosts, on loopback, so that the
// examples run anywhere.
package standins

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// The hosts that there are stand-ins for, by the names that identity.Detect gives them. It doesn't
// tell the legacy App Service from Azure ML.
const (
	IMDS               = string(identity.HostIMDS)
	AppService         = string(identity.HostAppService)
	ServiceFabric      = string(identity.HostServiceFabric)
	ContainerInstances = string(identity.HostContainerInstances)
	AzureML            = string(identity.HostAzureML)
	AppService2017     = "appservice2017"
	CloudShell         = string(identity.HostCloudShell)
	Arc                = string(identity.HostArc)
	WorkloadIdentity   = string(identity.HostWorkloadIdentity)
)

// Host is a kind of host that there is a stand-in for.
type Host struct {
	Name     string
	what     string // for -h, as the next
	selected string // how one of its identities is
	fake     func(*identitytest.Options) *identitytest.Endpoint
	files    bool // whether it has files, for which it needs a directory
}

var hosts = []Host{
	{IMDS, "a virtual machine, a scale set, an AKS node", "by any ID", identitytest.NewIMDS, false},
	{AppService, "App Service, Functions, Container Apps", "by any ID", identitytest.NewAppService,
		false},
	{ServiceFabric, "Service Fabric, over TLS", "not at all", identitytest.NewServiceFabric, false},
	{ContainerInstances, "a Windows container of Container Instances", "by -object-id",
		identitytest.NewContainerInstances, false},
	{AzureML, "the compute of Azure Machine Learning", "by -client-id", identitytest.NewAzureML,
		false},
	{AppService2017, "App Service with the protocol of 2017", "by -client-id",
		identitytest.NewAppService2017, false},
	{CloudShell, "Cloud Shell; its tokens are the signed-in user's", "not at all",
		identitytest.NewCloudShell, false},
	{Arc, "a server elsewhere that Azure Arc manages, with key files", "by any ID",
		identitytest.NewArc, true},
	{WorkloadIdentity, "Entra, for a pod in AKS with a token file, over TLS", "by -client-id",
		identitytest.NewWorkloadIdentity, true},
}

// Hosts returns all of them.
func Hosts() []Host { return slices.Clone(hosts) }

// Find returns the host of that name.
func Find(name string) (Host, bool) {
	for _, h := range hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// Names are those of all hosts, as a sentence lists them.
func Names() string {
	var b strings.Builder
	for i, h := range hosts {
		switch {
		case i == len(hosts)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(h.Name)
	}
	return b.String()
}

// identities are one of each type, with the same IDs on all hosts, as far as a host can have them.
func (h Host) identities() []identitytest.Identity {
	both := []identitytest.Identity{{System: true}, {}}
	switch h.Name {
	case CloudShell: // the user, who is neither
		return []identitytest.Identity{{ObjectID: "0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09"}}
	case WorkloadIdentity: // a system-assigned identity can't be federated
		return identitytest.NewIMDS(&identitytest.Options{Identities: both}).Identities()[1:]
	}
	return both
}

// Endpoint makes the stand-in, which keeps its files in dir.
func (h Host) Endpoint(dir string) *identitytest.Endpoint {
	return h.fake(&identitytest.Options{Identities: h.identities(), Dir: dir})
}

// Kind is the type of an identity, in Entra's words.
func Kind(id identitytest.Identity) string {
	if id.System {
		return "system-assigned"
	}
	return "user-assigned"
}

// HostList is for the help: a line for each host, as what follows a flag.
func HostList() string {
	var list strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&list, "                       %-16s  %s (%s)\n", h.Name, h.what, h.selected)
	}
	return list.String()
}

// WriteIdentities ends the help with the IDs that there are to select by.
func WriteIdentities(out io.Writer) {
	_, _ = fmt.Fprint(out, `The stand-ins have these identities; that for cloudshell has the signed-in user instead, that for
workloadidentity only the user-assigned one:
`)
	for _, id := range hosts[0].Endpoint("").Identities() {
		_, _ = fmt.Fprintf(out, "  %s\n", Kind(id))
		_, _ = fmt.Fprintf(out, "    -client-id   %s\n", id.ClientID)
		_, _ = fmt.Fprintf(out, "    -object-id   %s\n", id.ObjectID)
		if !id.System { // a system-assigned identity has no resource of its own
			_, _ = fmt.Fprintf(out, "    -resource-id %s\n", id.ResourceID)
		}
	}
}

// Federates reports whether an application can trust the tokens of the host's identities, beside a
// stand-in for Entra. Cloud Shell's are a person's, and a pod's host is Entra itself.
func (h Host) Federates() bool { return h.Name != CloudShell && h.Name != WorkloadIdentity }
