package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

func token(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload) + "." +
		encode([]byte("signature"))
}

func TestVaultChecksToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	reader := commandlinetest.Identities(t)[1]
	other := identitytest.Identity{ClientID: "00000000-0000-4000-8000-000000000001",
		ObjectID: "00000000-0000-4000-8000-000000000002"}
	for _, test := range []struct {
		name   string
		change map[string]any // of the claims of a good token
		token  string         // instead of one with claims
		status int            // 200: the secret is read
		want   string         // in the one line that a user sees
	}{
		{name: "good", status: 200},
		{name: "IDs in another case", change: map[string]any{"oid": strings.ToUpper(reader.ObjectID)},
			status: 200},
		{name: "expired", change: map[string]any{"exp": now.Add(-time.Second).Unix()}, status: 401,
			want: "[TokenExpired]"},
		{name: "without expiry", change: map[string]any{"exp": nil}, status: 401, want: "[TokenExpired]"},
		{name: "not yet valid", change: map[string]any{"nbf": now.Add(time.Hour).Unix()}, status: 401,
			want: "not yet valid"},
		{name: "audience of Resource Manager",
			change: map[string]any{"aud": "https://management.azure.com/"}, status: 401,
			want: "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com/."},
		{name: "audience with a slash", change: map[string]any{"aud": "https://vault.azure.net/"},
			status: 401, want: "AKV10022"},
		{name: "without audience", change: map[string]any{"aud": nil}, status: 401, want: "AKV10022"},
		{name: "expiry in words", change: map[string]any{"exp": "tomorrow"}, status: 401,
			want: "not a JWT"},
		{name: "not a JWT", token: "opaque", status: 401, want: "not a JWT"},
		{name: "not base64", token: "a.!.c", status: 401, want: "not a JWT"},
		{name: "unknown identity", change: map[string]any{"oid": other.ObjectID, "appid": other.ClientID},
			status: 403,
			want: "Caller is not authorized to perform action on resource. Caller: appid=" + other.ClientID +
				";oid=" + other.ObjectID},
		{name: "one's object ID with another's client ID",
			change: map[string]any{"appid": commandlinetest.Identities(t)[0].ClientID}, status: 403, want: "not authorized"},
		{name: "no identity", change: map[string]any{"oid": nil, "appid": nil}, status: 403,
			want: "not authorized"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := startVault(t, "example.vault.azure.net")
			claims := map[string]any{
				"aud": "https://vault.azure.net", "iss": "https://sts.windows.net/" + reader.TenantID + "/",
				"nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
				"oid": reader.ObjectID, "appid": reader.ClientID,
			}
			maps.Copy(claims, test.change)
			credential := &bearer{token: test.token}
			if test.token == "" {
				credential.token = token(t, claims)
			}
			value, err := getSecret(t, v, credential, "database-password")
			if test.status == 200 {
				if err != nil || value != "a secret's value" {
					t.Fatalf("got %q, %v, want the secret's value", value, err)
				}
				got, want := v.Counted(), standins.VaultCount{
					Requests: 2, Challenges: 1, Reads: 1, Readers: []identitytest.Identity{reader},
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("the vault counted %+v, want %+v", got, want)
				}
				return
			}
			refused, ok := errors.AsType[*azcore.ResponseError](err)
			if !ok || refused.StatusCode != test.status {
				t.Fatalf("got %v, want a refusal with status %d", err, test.status)
			}
			line := config{}.explain(err)
			if !strings.Contains(line, test.want) || strings.ContainsAny(line, "\r\n") {
				t.Errorf("explained as %q, want one line with %q", line, test.want)
			}
			if strings.Contains(line, credential.token) {
				t.Errorf("explained as %q, which shows the token", line)
			}
			if reads := v.Counted().Reads; reads != 0 {
				t.Errorf("the vault counted %d reads, want none", reads)
			}
		})
	}
}

// TestVaultForUser: a user's token says which application asked for it, and any may.
func TestVaultForUser(t *testing.T) {
	t.Parallel()
	user := identitytest.Identity{ObjectID: "00000000-0000-4000-8000-000000000003",
		TenantID: commandlinetest.Identities(t)[0].TenantID}
	for _, test := range []struct {
		name     string
		objectID any
		status   int
	}{
		{"the user", user.ObjectID, 200},
		{"another", "00000000-0000-4000-8000-000000000004", 403},
		{"nobody", nil, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := startVaultFor(t, "example.vault.azure.net", []identitytest.Identity{user})
			credential := &bearer{token: token(t, map[string]any{
				"aud": "https://vault.azure.net", "exp": time.Now().Add(time.Hour).Unix(), "oid": test.objectID,
				"appid": "00000000-0000-4000-8000-000000000005",
			})}
			_, err := getSecret(t, v, credential, "database-password")
			status := 200
			if refused, ok := errors.AsType[*azcore.ResponseError](err); ok {
				status = refused.StatusCode
			} else if err != nil {
				t.Fatal(err)
			}
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
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
	credential := &bearer{token: token(t, map[string]any{
		"aud": "https://vault.azure.net", "exp": time.Now().Add(time.Hour).Unix(), "oid": reader.ObjectID,
		"appid": reader.ClientID,
	})}
	_, err := getSecret(t, v, credential, "nothing")
	want := "https://example.vault.azure.net/secrets/nothing answers 404 Not Found SecretNotFound: A secret with (name/id) nothing was not found in this key vault."
	if err == nil || (config{}).explain(err) != want {
		t.Errorf("explained as\n got %v\nwant %s", err, want)
	}
	asked := []policy.TokenRequestOptions{{
		Scopes: []string{"https://vault.azure.net/.default"}, TenantID: reader.TenantID, EnableCAE: true,
	}}
	if !reflect.DeepEqual(credential.asked, asked) {
		t.Errorf("the credential was asked for %+v, want %+v, the challenge's resource and tenant",
			credential.asked, asked)
	}
}
