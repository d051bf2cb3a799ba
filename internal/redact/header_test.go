package redact

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeadersOfSecretsAreHidden: a header is a field, too, whose name is known.
func TestHeadersOfSecretsAreHidden(t *testing.T) {
	t.Parallel()
	got := Header(http.Header{
		"Authorization": {"x", "Bearer y"}, "X-Ms-Token-Aad-Access-Token": {"x"},
		"X-Identity-Header": {"x"}, "Secret": {"x"}, "Server": {"Kestrel"},
		"Set-Cookie": {"access_token=x; Path=/"},
	}, nil)
	want := http.Header{
		"Authorization": {Mark, Mark}, "X-Ms-Token-Aad-Access-Token": {Mark},
		"X-Identity-Header": {Mark}, "Secret": {Mark}, "Server": {"Kestrel"},
		"Set-Cookie": {"access_token=REDACTED; Path=/"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
