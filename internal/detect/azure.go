package detect

// Azure is what says that this is Azure; "" if nothing does. AZURE_POD_IDENTITY_AUTHORITY_HOST says
// that there is an IMDS, somewhere else, half of a host's variables that there is a host, and the
// chassis asset tag that the machine is one of Azure's. An app of App Service or Container Apps
// that has no identity must not be whoever has logged in beside it.
func Azure(m Machine) string {
	found := On(m)
	if found.Host != IMDS || m.onAzureVM() {
		return found.Reason
	}
	if reason := ExpectsIMDS(m); reason != "" {
		return reason
	}
	if variable, platform := appPlatform(m); variable != "" {
		return variable + " says that this is " + platform
	}
	return ""
}
