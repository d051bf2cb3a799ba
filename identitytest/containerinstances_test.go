package identitytest

import (
	"strings"
	"testing"
)

func TestContainerInstancesEnv(t *testing.T) {
	t.Parallel()
	env := inMemory(NewContainerInstances(nil))
	if endpoint := env("IDENTITY_ENDPOINT"); !strings.HasPrefix(endpoint, "http://") ||
		!strings.HasSuffix(endpoint, "/metadata/identity/oauth2/token?api-version=1.0") {
		t.Errorf("IDENTITY_ENDPOINT is %s", endpoint)
	}
	if got := env("IDENTITY_SERVER_THUMBPRINT"); len(got) != 40 ||
		strings.Trim(got, "0123456789ABCDEF") != "" {
		t.Errorf("IDENTITY_SERVER_THUMBPRINT is %q, want 40 hexadecimal digits", got)
	}
}
