package identity

import (
	"net/url"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
)

// askedBy is the URL that a host is asked at for a vault's token.
func askedBy(t *testing.T, env environment, id ID) *url.URL {
	t.Helper()
	src, _, err := newSource(env, settingsOf(&CredentialOptions{ID: id}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Call(t.Context(), acquire.Request{Resource: "https://vault.azure.net"})
	if err != nil {
		t.Fatal(err)
	}
	return r.URL
}

// namedByVariable are the hosts whose endpoint a variable names, at an endpoint of their scheme
// and with the scheme's rest of a URL.
var namedByVariable = []struct {
	name     string
	env      func(rest string) environment
	selected ID // that the host can select by
}{
	{"App Service", func(rest string) environment {
		return environmentOf(and(atAppService, envEndpoint, "http://"+rest))
	}, ObjectID(guid)},
	{"Service Fabric", func(rest string) environment {
		return environmentOf(and(atFabric, envEndpoint, "https://"+rest))
	}, nil},
	{"Container Instances", func(rest string) environment { return inGroup("http://" + rest) },
		ObjectID(guid)},
	{"Azure ML", func(rest string) environment { return msiEnvironment(envMSI, "http://"+rest) },
		ClientID(guid)},
	{"Cloud Shell", func(rest string) environment {
		return environmentOf(map[string]string{envMSI: "http://" + rest})
	}, nil},
	{"Azure Arc", func(rest string) environment {
		return environmentOf(map[string]string{envEndpoint: "http://" + rest, envIMDS: "x"})
	}, ResourceID(identityID)},
}

// TestEndpointStaysAsItIs: platforms differ in it, and nothing of it may be lost.
func TestEndpointStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, host := range namedByVariable {
		for _, rest := range []string{"127.0.0.1:41564/msi/token", "172.16.1.2:8081/msi/token",
			"localhost:42356/MSI/token", "localhost:4141/msi/token/", "localhost:4141",
			"[::1]:4141/msi/token", "localhost/metadata/identity/oauth2/token", "localhost/a%2Fb/token"} {
			got, _, _ := strings.Cut(askedBy(t, host.env(rest), nil).String(), "?")
			if _, got, _ = strings.Cut(got, "://"); got != rest {
				t.Errorf("%s: asked is %s, want %s", host.name, got, rest)
			}
		}
	}
	if u := askedBy(t, environmentOf(and(atFabric, envEndpoint, "HTTPS://localhost/t")),
		nil); u.Scheme != "https" {
		t.Errorf("a scheme in capitals becomes %s", u.Scheme)
	}
}

// TestEndpointQuerySelectsNothing: whoever sets an endpoint's variable says where the host is, not
// whom or what for it is asked, in whichever spelling a server may understand. What else the query
// has, such as a key to the endpoint, stays.
func TestEndpointQuerySelectsNothing(t *testing.T) {
	t.Parallel()
	const somebody = "somebody-else"
	queries := []string{
		"client_id=" + somebody, "Client_Id=" + somebody, "CLIENT_ID=" + somebody, "clientid=" + somebody,
		"clientId=" + somebody, "ClientID=" + somebody, "client-id=" + somebody,
		"client%5Fid=" + somebody, "%63lient_id=" + somebody, "client_id%20=" + somebody,
		"+client_id=" + somebody, "client_id%00=" + somebody, "client_id%5B%5D=" + somebody,
		"client.id=" + somebody,
		"clıent_id=" + somebody, "reſource=" + somebody, // letters whose capitals are I and S
		"Object_ID=" + somebody, "objectId=" + somebody, "PRINCIPALID=" + somebody,
		"Principal_Id=" + somebody, "principal-id=" + somebody,
		"Msi_Res_Id=" + somebody, "MI_RES_ID=" + somebody, "msi-res-id=" + somebody,
		"miResId=" + somebody,
		"client_id=x&client_id=" + somebody,
		"client_id=" + somebody + "&Client_Id=" + somebody + "&keep=2",
		"x=1;client_id=" + somebody, "client_id=" + somebody + ";x=1", // of which net/url takes nothing
		"resource=" + somebody, "Resource=" + somebody, "RESOURCE=" + somebody, "re%73ource=" + somebody,
		"authority=" + somebody, "Authority=" + somebody, "Bypass_Cache=" + somebody,
		"bypassCache=" + somebody,
		"XMS_CC=" + somebody, "xms-cc=" + somebody, "Token_Sha256_To_Refresh=" + somebody,
	}
	for _, host := range namedByVariable {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			ids := []ID{nil}
			if host.selected != nil {
				ids = append(ids, host.selected)
			}
			for _, id := range ids {
				want := askedBy(t, host.env("localhost:4141/token?"), id).Query()
				want.Set("keep", "e")
				for _, query := range queries {
					own := query + "&keep=e"
					if strings.Contains(query, "keep") {
						own = strings.Replace(query, "keep=2", "keep=e", 1)
					}
					if got := askedBy(t, host.env("localhost:4141/token?"+own),
						id).RawQuery; got != want.Encode() {
						t.Errorf("ID %v, with ?%s: the query is %s, want %s", id, own, got,
							want.Encode())
					}
				}
			}
		})
	}
	t.Run("api-version", func(t *testing.T) { // ours where we send one
		t.Parallel()
		for _, host := range namedByVariable {
			want := askedBy(t, host.env("localhost:4141/token?"), nil).Query()
			// as on Cloud Shell, where the endpoint's own may be needed
			if want.Get("api-version") == "" {
				want.Set("Api-Version", "9")
			}
			if got := askedBy(t, host.env("localhost:4141/token?Api-Version=9"),
				nil).RawQuery; got != want.Encode() {
				t.Errorf("%s: the query is %s, want %s", host.name, got, want.Encode())
			}
		}
	})
	t.Run("IMDS", func(t *testing.T) { // its variable names a base, which has no query
		t.Parallel()
		for _, query := range append(queries, "", "keep=e") {
			base := "http://127.0.0.1:8080/?" + query
			_, err := newCredential(&CredentialOptions{},
				environmentOf(map[string]string{envAuthority: base}))
			if u, parsed := url.Parse(base); parsed == nil && u.RawQuery == "" {
				continue
			}
			wantErrorText(t, err, envAuthority, "query")
		}
	})
}
