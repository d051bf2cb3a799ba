package identity

// Host is a place that Azure runs code in, with its own way of handing out tokens. The constants
// are all there are.
type Host string

const (
	// HostWorkloadIdentity is a pod of AKS, or of another cluster, with Microsoft Entra Workload ID:
	// its service account's token is exchanged for a token of a user-assigned managed identity or an
	// application that trusts the cluster.
	HostWorkloadIdentity Host = "workloadidentity"

	// HostContainerInstances is a Windows container group of Azure Container Instances. Linux
	// containers there use IMDS.
	HostContainerInstances Host = "containerinstances"

	// HostServiceFabric is a Service Fabric cluster whose application has a managed identity.
	HostServiceFabric Host = "servicefabric"

	// HostAppService is App Service, Functions, Logic Apps and Container Apps, and Automation, which
	// shares their protocol.
	HostAppService Host = "appservice"

	// HostAzureML is Azure Machine Learning compute. The legacy App Service of api-version 2017-09-01
	// sets the same variables, speaks the same protocol, and counts as this host.
	HostAzureML Host = "azureml"

	// HostCloudShell is Azure Cloud Shell. Its token is that of the signed-in user, who is no managed
	// identity.
	HostCloudShell Host = "cloudshell"

	// HostArc is a server outside of Azure that Azure Arc manages, with the Connected Machine agent on
	// it.
	HostArc Host = "arc"

	// HostIMDS is the Instance Metadata Service: virtual machines, scale sets, AKS nodes, Batch nodes,
	// Container Instances and Spring Apps.
	HostIMDS Host = "imds"
)

// String returns the host's name in Azure's own terms, for messages.
func (h Host) String() string {
	switch h {
	case HostWorkloadIdentity:
		return "workload identity"
	case HostContainerInstances:
		return "Container Instances on Windows"
	case HostServiceFabric:
		return "Service Fabric"
	case HostAppService:
		return "App Service"
	case HostAzureML:
		return "Azure ML or legacy App Service"
	case HostCloudShell:
		return "Cloud Shell"
	case HostArc:
		return "Azure Arc"
	case HostIMDS:
		return "IMDS"
	}
	return string(h)
}
