package identity

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
)

// groupEndpoint is where a Windows container is told to ask, as
// https://github.com/Azure/azure-sdk-for-net/issues/45547 has it.
const groupEndpoint = "http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0"

// inGroup are the variables of a Windows container.
func inGroup(endpoint string) environment {
	return environmentOf(map[string]string{
		"IDENTITY_ENDPOINT": endpoint, "IDENTITY_HEADER": "the-secret", "IDENTITY_SERVER_THUMBPRINT": "0123456789ABCDEF0123456789abcdef01234567",
	})
}

func TestContainerInstancesRequests(t *testing.T) {
	t.Parallel()
	const vault = "https://vault.azure.net"
	for _, tt := range []struct {
		name string
		id   ID
		want url.Values // by hand: what the golden file says must be this
	}{
		{"system", nil, url.Values{"api-version": {"1.0"}, "resource": {vault}}},
		{"object-id", ObjectID(guid), url.Values{"api-version": {"1.0"}, "resource": {vault}, "principalId": {guid}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, inGroup(groupEndpoint), tt.id)
			checkQuery(t, r, tt.want)
			if r.Method != "GET" ||
				r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != "http://10.0.0.2:2377/metadata/identity/oauth2/token" {
				t.Errorf("request is %s %s", r.Method, r.URL)
			}
			if diff := cmp.Diff([]string{"the-secret"}, r.Header["Secret"]); diff != "" {
				t.Errorf("Secret header (-want +got):\n%s", diff)
			}
			if strings.Contains(r.URL.String(), "the-secret") ||
				strings.Contains(r.UserAgent(), "the-secret") {
				t.Error("the secret is elsewhere in the request, too")
			}
			got := wireFormat(r, "the-secret")
			if strings.Contains(got, "the-secret") || !strings.Contains(got, "Secret: REDACTED\n") {
				t.Errorf("golden text is off:\n%s", got)
			}
			compareGolden(t, "containerinstances/"+tt.name+".golden", got)
		})
	}
}

