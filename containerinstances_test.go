package identity

import (
	"cmp"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
)

// inGroup are the variables of a Windows container.
func inGroup(endpoint string) environment {
	return environmentOf(and(inContainer, envEndpoint, endpoint))
}

// TestContainerInstancesEndpoints: the secret goes over plain http to this machine and to private
// addresses, and nowhere else. What isn't plain http is Service Fabric's, unless the host is named.
func TestContainerInstancesEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, want string }{ // want is "" where the endpoint is it
		{endpoint: groupEndpoint},
		// https://github.com/cisagov/ScubaConnect has these two, the second for containers in a
		// virtual network.
		{endpoint: "http://10.92.0.7:2377/metadata/identity/oauth2/token?api-version=1.0"},
		{endpoint: "http://169.254.128.1:2377/t?api-version=1.0"},
		{endpoint: "http://192.168.1.2/t"}, {endpoint: "http://172.31.255.255/t"},
		{endpoint: "http://100.64.0.1/t"}, // the shared address space
		{endpoint: "http://127.0.0.1/t"}, {endpoint: "http://LocalHost/t"},
		{endpoint: "http://[::1]/t"}, {endpoint: "http://[fd00::1]:2377/t"},
		{endpoint: "http://[fe80::1%25eth0]/t"}, {endpoint: "http://[::ffff:10.0.0.2]/t"},
		{endpoint: groupEndpoint + "&principalId=x&client_id=y", want: groupEndpoint},

		{endpoint: "http://20.1.2.3:2377/t?api-version=1.0",
			want: "is plain http, and neither a private address nor this machine"},
		{endpoint: "http://172.32.0.1/t", want: "is plain http"},
		{endpoint: "http://100.128.0.1/t", want: "is plain http"},
		{endpoint: "http://[2001:db8::1]/t", want: "is plain http"},
		{endpoint: "http://[::ffff:20.1.2.3]/t", want: "is plain http"},
		{endpoint: "http://identity.example/t", want: "is plain http"},
		{endpoint: "http://localhost.example/t", want: "is plain http"},
		{endpoint: "http://167772162/t", want: "is plain http"}, // 10.0.0.2 as a number
		{endpoint: "http://0.0.0.0/t", want: "is plain http"},
		{endpoint: groupEndpoint + "?code=pa55word",
			want: "its api-version has characters that no version has"},
	} {
		t.Run(tt.endpoint, func(t *testing.T) {
			t.Parallel()
			cred, err := newCredential(nil, inGroup(tt.endpoint))
			if strings.HasPrefix(tt.want, "i") {
				wantErrorText(t, err, "IDENTITY_ENDPOINT: "+tt.want,
					"want a URL such as http://10.0.0.2:2377/")
				if err != nil && strings.Contains(err.Error(), "pa55word") {
					t.Errorf("error repeats the value: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := cmp.Or(tt.want, tt.endpoint)
			if strings.Contains(want, "?") {
				want += "&resource=r"
			} else {
				want += "?resource=r"
			}
			r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"})
			if err != nil || r.URL.String() != want || cred.Host() != HostContainerInstances {
				t.Errorf("%s is asked by %v (%v), want %s", cred.Host(), r.URL, err, want)
			}
		})
	}
	t.Run("https, named", func(t *testing.T) {
		t.Parallel()
		cred, err := newCredential(&CredentialOptions{Host: HostContainerInstances},
			inGroup("https://identity.example/t?api-version=1.0"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: "r"}); err != nil ||
			r.URL.String() != "https://identity.example/t?api-version=1.0&resource=r" {
			t.Errorf("asked by %v (%v)", r.URL, err)
		}
	})
}
