package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// bearer is a credential that gives a token of the test's making.
type bearer struct {
	token string
	asked []policy.TokenRequestOptions
}

func (b *bearer) GetToken(
	_ context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	b.asked = append(b.asked, options)
	return azcore.AccessToken{Token: b.token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func startVault(t *testing.T, name string) *standins.Vault {
	t.Helper()
	return startVaultFor(t, name, commandlinetest.Identities(t))
}

func startVaultFor(t *testing.T, name string, allowed []identitytest.Identity) *standins.Vault {
	t.Helper()
	v := standins.NewVault(name, allowed, map[string]string{"database-password": "a secret's value"})
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Stop)
	return v
}

// getSecret is what the SDK's client makes of the vault.
func getSecret(
	t *testing.T, v *standins.Vault, credential azcore.TokenCredential, name string,
) (string, error) {
	t.Helper()
	client, err := azsecrets.NewClient(v.URL(), credential, &azsecrets.ClientOptions{
		ClientOptions: policy.ClientOptions{Transport: v.Client,
			Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.GetSecret(t.Context(), name, "", nil)
	if err != nil {
		return "", err
	}
	if id := string(*response.ID); id != v.URL()+"/secrets/"+name+"/0123456789abcdef0123456789abcdef" {
		t.Errorf("secret's ID %q, want the vault's URL, the name and the version", id)
	}
	return *response.Value, nil
}

func TestVaultChecksToken(t *testing.T) {
	t.Parallel()
	now, hour := time.Now(), time.Now().Add(time.Hour).Unix()
	reader := commandlinetest.Identities(t)[1]
	user := identitytest.Identity{ObjectID: "00000000-0000-4000-8000-000000000003",
		TenantID: reader.TenantID}
	const client = "00000000-0000-4000-8000-000000000001"
	const object = "00000000-0000-4000-8000-000000000002"
	type claims map[string]any
	for name, test := range map[string]struct {
		change claims // of those of a good token
		token  string // instead of one with claims
		status int    // 200: the secret is read
		want   string // in the one line that a user sees
	}{
		"good":                {status: 200},
		"IDs in another case": {change: claims{"oid": strings.ToUpper(reader.ObjectID)}, status: 200},
		"expired":             {claims{"exp": now.Add(-time.Second).Unix()}, "", 401, "[TokenExpired]"},
		"without expiry":      {claims{"exp": nil}, "", 401, "[TokenExpired]"},
		"not yet valid":       {claims{"nbf": hour}, "", 401, "not yet valid"},
		"audience of Resource Manager": {claims{"aud": "https://management.azure.com/"}, "", 401,
			"AKV10022: Invalid audience. Expected https://vault.azure.net, found: " +
				"https://management.azure.com/."},
		"audience with a slash": {claims{"aud": "https://vault.azure.net/"}, "", 401, "AKV10022"},
		"without audience":      {claims{"aud": nil}, "", 401, "AKV10022"},
		"expiry in words":       {claims{"exp": "tomorrow"}, "", 401, "not a JWT"},
		"not a JWT":             {nil, "opaque", 401, "not a JWT"},
		"not base64":            {nil, "a.!.c", 401, "not a JWT"},
		"unknown identity": {claims{"oid": object, "appid": client}, "", 403, "Caller is not " +
			"authorized to perform action on resource. Caller: appid=" + client + ";oid=" + object},
		"one's object ID with another's client ID": {
			claims{"appid": commandlinetest.Identities(t)[0].ClientID}, "", 403, "not authorized"},
		"no identity": {claims{"oid": nil, "appid": nil}, "", 403, "not authorized"},
		// a user's token says which application asked for it, and any may
		"a user, by any application": {change: claims{"oid": user.ObjectID, "appid": client},
			status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := startVaultFor(t, "example.vault.azure.net", []identitytest.Identity{reader, user})
			credential := &bearer{token: test.token}
			if test.token == "" {
				all := claims{"aud": "https://vault.azure.net", "nbf": now.Add(-5 * time.Minute).Unix(),
					"iss": "https://sts.windows.net/" + reader.TenantID + "/", "exp": hour,
					"oid": reader.ObjectID, "appid": reader.ClientID}
				maps.Copy(all, test.change)
				credential.token = commandlinetest.JWTOf(t, all)
			}
			value, err := getSecret(t, v, credential, "database-password")
			if test.status == 200 {
				got := v.Counted()
				if err != nil || value != "a secret's value" || got.Reads != 1 || len(got.Readers) != 1 {
					t.Fatalf("got %q, %v, want the secret's value; the vault counted %+v", value, err, got)
				}
				return
			}
			refused, ok := errors.AsType[*azcore.ResponseError](err)
			if !ok || refused.StatusCode != test.status {
				t.Fatalf("got %v, want a refusal with status %d", err, test.status)
			}
			line := config{}.explain(err)
			if !strings.Contains(line, test.want) || strings.ContainsAny(line, "\r\n") ||
				strings.Contains(line, credential.token) {
				t.Errorf("explained as %q, want one line with %q, and no token", line, test.want)
			}
			if reads := v.Counted().Reads; reads != 0 {
				t.Errorf("the vault counted %d reads, want none", reads)
			}
		})
	}
}

// TestVaultChallenge has the words of a real vault's answer to a request without a token.
func TestVaultChallenge(t *testing.T) {
	t.Parallel()
	v := startVault(t, "example.vault.azure.net")
	resp, err := v.Client.Get(v.URL() + "/secrets/database-password?api-version=7.6")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
	want := `Bearer authorization="https://login.microsoftonline.com/` +
		commandlinetest.Identities(t)[0].TenantID + `", resource="https://vault.azure.net"`
	if got := resp.Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("challenge\n got %s\nwant %s", got, want)
	}
	want = `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}`
	if got := strings.TrimSpace(string(body)); got != want {
		t.Errorf("body\n got %s\nwant %s", got, want)
	}
}

// TestChallengeIsVerified shows that the example leaves the SDK's check on: a vault of another
// domain can't have a token for Key Vault by asking for it.
func TestChallengeIsVerified(t *testing.T) {
	t.Parallel()
	v := startVault(t, "example.invalid")
	credential := &bearer{}
	_, err := getSecret(t, v, credential, "database-password")
	if err == nil || !strings.Contains(err.Error(), "doesn't match the requested domain") {
		t.Errorf("got %v, want the refusal of a challenge for another domain", err)
	}
	if len(credential.asked) != 0 {
		t.Errorf("the credential was asked for %+v, want no token to be asked for", credential.asked)
	}
}

func TestVaultWithoutSecret(t *testing.T) {
	t.Parallel()
	v := startVault(t, "example.vault.azure.net")
	reader := commandlinetest.Identities(t)[0]
	credential := &bearer{token: commandlinetest.JWTOf(t, map[string]any{
		"aud": "https://vault.azure.net", "exp": time.Now().Add(time.Hour).Unix(), "oid": reader.ObjectID,
		"appid": reader.ClientID,
	})}
	_, err := getSecret(t, v, credential, "nothing")
	const want = "https://example.vault.azure.net/secrets/nothing answers 404 Not Found " +
		"SecretNotFound: A secret with (name/id) nothing was not found in this key vault."
	if err == nil || (config{}).explain(err) != want {
		t.Errorf("explained as\n got %v\nwant %s", err, want)
	}
	asked := []policy.TokenRequestOptions{{Scopes: []string{"https://vault.azure.net/.default"},
		TenantID: reader.TenantID, EnableCAE: true}}
	if !reflect.DeepEqual(credential.asked, asked) {
		t.Errorf("the credential was asked for %+v, want %+v, the challenge's resource and tenant",
			credential.asked, asked)
	}
}
