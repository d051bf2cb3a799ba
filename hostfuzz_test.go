package identity

import (
	"fmt"
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
	// endpoint, header, thumbprint, imds, msi, secret, authority, file, client, tenant, entra, proxy,
	// agent, host
	f.Add("", "", "", "", "", "", "", "", "", "", "", "", false, "")
	f.Add("", "", "", "", "", "", "", "", "", "", "", "", false, "imds")
	// Container Apps
	f.Add("http://127.0.0.1:41564/msi/token", "1", "", "", "http://127.0.0.1:41564/msi/token", "1", "",
		"", "", "", "", "", false, "")
	f.Add("http://172.16.1.2:8081/msi/token?tenant=x", "1", "", "", "", "", "", "", "", "", "", "",
		false, "")
	f.Add(local, "1", "", "", "", "", "", "", "", "", "", "", false, "imds")
	// Azure ML, legacy App Service
	f.Add("", "", "", "", local, "1", "", "", "", "", "", "", false, "")
	// Cloud Shell
	f.Add("", "", "", "", "http://localhost:50342/oauth2/token", "", "", "", "", "", "", "", false,
		"moon")
	f.Add(fabric, "1", thumb, "", "", "", "", "", "", "", "", "", false, "")
	// Container Instances
	f.Add("", "1", thumb, "", "", "", "", "", "", "", "", "", false, "")
	// the same on Windows
	f.Add("http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0", "1", thumb, "", "",
		"", "", "", "", "", "", "", false, "")
	f.Add("HTTP://20.1.2.3:2377/", "1", thumb, "", "", "", "", "", "", "", "", "", false,
		"servicefabric")
	f.Add("http://localhost:2377/", "1", thumb+"x", "", "", "", "", "", "", "", "", "", false, "")
	f.Add(arcToken, "", "", "http://localhost:40342", "", "", "", "", "", "", "", "", false, "")
	f.Add(arcToken, "1", "", "http://localhost:40342", "", "", "", "", "", "", "", "", true, "arc")
	f.Add("", "", "", "", "", "", "", "", "", "", "", "", true, "")
	f.Add("", "", "", "", "", "", "http://127.0.0.1:8080", "", "", "", "", "", true, "")
	f.Add("", "", "", "", "", "", "", tokenFile, guid, otherTenant, entra, "", false, "")
	f.Add("", "", "", "", "", "", "", tokenFile, guid, "", "https://login.chinacloudapi.cn/", "",
		false, "workloadidentity")
	f.Add(local, "1", "", "", "", "", "", tokenFile, guid, "contoso.example",
		"https://login.microsoftonline.us", "https://10.0.0.1/a/", true, "")
	f.Add("http://user:password@h:99/%2e?q#f", "\r\n", "", "", "", "", "",
		"eyJhbGciOiJSUzI1NiIs.e30.s", guid, "../x", "http://h", "https://u@h", false, "")
	f.Add("http://a/b@c", "\x7f", "", "", "http://h/eyJhbGciOiJSUzI1NiIs", " ", "", "", "", "", "", "",
		false, "")
	// was repeated wholly
	f.Add("#0", "0", "", "", "", "", "", "", "", "", "", "", false, strings.Repeat("\x97", 2000))
	f.Add("", "", "", "", "", "", "", "", "", "", "", "", false, jwtOf("{}"))
	f.Add("", "", "", "", "", "", "http://u@[::1%25lo]:1/a//", "", "", "", "", "", false, "")
	f.Add("", "", "", "", "", "", "//[::%25\xae]", "", "", "", "", "", false, "")
	f.Fuzz(func(t *testing.T, endpoint, header, thumbprint, imds, msi, secret, authority, file, client,
		tenant, entra, proxy string, agent bool, host string) {
		const mark = "QJX7canaryVBK2"
		variables := map[string]string{
			envEndpoint: endpoint, envThumbprint: thumbprint, envIMDS: imds, envMSI: msi,
			envAuthority: authority,
			envTokenFile: file, envClientID: client, envTenantID: tenant, envAuthorityHost: entra,
			binding.EnvProxy: proxy,
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
			with := map[string]string{}
			for name, value := range variables {
				with[name] = value
			}
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
