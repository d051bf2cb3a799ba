// Package identity lets a service on Azure call Azure without holding a secret. It turns the
// managed identity of the place that the service runs in into an azcore.TokenCredential, which
// every Azure SDK client takes.
//
//	cred, err := identity.NewCredential(nil)
//	if err != nil {
//		return err
//	}
//	client, err := azsecrets.NewClient("https://example.vault.azure.net", cred, nil)
//	if err != nil {
//		return err
//	}
//	secret, err := client.GetSecret(ctx, "database-password", "", nil)
//
// A managed identity is a service principal whose key only Azure has. A system-assigned identity
// belongs to one resource, such as a virtual machine, and is the default. A user-assigned identity
// is a resource of its own, and a host can have many: CredentialOptions.ID selects one by
// [ClientID], [ObjectID] or [ResourceID].
//
// # Hosts
//
// The host is detected by environment variables, see [Detect]. An empty variable counts as unset.
// The host is the first in this list whose variables are set:
//
//   - Workload identity, in pods of AKS and other clusters: AZURE_FEDERATED_TOKEN_FILE is set. It
//     needs AZURE_TENANT_ID, and either AZURE_CLIENT_ID or a ClientID in CredentialOptions.ID.
//     Without them NewCredential returns an error: the node's identity is another one. To be the
//     node's identity on purpose, set CredentialOptions.Host to [HostIMDS]. The file has the
//     service account's token. It is read for each exchange at Entra. With AKS's identity bindings,
//     AZURE_KUBERNETES_TOKEN_PROXY and its companions, the cluster's proxy is asked in Entra's
//     place; azidentity does that only with an option.
//   - Container Instances, Windows containers: IDENTITY_ENDPOINT, IDENTITY_HEADER and
//     IDENTITY_SERVER_THUMBPRINT are set, and the endpoint is plain http. It must be a private
//     address or this machine. An identity is selected by object ID.
//   - Service Fabric: IDENTITY_ENDPOINT, IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT are set.
//     The server's certificate must have that thumbprint. The application's manifest selects the
//     identity.
//   - App Service, Functions, Logic Apps, Container Apps and Automation: IDENTITY_ENDPOINT and
//     IDENTITY_HEADER are set.
//   - Azure ML and the legacy App Service: MSI_ENDPOINT and MSI_SECRET are set. They select by
//     client ID only.
//   - Cloud Shell: MSI_ENDPOINT is set. The token is the signed-in user's.
//   - Azure Arc: IDENTITY_ENDPOINT and IMDS_ENDPOINT are set, or the agent's program himds is
//     found. It is not looked for when AZURE_POD_IDENTITY_AUTHORITY_HOST is set. The process must
//     be allowed to read the agent's keys: a member of the group himds on Linux, of "Hybrid agent
//     extension applications" on Windows.
//   - IMDS otherwise: virtual machines, scale sets, AKS and Batch nodes, Linux Container Instances,
//     Spring Apps. AZURE_POD_IDENTITY_AUTHORITY_HOST moves it from http://169.254.169.254.
//
// Variables that hold a secret or name an endpoint are read at every request, because platforms
// change them. Those of IMDS and of workload identity are read once; workload identity's token file
// is read at every request. Requests to Entra, or to AKS's proxy in front of it, use the system's
// proxy; all others use none. No request follows a redirect or keeps a connection. A selector that
// a host can't serve is an error of [NewCredential].
//
// # Caching and renewal
//
// A token is held until it really ends. From half of its life on (or when the host says, by
// refresh_in), give or take a tenth, the next use renews it in the background and gets the held one
// at once. In the last 5 minutes of a token that lived over 10, a caller waits up to 2 s for the
// renewal. A token that comes with a day to live thus covers an outage of about half a day without
// an error. If the host answers with the same token from its own cache, it is asked again after
// half of the time that remains.
//
// All callers of one identity and resource share one request, across goroutines and across
// credentials with the same Retry. A caller that leaves costs the others nothing. Nobody waits
// longer than 76 s on IMDS, 31 s elsewhere. Credentials whose Retry differs share the token, but
// neither their tries nor their waits after a failure, so that the options of one library can't
// delay another. A Retry-After of the host, and a refusal that doesn't pass, hold for all of them.
// A process has at most 5 requests under way at one endpoint, 50 at Entra. After a failure the
// library waits before it asks for that resource again, so that any number of callers make few
// requests. It waits for the host's Retry-After, or else up to 1 s at first, doubling to 10 s.
// While a token is held that is up to 5 s, doubling to 30 s, and to 10 s in the token's last 5
// minutes. A renewal is a single try while the held token has time left for another acquisition.
// After that it is retried, as where no token is held. At most 10,000 tokens are held; beyond that
// a new one pushes out the one that was used longest ago. If tokens come with less than a second to
// live, there is at most one request a second.
//
// Credentials with the default transport share one cache per process. A credential with a Transport
// or policies of its own has a cache of its own. There is nothing to close: a renewal is one
// bounded acquisition that starts on use and leaves nothing behind.
//
// [Credential.Refresh] asks the host although a token is held, [Credential.Status] tells what is
// held and what went wrong, and [Credential.Ready] is for start-up and readiness probes. [Reporter]
// is any credential of this package, for health pages and metrics.
//
// # On Azure and on a laptop
//
// [NewDefaultCredential] is the managed or workload identity on Azure, and on a laptop the
// developer who is logged in with the Azure CLI or the Azure Developer CLI; never the developer on
// Azure. [NewChain] tries any credentials in order, and goes on only from one that is unavailable;
// which one serves is remembered for each scope. [NewAzureCLICredential] and
// [NewAzureDeveloperCLICredential] are the developer's alone.
//
// # Federation and jobs of CI
//
// [NewFederatedCredential] is an application, or a user-assigned identity, that trusts the tokens
// of another issuer. It needs neither a secret nor a host of Azure's: tenant, client ID and where
// those tokens come from are arguments. In a job of CI they come from [GitHubActionsAssertion] or
// [AzurePipelinesAssertion], and [NewDefaultCredential] finds such a job by its variables.
// [FileAssertion] reads them from a file, as a Kubernetes cluster writes it. [CredentialAssertion]
// makes a managed identity an application, also in other tenants. [AssertionFunc] is for any other
// issuer, such as SPIFFE or Vault.
//
// # Without an Azure SDK client
//
// [TokenFunc] is a token as text, for a database's password or any callback, and [PrincipalOf] the
// user name that belongs to it. [Tokens] is a loop over the token and each that replaces it.
// [Transport] is an http.RoundTripper. They ask as [Credential.Ready] and Azure SDK clients do, and
// so share their tokens. [Passing] reports whether an error is worth waiting over.
//
// Modules below integrations have all this ready-made: pgx for PostgreSQL (also database/sql and
// lib/pq), redis (go-redis, valkey-go), kafka (franz-go, sarama, kafka-go; Event Hubs), oauth2
// (x/oauth2, gRPC) and metrics (Prometheus, OpenTelemetry).
//
// # Errors
//
// A failed GetToken returns an [*AuthenticationError]: one line that says who was asked, what came
// back, and what to check. errors.Is tells the cases apart that programs act on: [ErrUnavailable],
// [ErrIdentityNotFound], [ErrIdentityMismatch], [ErrThrottled], and the error of the caller's
// context. Passing failures are retried before anyone sees them, for up to 75 s on IMDS and 30 s
// elsewhere. Where nothing says which host this is, and IMDS's address can't be reached or
// something else answers there, retries end after 5 s, and the error is [ErrUnavailable]. An
// endpoint that a variable names should be there: if it is silent, the error says what to check. No
// error, log line or trace holds a token or a secret. CredentialOptions.Logger receives what
// happens; by default nothing does. [AuthenticationError.Summary] stays the same while the cause
// does, for conditions and for grouping; a [Chain]'s errors have it, too. docs/operations.md in the
// repository has each message with what to do, and alerts to have.
//
// # Testing
//
// Package identitytest has fake endpoints for the tests of services that use this package.
package identity
