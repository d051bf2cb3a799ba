package detect

import "strings"

// Pipeline names the variable that says that this is a job of a pipeline, "" where none does. There
// the login of az and azd is the pipeline's and no developer's. Its machine may be one of Azure's
// all the same, and have no identity.
//
// https://docs.github.com/actions/reference/workflows-and-actions/variables
// https://learn.microsoft.com/azure/devops/pipelines/build/variables
func Pipeline(m Machine) string {
	for _, name := range []string{EnvGitHub, EnvPipelines} {
		if strings.EqualFold(m.Getenv(name), "true") {
			return name
		}
	}
	return ""
}

// InPipeline says what it means that one of Pipeline's variables is true.
func InPipeline(variable string) string {
	return variable +
		" is true, so that the login of az and azd is the pipeline's and no developer's"
}
