package identitymetrics_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/integrations/metrics"
)

// mustNotShow looks for any part of a token in a reading.
func mustNotShow(t *testing.T, reading identitymetrics.Reading, token string) {
	t.Helper()
	shown := fmt.Sprintf("%+v", reading)
	for part := range strings.SplitSeq(token, ".") {
		if part != "" && strings.Contains(shown, part[:min(len(part), 8)]) {
			t.Errorf("a token is shown: %s", shown)
		}
	}
	if !strings.Contains(shown, "REDACTED") {
		t.Errorf("nothing was redacted: %s", shown)
	}
}

// TestLabels of each kind of credential, and of texts that aren't fit.
func TestLabels(t *testing.T) {
	t.Parallel()
	const entra = "https://login.microsoftonline.com/"
	for name, tt := range map[string]struct {
		status   identity.Status
		resource identity.ResourceStatus
		want     identitymetrics.Labels
	}{
		"a user-assigned identity": {
			identity.Status{Host: identity.HostIMDS, Identity: "client ID 1",
				Endpoint: "http://169.254.169.254/metadata/identity/oauth2/token"},
			identity.ResourceStatus{},
			identitymetrics.Labels{Host: "imds", Identity: "client ID 1"},
		},
		"a pod": {
			identity.Status{Host: identity.HostWorkloadIdentity,
				Endpoint: entra + "contoso/oauth2/v2.0/token"},
			identity.ResourceStatus{EnableCAE: true},
			identitymetrics.Labels{Host: "workloadidentity", Tenant: "contoso", CAE: true},
		},
		"a resource of another tenant": {
			identity.Status{Host: identity.HostWorkloadIdentity,
				Endpoint: entra + "contoso/oauth2/v2.0/token"},
			identity.ResourceStatus{TenantID: "fabrikam"},
			identitymetrics.Labels{Host: "workloadidentity", Tenant: "fabrikam"},
		},
		"an application": {
			identity.Status{Reason: "assertions of /var/run/token",
				Endpoint: entra + "contoso/oauth2/v2.0/token"},
			identity.ResourceStatus{},
			identitymetrics.Labels{Host: "entra", Tenant: "contoso"},
		},
		"another's endpoint": {
			identity.Status{Reason: "x", Endpoint: "https://example.com/a/b/oauth2/v2.0/token"},
			identity.ResourceStatus{},
			identitymetrics.Labels{Host: "entra"},
		},
		"a developer's tool": {
			identity.Status{Reason: "Azure CLI", Identity: "a signed-in user"},
			identity.ResourceStatus{},
			identitymetrics.Labels{Host: "Azure CLI", Identity: "a signed-in user"},
		},
		"no UTF-8": {
			identity.Status{Host: "a\xffb"},
			identity.ResourceStatus{Resource: "a\xff\xfeb", TenantID: "\xc3"},
			identitymetrics.Labels{Host: "a\uFFFDb", Resource: "a\uFFFDb", Tenant: "\uFFFD"},
		},
		"too long": {
			identity.Status{Host: "x"},
			identity.ResourceStatus{Resource: strings.Repeat("ä", 300),
				TenantID: strings.Repeat("ä", 200)},
			identitymetrics.Labels{Host: "x", Resource: strings.Repeat("ä", 199) + "…",
				Tenant: strings.Repeat("ä", 200)},
		},
		"a token": {
			identity.Status{Host: "x"},
			identity.ResourceStatus{Resource: "api://eyJhbGciOiJub25lIn0.e30."},
			identitymetrics.Labels{Host: "x", Resource: "REDACTED"},
		},
	} {
		tt.status.Resources = []identity.ResourceStatus{tt.resource}
		got := identitymetrics.NewSet(reporter{statuses: func() []identity.Status {
			return []identity.Status{tt.status}
		}}).Read().Series
		if len(got) != 1 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if diff := cmp.Diff(tt.want, got[0].Labels); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
}

// FuzzLabels: two resources are never two series with the same labels, and labels are UTF-8.
func FuzzLabels(f *testing.F) {
	f.Add("https://vault.azure.net", "https://vault.azure.net\xff", "", "client ID 1")
	f.Add("other", "other", "other", "")
	f.Fuzz(func(t *testing.T, one, two, host, id string) {
		s := identitymetrics.NewSet(reporter{statuses: func() []identity.Status {
			return []identity.Status{
				{Host: identity.Host(host), Identity: id,
					Resources: []identity.ResourceStatus{requests(one, 1), requests(two, 2)}},
				{Endpoint: host, Reason: id, Resources: []identity.ResourceStatus{requests(two, 1)}},
				{Resources: []identity.ResourceStatus{requests(identitymetrics.Other, 1)}},
			}
		}})
		seen := map[identitymetrics.Labels]bool{}
		for _, series := range s.Read().Series {
			l := series.Labels
			if seen[l] {
				t.Errorf("twice: %+v", l)
			}
			seen[l] = true
			for _, text := range []string{l.Host, l.Identity, l.Tenant, l.Resource} {
				if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 200 {
					t.Errorf("not fit for a label: %q", text)
				}
			}
		}
	})
}
