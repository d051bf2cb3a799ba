package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// claims are a token's that matter here.
type claims map[string]string

// jwt is a token with those claims, and an opaque one without any.
func (c claims) jwt() string {
	if c == nil {
		return "opaque-canary"
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(payload) + ".canary"
}

const (
	resources = "/subscriptions/s/resourcegroups/g/providers/"
	ordersID  = resources + "Microsoft.ManagedIdentity/userAssignedIdentities/orders"
	dbScope   = "https://ossrdbms-aad.database.windows.net/.default"
)

// roleTests are what tokens say, and what becomes of it.
var roleTests = []struct {
	name             string
	database, manage claims
	scope            string // of the database, if not the public cloud's
	want             string // the user
	says             string // in the error
	asks             string // the other scope, if it is asked for
}{
	{name: "a user-assigned identity", database: claims{"oid": "1", "xms_mirid": ordersID},
		want: "orders"},
	{name: "a person", database: claims{"oid": "1", "upn": "ada@example.com"},
		want: "ada@example.com"},
	{name: "a guest", database: claims{"oid": "1", "unique_name": "live.com#ada@example.com"},
		want: "live.com#ada@example.com"},
	{name: "only the other token names it", database: claims{"oid": "1"},
		manage: claims{"oid": "1", "xms_mirid": ordersID}, want: "orders", asks: public},
	{name: "an opaque token for the database", manage: claims{"oid": "1", "xms_mirid": ordersID},
		want: "orders", asks: public},
	{name: "the other token of US Government", database: claims{"oid": "1"},
		manage: claims{"oid": "1", "preferred_username": "ada@example.us"},
		scope:  services[1].scope, want: "ada@example.us", asks: usGov},
	{name: "the other token of China", database: claims{"oid": "1"},
		manage: claims{"oid": "1", "upn": "ada@example.cn"},
		scope:  services[2].scope, want: "ada@example.cn", asks: china},
	{name: "system-assigned, of a VM",
		database: claims{"oid": "1", "xms_mirid": resources + "Microsoft.Compute/virtualMachines/vm1"},
		manage:   claims{"oid": "1", "xms_mirid": resources + "Microsoft.Compute/virtualMachines/vm1"},
		says: "name none: set the user in the connection string to the role that was made for object " +
			`ID 1; a system-assigned identity's is usually named as its resource, "vm1"`, asks: public},
	{name: "system-assigned, of a slot", database: claims{"oid": "1"},
		manage: claims{"oid": "1", "xms_mirid": resources + "Microsoft.Web/sites/app/slots/next"},
		says:   `as its resource, "app/slots/next"`, asks: public},
	{name: "an application", database: claims{"oid": "1", "appid": "2"},
		manage: claims{"oid": "1", "appid": "2"}, says: "for object ID 1", asks: public},
	{name: "two identities", database: claims{"oid": "1"},
		manage: claims{"oid": "2", "xms_mirid": ordersID},
		says:   "two identities': 1 for " + dbScope + ", and 2 for " + public, asks: public},
	{name: "no other token", database: claims{"oid": "1"}, manage: claims{"fails": "yes"},
		says: "Looking in another token: refused", asks: public},
	{name: "a scope of one's own", database: claims{"oid": "1"}, scope: "api://db/.default",
		says: "the token for api://db/.default names none: set the user in the connection string to " +
			"the role that was made for object ID 1"},
	{name: "a scope of one's own, and a name", scope: "api://db/.default",
		database: claims{"oid": "1", "upn": "ada@example.com"}, want: "ada@example.com"},
}

// TestRole: the user of the tokens, which are asked for in this order.
func TestRole(t *testing.T) {
	t.Parallel()
	for _, test := range roleTests {
		scope := dbScope
		if test.scope != "" {
			scope = test.scope
		}
		var asked []string
		c := Client{Package: "test", Scope: scope, Credential: pgtest.CredentialFunc(func(
			_ context.Context, o policy.TokenRequestOptions,
		) (azcore.AccessToken, error) {
			asked = append(asked, o.Scopes...)
			is := test.database
			if o.Scopes[0] != scope {
				is = test.manage
			}
			if is["fails"] != "" {
				return azcore.AccessToken{}, errors.New("refused")
			}
			return azcore.AccessToken{Token: is.jwt(), ExpiresOn: time.Now().Add(time.Hour)}, nil
		})}
		user, token, err := c.Login(t.Context(), Attempt{
			Servers: []Server{{Host: "db", TLS: true}}, User: "root",
			OSUser: func() string { return "root" },
		})
		if wants := slices.DeleteFunc([]string{scope, test.asks},
			func(s string) bool { return s == "" }); !slices.Equal(asked, wants) {
			t.Errorf("%s: asked for %q, want %q", test.name, asked, wants)
		}
		if user != test.want {
			t.Errorf("%s: user %q, want %q", test.name, user, test.want)
		}
		checkRole(t, test.name, token, test.database.jwt(), test.says, err)
	}
}

// checkRole: either there is the database's token, or an error without one.
func checkRole(t *testing.T, name, token, want, says string, err error) {
	t.Helper()
	if says == "" {
		if err != nil || token != want {
			t.Errorf("%s: token %q, error %v, want the database's token", name, token, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), says) || token != "" {
		t.Errorf("%s: token %q, error %v\nwant one that says %q", name, token, err, says)
		return
	}
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("%s: the error shows a token: %v", name, err)
	}
}
