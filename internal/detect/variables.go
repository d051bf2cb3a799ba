package detect

// The variables that say which host this is.
const (
	EnvEndpoint   = "IDENTITY_ENDPOINT"
	EnvHeader     = "IDENTITY_HEADER"
	EnvThumbprint = "IDENTITY_SERVER_THUMBPRINT"
	EnvIMDS       = "IMDS_ENDPOINT"
	EnvMSI        = "MSI_ENDPOINT"
	EnvMSISecret  = "MSI_SECRET"
	EnvAuthority  = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
	EnvTokenFile  = "AZURE_FEDERATED_TOKEN_FILE"
	EnvClientID   = "AZURE_CLIENT_ID"
	EnvTenantID   = "AZURE_TENANT_ID"
)

// The variables that say more of how a host is asked.
const (
	EnvAPIVersion      = "IDENTITY_API_VERSION"       // Service Fabric's
	EnvDefaultClientID = "DEFAULT_IDENTITY_CLIENT_ID" // Azure ML's
	EnvAuthorityHost   = "AZURE_AUTHORITY_HOST"       // workload identity's, as the rest
	EnvTokenProxy      = "AZURE_KUBERNETES_TOKEN_PROXY"
	EnvCAFile          = "AZURE_KUBERNETES_CA_FILE"
	EnvCAData          = "AZURE_KUBERNETES_CA_DATA"
	EnvSNIName         = "AZURE_KUBERNETES_SNI_NAME"
)

// The variables by which a platform for apps makes itself known, also to an app without an
// identity, and the app setting that takes an app's identity away, which App Service has in the
// environment, too.
const (
	EnvAppService   = "WEBSITE_SITE_NAME"
	EnvContainerApp = "CONTAINER_APP_NAME"
	EnvContainerJob = "CONTAINER_APP_JOB_NAME"
	EnvDisableMSI   = "WEBSITE_DISABLE_MSI"
)

// The variables that say that this is a job of GitHub Actions or of Azure Pipelines.
const (
	EnvGitHub    = "GITHUB_ACTIONS"
	EnvPipelines = "TF_BUILD"
)
