package detect

// appWithoutIdentity says why an app has no variables of a host: the platforms set them only where
// there is an identity. It is "" elsewhere.
//
// https://learn.microsoft.com/azure/app-service/overview-managed-identity
// https://learn.microsoft.com/azure/container-apps/environment-variables#built-in-environment-variables
func appWithoutIdentity(m Machine) string {
	variable, platform := appPlatform(m)
	switch {
	case variable == "" || m.has(EnvEndpoint):
		return ""
	case m.has(EnvDisableMSI):
		return EnvEndpoint + " is not set. " + variable + " says that this is " + platform +
			", where " + EnvDisableMSI + " switches the token endpoint off"
	}
	return EnvEndpoint + " is not set. " + variable + " says that this is " + platform +
		", which sets it where the app has an identity: assign one"
}

// appPlatform is the variable that says that a platform for apps is this one, and which it is; both
// are "" elsewhere.
func appPlatform(m Machine) (variable, platform string) {
	switch {
	case m.has(EnvAppService):
		return EnvAppService, "App Service"
	case m.has(EnvContainerApp):
		return EnvContainerApp, "Container Apps"
	case m.has(EnvContainerJob):
		return EnvContainerJob, "Container Apps"
	}
	return "", ""
}
