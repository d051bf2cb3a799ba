package identity

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/binding"
)

// FuzzDetect: whatever the variables hold, there is one host, the truth table's; nothing that is
// shown of it has a secret or user info in it; and what the constructor passes can be asked.
func FuzzDetect(f *testing.F) {
	const (
		local     = "http://localhost:4141/msi/token"
		fabric    = "https://localhost:2377/metadata/identity/oauth2/token"
		arcToken  = "http://localhost:40342/metadata/identity/oauth2/token"
		tokenFile = "/var/run/secrets/azure/tokens/azure-identity-token"
		thumb     = "0123456789ABCDEF0123456789abcdef01234567"
		entra     = "https://login.microsoftonline.com/"
	)
	for _, s := range []struct {
		endpoint, header, thumb, imds, msi, secret, authority, file, client, tenant, entra, proxy string
		agent                                                                                     bool
		host                                                                                      string
	}{
		{}, {host: "imds"}, {agent: true},
		{endpoint: local, header: "1", msi: local, secret: "1"}, // Container Apps
		{endpoint: "http://172.16.1.2:8081/msi/token?tenant=x", header: "1"},
		{endpoint: local, header: "1", host: "imds"},
		{msi: local, secret: "1"},                                  // Azure ML, legacy App Service
		{msi: "http://localhost:50342/oauth2/token", host: "moon"}, // Cloud Shell
		{endpoint: fabric, header: "1", thumb: thumb}, {header: "1", thumb: thumb},
		{endpoint: "http://10.0.0.2:2377/x?api-version=1.0", header: "1", thumb: thumb},
		{endpoint: "HTTP://20.1.2.3:2377/", header: "1", thumb: thumb, host: "servicefabric"},
		{endpoint: "http://localhost:2377/", header: "1", thumb: thumb + "x"},
		{endpoint: arcToken, imds: "http://localhost:40342"},
		{endpoint: arcToken, header: "1", imds: "http://localhost:40342", agent: true, host: "arc"},
		{authority: "http://127.0.0.1:8080", agent: true},
		{authority: "http://u@[::1%25lo]:1/a//"}, {authority: "//[::%25\xae]"},
		{file: tokenFile, client: guid, tenant: otherTenant, entra: entra},
		{file: tokenFile, client: guid, entra: "https://login.chinacloudapi.cn/",
			host: "workloadidentity"},
		{endpoint: local, header: "1", file: tokenFile, client: guid, tenant: "contoso.example",
			entra: "https://login.microsoftonline.us", proxy: "https://10.0.0.1/a/", agent: true},
		{endpoint: "http://user:password@h:99/%2e?q#f", header: "\r\n", client: guid, tenant: "../x",
			file: "eyJhbGciOiJSUzI1NiIs.e30.s", entra: "http://h", proxy: "https://u@h"},
		{endpoint: "http://a/b@c", header: "\x7f", msi: "http://h/eyJhbGciOiJSUzI1NiIs", secret: " "},
		{endpoint: "#0", header: "0", host: strings.Repeat("\x97", 2000)}, {host: jwtOf("{}")},
	} {
		f.Add(s.endpoint, s.header, s.thumb, s.imds, s.msi, s.secret, s.authority, s.file, s.client,
			s.tenant, s.entra, s.proxy, s.agent, s.host)
	}
	f.Fuzz(func(t *testing.T, endpoint, header, thumbprint, imds, msi, secret, authority, file, client,
		tenant, entra, proxy string, agent bool, host string) {
		const mark = "QJX7canaryVBK2"
		variables := map[string]string{
			envEndpoint: endpoint, envThumbprint: thumbprint, envIMDS: imds, envMSI: msi,
			envAuthority: authority, envTokenFile: file, envClientID: client, envTenantID: tenant,
			envAuthorityHost: entra, binding.EnvProxy: proxy,
		}
		if strings.Contains(fmt.Sprint(variables, host), "QJX7") {
			t.Skip()
		}
		for name, value := range map[string]string{envHeader: header, envMSISecret: secret} {
			if value != "" {
				variables[name] = mark + value
			}
		}
		urls := []string{envEndpoint, envIMDS, envMSI, envAuthority, envAuthorityHost, binding.EnvProxy}
		checkDetection(t, variables, agent, host, mark)
		// The same with a password or a signature in each URL.
		for _, where := range []string{"://user:" + mark + "@", "?sig=" + mark, "#" + mark} {
			with := maps.Clone(variables)
			for _, name := range urls {
				if scheme, rest, ok := strings.Cut(with[name], "://"); !ok {
					continue
				} else if where[0] == ':' {
					with[name] = scheme + where + rest
				} else if !strings.ContainsAny(rest, "?#") { // in front of it is no path
					with[name] += where
				}
			}
			checkDetection(t, with, agent, host, mark)
		}
	})
}

