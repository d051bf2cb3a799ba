package identitytest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/seam"
)

// application is the token endpoint of Entra, as applications use it that have no secret:
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
type application struct {
	*tokenEndpoint
	credentials []FederatedCredential
}

// NewEntra returns a fake of the token endpoint of Entra, for applications that trust the tokens of
// other issuers, see [Options.FederatedCredentials]. Options.Identities are the applications: an
// Identity has the client ID, a tenant, and the object ID that the application has there. An
// application in several tenants has an Identity for each, all with the same ClientID and federated
// credentials. If there are none, the endpoint has one application. It panics if options has no
// meaning: see [Options]; if an Identity is system-assigned; and if a federated credential has no
// issuer or no subject, a ClientID of none of the applications, or an issuer and subject that
// another one of the same application has as well.
//
// It refuses what [NewWorkloadIdentity] refuses, in the same way, but an assertion is good if a
// federated credential fits it and it is neither too early nor expired. So all tokens of other
// fakes can be assertions, as can those of your own stand-in for an issuer: any JWT, whoever has
// signed it. Besides the refusals of [NewWorkloadIdentity] there are AADSTS70025 for an application
// without federated credentials, 7002138 for a subject whose letters differ in their case, and
// 50027 for what isn't a JWT.
//
// A managed identity's token is good where the federated credential has the identity's object ID as
// its subject; [Endpoint.FederatedCredentials] of its host has all of it:
//
//	vm := identitytest.NewIMDS(nil)
//	entra := identitytest.NewEntra(&identitytest.Options{
//		FederatedCredentials: vm.FederatedCredentials(),
//	})
//
// Entra itself wants the application to be registered in the managed identity's tenant. The fake
// doesn't look at that, because it knows no application's own tenant.
//
// Entra isn't a host: [Endpoint.Env] has AZURE_AUTHORITY_HOST alone, and leaves the variables of
// all hosts as they are, so that a process can have both. In memory, [Endpoints] is the transport
// to both. As with [NewWorkloadIdentity] there is TLS, with a certificate that a credential in this
// process trusts if it finds the endpoint at that URL.
func NewEntra(options *Options) *Endpoint {
	o := options.copied()
	o.HostCache = false
	o.Lifetime = cmp.Or(o.Lifetime, entraLifetime)
	o.Identities = applications("NewEntra", o.Identities)
	host := &application{credentials: slices.Clone(o.FederatedCredentials)}
	host.tokenEndpoint = &tokenEndpoint{trusts: host.trusts}
	e := newEndpoint(&o, host, "")
	checkCredentials(e.identities, host.credentials)
	e.issuer.adapt = func(c *claims) { // an application is no resource of Azure's, and on no host
		c.HostResourceID, c.ResourceID = "", ""
	}
	e.showCertificateOfEntra()
	return e
}

// defaultApplication is what the fakes have that know of an application and were given none, so
// that they fit each other.
var defaultApplication = Identity{
	ClientID: guidOf("application"), ObjectID: guidOf("service principal"),
}

// applications are identities, or the default one, to the constructor of that name.
func applications(constructor string, identities []Identity) []Identity {
	if len(identities) == 0 {
		return []Identity{defaultApplication}
	}
	notSystemAssigned(constructor, identities)
	return identities
}

// notSystemAssigned panics if one of identities is, on behalf of the constructor of that name.
func notSystemAssigned(constructor string, identities []Identity) {
	if i := slices.IndexFunc(identities, func(id Identity) bool { return id.System }); i >= 0 {
		panic(fmt.Sprintf("identitytest: %s: Options.Identities: %d is system-assigned and can't be "+
			"federated", constructor, i))
	}
}

// checkCredentials panics at what Entra wouldn't register.
func checkCredentials(identities []Identity, credentials []FederatedCredential) {
	for i, c := range credentials {
		field := fmt.Sprintf("identitytest: NewEntra: Options.FederatedCredentials: %d ", i)
		switch {
		case c.Issuer == "" || c.Subject == "":
			panic(field + "has no Issuer or no Subject")
		case c.ClientID != "" && !slices.ContainsFunc(identities, c.isOf):
			panic(field + "is of none of Options.Identities: ClientID " + c.ClientID)
		}
		for j, other := range credentials[:i] {
			if c.Issuer == other.Issuer && c.Subject == other.Subject &&
				(c.ClientID == "" || other.ClientID == "" || strings.EqualFold(c.ClientID, other.ClientID)) {
				panic(fmt.Sprintf("%shas the Issuer and the Subject of %d", field, j))
			}
		}
	}
}

func (h *application) trusts(id Identity, assertion string) *entraError {
	own := slices.DeleteFunc(slices.Clone(h.credentials),
		func(c FederatedCredential) bool { return !c.isOf(id) })
	return refuse(id.ClientID, own, assertion, time.Now())
}

// env is all that a process needs to know of Entra.
func (*application) env(_ *Endpoint, base string) []string {
	return []string{"AZURE_AUTHORITY_HOST=" + base + "/"}
}

// accompanies implements companion.
func (*application) accompanies() {}

// showCertificateOfEntra gives e the certificate of Entra, and has those trust it who find e by its
// URL.
func (e *Endpoint) showCertificateOfEntra() {
	e.certificate = newCertificate("login.microsoftonline.com", "login.microsoftonline.us",
		"login.chinacloudapi.cn")
	e.standIn(seam.Place{RootCAs: e.certificate.pool})
}