// TestContainerInstancesEndpoints: the secret goes over plain http to this machine and to private
// addresses, and nowhere else. What isn't plain http is Service Fabric's, unless the host is named.
func TestContainerInstancesEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, endpoint string
		want           string // the request's URL, or what the error has in it
	}{
		{"as reported", groupEndpoint, "http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0&resource=r"},
		// https://github.com/cisagov/ScubaConnect has these two, the second for containers in a
		// virtual network.
		{"another private network", "http://10.92.0.7:2377/metadata/identity/oauth2/token?api-version=1.0", "http://10.92.0.7:2377/metadata/identity/oauth2/token?api-version=1.0&resource=r"},
		{"link-local", "http://169.254.128.1:2377/t?api-version=1.0", "http://169.254.128.1:2377/t?api-version=1.0&resource=r"},
		{"192.168", "http://192.168.1.2/t", "http://192.168.1.2/t?resource=r"},
		{"172.16", "http://172.31.255.255/t", "http://172.31.255.255/t?resource=r"},
		{"shared address space", "http://100.64.0.1/t", "http://100.64.0.1/t?resource=r"},
		{"loopback", "http://127.0.0.1/t", "http://127.0.0.1/t?resource=r"},
		{"localhost", "http://LocalHost/t", "http://LocalHost/t?resource=r"},
		{"IPv6 loopback", "http://[::1]/t", "http://[::1]/t?resource=r"},
		{"unique local", "http://[fd00::1]:2377/t", "http://[fd00::1]:2377/t?resource=r"},
		{"IPv6 link-local", "http://[fe80::1%25eth0]/t", "http://[fe80::1%25eth0]/t?resource=r"},
		{"IPv4 in IPv6", "http://[::ffff:10.0.0.2]/t", "http://[::ffff:10.0.0.2]/t?resource=r"},
		{"a selector of its own", groupEndpoint + "&principalId=x&client_id=y&keep=z", "http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0&keep=z&resource=r"},

		{"public", "http://20.1.2.3:2377/t?api-version=1.0", "IDENTITY_ENDPOINT: is plain http, and neither a private address nor this machine"},
		{"beside 172.16", "http://172.32.0.1/t", "IDENTITY_ENDPOINT: is plain http"},
		{"beside the shared address space", "http://100.128.0.1/t", "IDENTITY_ENDPOINT: is plain http"},
		{"IPv6", "http://[2001:db8::1]/t", "IDENTITY_ENDPOINT: is plain http"},
		{"IPv4 in IPv6, public", "http://[::ffff:20.1.2.3]/t", "IDENTITY_ENDPOINT: is plain http"},
		{"a name", "http://identity.example/t", "IDENTITY_ENDPOINT: is plain http"},
		{"a name like localhost", "http://localhost.example/t", "IDENTITY_ENDPOINT: is plain http"},
		{"a number", "http://167772162/t", "IDENTITY_ENDPOINT: is plain http"},
		{"unspecified", "http://0.0.0.0/t", "IDENTITY_ENDPOINT: is plain http"},
		{"a second query", groupEndpoint + "?code=pa55word", "IDENTITY_ENDPOINT: its api-version has characters that no version has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cred, err := newCredential(nil, inGroup(tt.endpoint))
			if strings.HasPrefix(tt.want, "IDENTITY_ENDPOINT") {
				wantErrorText(t, err, tt.want, ": want a URL such as http://10.0.0.2:2377/")
				if err != nil && strings.Contains(err.Error(), "pa55word") {
					t.Errorf("error repeats the value: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := cred.hosted.host.Call(acquire.Request{Resource: "r"})
			if err != nil || r.URL.String() != tt.want || cred.Host() != HostContainerInstances {
				t.Errorf("%s is asked by %v (%v), want %s", cred.Host(), r.URL, err, tt.want)
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
		if r, err := cred.hosted.host.Call(acquire.Request{Resource: "r"}); err != nil ||
			r.URL.String() != "https://identity.example/t?api-version=1.0&resource=r" {
			t.Errorf("asked by %v (%v)", r.URL, err)
		}
	})
	t.Run("moved to the internet after the start", func(t *testing.T) {
		t.Parallel()
		vars := &variables{values: variablesAt(identitytest.NewContainerInstances(nil),
			"http://10.0.0.2:2377")}
		var sent int
		cred := credentialAt(t, vars.environment(), transportFunc(func(*http.Request) (*http.Response, error) {
			sent++
			return respond(200, grantBody("opaque", time.Hour)), nil
		}))
		vars.set("IDENTITY_ENDPOINT", "http://20.1.2.3/t")
		e, _ := mustFail(t, cred)
		if sent != 0 || !strings.Contains(e.Error(), "neither a private address") {
			t.Errorf("%d requests were sent: %v", sent, e)
		}
	})
}

func TestContainerInstancesRefusals(t *testing.T) {
	t.Parallel()
	const (
		rest   = " (token for https://vault.azure.net, 1 attempt, 0s, correlation ID " + guid + ")"
		absent = `identity: Container Instances on Windows: 404 DefaultIdentityNotDefined "DefaultIdentityNotDefined"` +
			rest
	)
	kestrel := []string{"Server", "Kestrel", "Content-Type", "application/json; charset=utf-8",
		"x-ms-request-id", guid}
	for _, tt := range []refusal{
		{"no system-assigned identity", 404, "containerinstances/default-identity-not-defined.json", kestrel, nil,
			absent + ": has this container group a system-assigned identity? Set CredentialOptions.ID to the ObjectID of a user-assigned one", ErrIdentityNotFound, "DefaultIdentityNotDefined", "DefaultIdentityNotDefined", guid},
		{"object ID not assigned", 404, "containerinstances/default-identity-not-defined.json", kestrel, ObjectID(guid),
			absent + ": is object ID " + guid + " the principal ID of an identity that is assigned to this container group?", ErrIdentityNotFound, "DefaultIdentityNotDefined", "DefaultIdentityNotDefined", guid},
		{"another 404", 404, `{"error":{"code":"NotFound","message":"Not Found"}}`, kestrel, nil,
			`identity: Container Instances on Windows: 404 NotFound "Not Found"` + rest, nil, "NotFound", "Not Found", guid},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, inGroup(groupEndpoint)) })
	}
}
