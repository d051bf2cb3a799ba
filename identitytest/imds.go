package identitytest

// imds is the instance metadata service:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
type imds struct{ metadataService }

var imdsSelectors = map[string]property{
	"client_id": byClientID,
	"object_id": byObjectID,
	// a virtual machine takes mi_res_id as well, undocumented; a container instance doesn't
	"msi_res_id": byResourceID,
}

// NewIMDS returns a fake of the instance metadata service, the endpoint of virtual machines, scale
// sets, AKS nodes and container instances, api-version 2018-02-01. Nil options means the defaults.
// It panics if options has no meaning: see [Options].
//
// It refuses what IMDS refuses, with the status and the body of IMDS: another method than GET, a
// Metadata header other than "true", an X-Forwarded-For header, a repeated or missing query
// parameter, another value of bypass_cache than "true", an unknown identity, two selectors, and,
// with Entra's AADSTS500011, a resource that is neither a URI nor a GUID, or that is a scope with
// /.default. It also refuses the selectors of other hosts, such as mi_res_id, which not every IMDS
// takes. A request without a selector means the system-assigned identity or, if there is none, the
// only user-assigned one.
//
// With Options.HostCache, bypass_cache=true puts a new token into the cache.
func NewIMDS(options *Options) *Endpoint {
	host := imds{metadataService{server: "IMDS/150.870.65.1854", selectors: imdsSelectors,
		versions: []string{"2018-02-01"}, bypass: true}}
	return newEndpoint(options, host,
		resourceGroupID+"/providers/Microsoft.Compute/virtualMachines/vm-test")
}

func (imds) env(_ *Endpoint, base string) []string {
	return []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST=" + base}
}

func (h imds) answer(e *Endpoint, r received) answer {
	query, selected, refusal := h.parse(e, r)
	if refusal.status != 0 {
		return refusal
	}
	id, problem := h.identity(e.identities, selected)
	if problem != "" {
		return h.refuse(problem)
	}
	return h.success(e, r,
		demand{id: id, resource: query.Get("resource"), anew: query.Has("bypass_cache")}, selected)
}

func (imds) identity(identities []Identity, selected selector) (id Identity, problem string) {
	if selected.name != "" {
		id, ok := find(identities, imdsSelectors[selected.name], selected.value)
		if !ok {
			return Identity{}, "Identity not found"
		}
		return id, ""
	}
	if id, ok := systemAssigned(identities); ok {
		return id, ""
	}
	if len(identities) > 1 {
		return Identity{}, "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
	}
	return identities[0], ""
}
