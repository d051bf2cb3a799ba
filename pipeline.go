package identity

import "strings"

// The variables that say that this is a job of GitHub Actions or of Azure Pipelines.
const (
	envGitHub    = "GITHUB_ACTIONS"
	envPipelines = "TF_BUILD"
)

// pipeline names the variable that says that this is a job of a pipeline, "" where none does. There
// the login of az and azd is the pipeline's and no developer's. Its machine may be one of Azure's
// all the same, and have no identity.
//
// https://docs.github.com/actions/reference/workflows-and-actions/variables
// https://learn.microsoft.com/azure/devops/pipelines/build/variables
func (env environment) pipeline() string {
	for _, name := range []string{envGitHub, envPipelines} {
		if strings.EqualFold(env.getenv(name), "true") {
			return name
		}
	}
	return ""
}

func inPipeline(variable string) string {
	return variable +
		" is true, so that the login of az and azd is the pipeline's and no developer's"
}
