package redact

import (
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"testing"
)

// innocent are texts of az, azd, Entra and the hosts that say what is wrong and hold nothing to
// hide, some with the names of fields that often do. The IDs in them are made up.
var innocent = []string{
	"Traceback (most recent call last):\n  File \"/opt/az/lib/python3.12/site-packages/azure/cli/command_modules/profile/custom.py\", line 76, in get_access_token\n    creds, subscription, tenant = profile.get_raw_token(subscription=subscription, resource=resource, scopes=scopes, tenant=tenant)\n  File \"/opt/az/lib/python3.12/site-packages/azure/cli/core/_profile.py\", line 383, in get_raw_token\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /organizations/v2.0/.well-known/openid-configuration (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused'))",
	"  File \"/usr/lib/python3/dist-packages/msal/application.py\", line 1422, in acquire_token_silent_with_error\n    result = self._acquire_token_silent_from_cache_and_possibly_refresh_it(\n  File \"/usr/lib/python3/dist-packages/msal/token_cache.py\", line 120, in find\nPermissionError: [Errno 13] Permission denied: '/root/.azure/msal_token_cache.json'",
	"ERROR: User 'dev@contoso.example' does not exist in MSAL token cache. Run `az login`.",
	"ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login",
	"ERROR: Please run 'az login' to setup account.",
	"Interactive authentication is needed. Please run: az login --scope https://vault.azure.net/.default",
	"Run the command below to authenticate interactively; additional arguments may be added as needed:\naz logout\naz login --tenant \"77777777-2222-4333-8444-555555555555\" --scope \"https://graph.microsoft.com/.default\"",
	"az account get-access-token --resource https://vault.azure.net --output json",
	"ERROR: Winrt exception was thrown during GetTokenSilently '(pii)'.. Status: Response_Status.Status_Unexpected, Error code: -2147023584, Tag: 590996738",
	"Get Token request returned http error: 400, reason: Bad Request",
	"ERROR: fetching token: AADSTS50020: User account from identity provider does not exist in tenant",
	"ERROR: fetching token: failed to authenticate: not logged in, run `azd auth login` to login",
	`ERROR: fetching token: Get "https://login.microsoftonline.com/common/oauth2/v2.0/token": dial tcp: lookup login.microsoftonline.com: no such host`,
	"AADSTS900144: The request body must contain the following parameter: 'refresh_token'.",
	"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
	"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '77777777-2222-4333-8444-555555555555'.",
	"AADSTS7000222: The provided client secret keys for app '77777777-2222-4333-8444-555555555555' are expired.",
	"AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-01T00:00:00.0Z, assertion valid from 2026-01-01T00:00:00.0Z, expiry time of assertion 2026-01-01T00:00:00.0Z.",
	"AADSTS700027: Client assertion contains an invalid signature. [Reason - The key was not found., Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '77777777-2222-4333-8444-555555555555'.]",
	"AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:default:workload'. Please note that the match is case-sensitive.",
	"AADSTS700212: No matching federated identity record found for presented assertion audience 'api://AzureADTokenExchange'.",
	"AADSTS700016: Application with identifier '77777777-2222-4333-8444-555555555555' was not found in the directory 'Contoso'.",
	"AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '2026-01-01T00:00:00.0Z'.",
	"AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on 2026-01-01T00:00:00.0Z and the maximum allowed lifetime for this request is 3600.",
	"AADSTS500011: The resource principal named https://vault.azure.net/x was not found in the tenant named Contoso. Trace ID: 77777777-2222-4333-8444-555555555555",
	`{"error":"invalid_request","error_description":"Identity not found"}`,
	`{"error":"unsupported_grant_type","error_description":"grant_type=refresh_token is not supported"}`,
	`{"error":{"code":"InvalidAuthenticationToken","message":"The access token is invalid."}}`,
	"InvalidAuthenticationToken: The access token is invalid.",
	`{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.","correlationId":"77777777-2222-4333-8444-555555555555"}`,
	`{"statusCode":500,"message":"An unexpected error occured while fetching the AAD Token.","correlationId":"c"}`,
	`{"error":{"code":"SecretHeaderNotFound","message":"Secret is not found in the request headers."}}`,
	"Required metadata header not specified or not correct",
	"connecting to 169.254.169.254:80: connecting to 169.254.169.254:80: dial tcp 169.254.169.254:80: connectex: A socket operation was attempted to an unreachable network.",
	`Bearer authorization="https://login.microsoftonline.com/77777777-2222-4333-8444-555555555555", resource="https://vault.azure.net"`,
	`Bearer error="invalid_token", error_description="The token expired"`,
	"Basic realm=/var/opt/azcmagent/tokens/77777777-2222-4333-8444-555555555555.key",
	"open /var/run/secrets/azure/tokens/azure-identity-token: permission denied",
	"open C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\a.key: Access is denied.",
	"the token in /var/run/secrets/azure/tokens/azure-identity-token has expired",
	"token_type is \"pop\", want Bearer", "Bearer token was not found",
	"can't parse the token: it has 2 parts",
	`{"access_token":"","expires_in":0,"refresh_token":null}`,
	"GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net",
	"POST https://login.microsoftonline.com/common/oauth2/v2.0/token",
	"/subscriptions/77777777-2222-4333-8444-555555555555/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n",
	"fetching token: AzureCLICredential: ERROR: Please run 'az login' to setup account.",
	"can't get a token: DefaultAzureCredential failed to retrieve one",
	"fetching token: requests.exceptions.ConnectionError: offline",
	"invalid_token: the token has expired", `{"error":"invalid_token","Message":"it has expired"}`,
	"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
	"100% wrong & 5 < 6, isn't it? \\o/ C:\\temp\\new", "signature: ok", "tokens: 3",
	"a secret: nobody knows", "",
}

// recorded are the hosts' refusals in testdata.
func recorded(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("../../testdata/*/*.json")
	if err != nil || len(files) < 40 {
		tb.Fatalf("%d refusals, %v", len(files), err)
	}
	var bodies []string
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

func TestInnocentTextsStay(t *testing.T) {
	t.Parallel()
	for _, body := range recorded(t) {
		if got := Text(body, "the-secret-of-a-host"); got != body {
			t.Errorf("%s\nbecomes\n%s", body, got)
		}
	}
	for _, text := range innocent {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{text, string(quoted), html.EscapeString(text)} {
			if got := Text(text, "the-secret-of-a-host"); got != text {
				t.Errorf("%s\nbecomes\n%s", text, got)
			}
		}
	}
}
