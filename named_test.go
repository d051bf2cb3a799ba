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
	r, err := src.Call(acquire.Request{Resource: "https://vault.azure.net"})
	if err != nil {
		t.Fatal(err)
	}
	return r.URL
}

// TestEndpointQuerySelectsNothing: whoever sets an endpoint's variable says where the host is, not
// whom or what for it is asked, in whichever spelling a server may understand. What else the query
// has, such as a key to the endpoint, stays.
func TestEndpointQuerySelectsNothing(t *testing.T) {
	t.Parallel()
	const thumbprint = "0123456789ABCDEF0123456789abcdef01234567"
	hosts := []struct {
		name     string
		env      func(query string) environment
		selected ID // that the host can select by
	}{
		{"App Service", func(query string) environment {
			return environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token?" +
				query, envHeader: "s"})
		}, ObjectID(guid)},
		{"Service Fabric", func(query string) environment {
			return environmentOf(map[string]string{envEndpoint: "https://localhost:2377/metadata/identity/oauth2/token?" +
				query, envHeader: "s", envThumbprint: thumbprint})
		}, nil},
		{"Container Instances", func(query string) environment {
			return environmentOf(map[string]string{envEndpoint: "http://10.0.0.2:2377/metadata/identity/oauth2/token?" +
				query, envHeader: "s", envThumbprint: thumbprint})
		}, ObjectID(guid)},
		{"Azure ML", func(query string) environment {
			return environmentOf(map[string]string{envMSI: "http://localhost:46808/MSI/auth?" +
				query, envMSISecret: "s"})
		}, ClientID(guid)},
		{"Cloud Shell", func(query string) environment {
			return environmentOf(map[string]string{envMSI: "http://localhost:50342/oauth2/token?" +
				query})
		}, nil},
		{"Azure Arc", func(query string) environment {
			return environmentOf(map[string]string{envEndpoint: "http://localhost:40342/metadata/identity/oauth2/token?" +
				query, envIMDS: "http://localhost:40342"})
		}, ResourceID(identityID)},
	}
	const somebody = "somebody-else"
	queries := []string{
		"client_id=" + somebody, "Client_Id=" + somebody, "CLIENT_ID=" + somebody, "clientid=" + somebody, "clientId=" + somebody, "ClientID=" + somebody, "client-id=" + somebody,
		"client%5Fid=" + somebody, "%63lient_id=" + somebody, "client_id%20=" + somebody, "+client_id=" + somebody, "client_id%00=" + somebody, "client_id%5B%5D=" + somebody, "client.id=" + somebody,
		"clıent_id=" + somebody, "reſource=" + somebody, // letters whose capitals are I and S
		"Object_ID=" + somebody, "objectId=" + somebody, "PRINCIPALID=" + somebody, "Principal_Id=" + somebody, "principal-id=" + somebody,
		"Msi_Res_Id=" + somebody, "MI_RES_ID=" + somebody, "msi-res-id=" + somebody, "miResId=" + somebody,
		"client_id=x&client_id=" + somebody, "client_id=" + somebody + "&Client_Id=" + somebody + "&keep=2",
		"x=1;client_id=" + somebody, "client_id=" + somebody + ";x=1", // of which net/url takes nothing
		"resource=" + somebody, "Resource=" + somebody, "RESOURCE=" + somebody, "re%73ource=" + somebody,
		"authority=" + somebody, "Authority=" + somebody, "Bypass_Cache=" + somebody, "bypassCache=" + somebody,
		"XMS_CC=" + somebody, "xms-cc=" + somebody, "Token_Sha256_To_Refresh=" + somebody,
	}
	for _, host := range hosts {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			ids := []ID{nil}
			if host.selected != nil {
				ids = append(ids, host.selected)
			}
			for _, id := range ids {
				want := askedBy(t, host.env(""), id).Query()
				want.Set("keep", "e")
				for _, query := range queries {
					own := query + "&keep=e"
					if strings.Contains(query, "keep") {
						own = strings.Replace(query, "keep=2", "keep=e", 1)
					}
					if got := askedBy(t, host.env(own), id).RawQuery; got != want.Encode() {
						t.Errorf("ID %v, with ?%s: the query is %s, want %s", id, own, got,
							want.Encode())
					}
				}
			}
		})
	}
	t.Run("api-version", func(t *testing.T) { // ours where we send one
		t.Parallel()
		for _, host := range hosts {
			want := askedBy(t, host.env(""), nil).Query()
			// as on Cloud Shell, where the endpoint's own may be needed
			if want.Get("api-version") == "" {
				want.Set("Api-Version", "9")
			}
			if got := askedBy(t, host.env("Api-Version=9"), nil).RawQuery; got != want.Encode() {
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