func checkDetection(t *testing.T, variables map[string]string, agent bool, host, mark string) {
	t.Helper()
	env := environmentOf(variables)
	env.exists = func(string) bool { return agent }
	d := detectIn(env)
	d.Evidence = evidence(env)
	again := detectIn(env)
	if again.Evidence = evidence(env); !reflect.DeepEqual(d, again) {
		t.Fatalf("detected %+v and then %+v", d, again)
	}
	want, _ := expectedDetection(t, func(column string) bool {
		if column == "himds" { // which yields to a moved IMDS
			return agent && variables[envAuthority] == ""
		}
		return variables[column] != ""
	})
	if u, err := url.Parse(variables[envEndpoint]); want == HostServiceFabric && err == nil &&
		u.Scheme == "http" {
		want = HostContainerInstances
	}
	if d.Host != want || d.Reason == "" {
		t.Errorf("detected %+v, want %s", d, want)
	}
	texts := []string{d.Reason, d.Endpoint}
	for _, e := range d.Evidence {
		texts = append(texts, e.Name, e.Value)
		if value := variables[e.Name]; !e.File &&
			(e.Set != (value != "") || e.Withheld != (value != "" && e.Value == "")) {
			t.Errorf("%q is shown as %+v", value, e)
		}
	}
	for _, text := range texts {
		if strings.Contains(text, mark) || showsToken(text) ||
			strings.ContainsAny(text, "\r\n\u0085\u2028\u2029\x1b") {
			t.Errorf("%q is no line that can be shown", text)
		}
	}
	if u, err := url.Parse(d.Endpoint); strings.ContainsAny(d.Endpoint, "@?#") || err == nil &&
		d.Endpoint != "" && u.Host == "" {
		t.Errorf("endpoint %q is not just an address", d.Endpoint)
	}

	cred, err := newCredentialIn(newShared(), &CredentialOptions{Host: Host(host)}, env)
	if err != nil {
		wantErrorText(t, err)
		if strings.Contains(err.Error(), mark) || showsToken(err.Error()) || len(err.Error()) > 2500 {
			t.Errorf("error shows a secret, or a book: %v", err)
		}
		return
	}
	if shown := fmt.Sprintf("%+v", cred); strings.Contains(shown, mark) {
		t.Errorf("the credential shows a secret: %s", shown)
	}
	if host == "" && cred.Host() != want || host != "" && cred.Host() != Host(host) {
		t.Errorf("credential's host is %q, detected %q, asked for %q", cred.Host(), want, host)
	}
	if host == "" && cred.hosted.host.Endpoint() != d.Endpoint {
		t.Errorf("it asks %q, detected %q", cred.hosted.host.Endpoint(), d.Endpoint)
	}
	if cred.Host() == HostWorkloadIdentity { // which needs its file; FuzzRequest gives it one
		return
	}
	const resource = "https://vault.azure.net"
	r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: resource})
	if err != nil {
		t.Fatalf("constructor passed what the request refuses: %v", err)
	}
	asked := r.URL.Query().Get("resource")
	if r.Form != nil {
		asked = r.Form.Get("resource")
	}
	if r.URL.Host == "" || r.URL.User != nil || r.URL.Fragment != "" || asked != resource {
		t.Errorf("request goes to %q for %q", r.URL, asked)
	}
	if strings.Contains(r.URL.Host+r.URL.Path, mark) || r.Secret != "" &&
		!strings.HasPrefix(r.Secret, mark) {
		t.Errorf("the secret goes where it does not belong: %s", r.URL)
	}
}
