package identity

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// AzureDeveloperCLICredentialOptions are the optional settings of [NewAzureDeveloperCLICredential]. The zero value is ready to
// use.
type AzureDeveloperCLICredentialOptions struct {
	// TenantID is the tenant to get tokens of: a GUID or a domain name. "" means the one of azd's environment, or the one that
	// a resource asks for, as Key Vault's clients do.
	TenantID string

	// AdditionallyAllowedTenants are the tenants beside TenantID that a resource may ask for; "*" allows any. Without
	// both, TenantID and these, any is allowed.
	AdditionallyAllowedTenants []string

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first failed try of a renewal
	// that nobody waits for), without any secret. nil is silent.
	Logger *slog.Logger
}

// AzureDeveloperCLICredential authenticates as the developer who is logged in with the Azure Developer CLI, azd. It is for
// laptops: on Azure use [NewCredential], for both [NewDefaultCredential]. It is safe for concurrent use.
type AzureDeveloperCLICredential struct{ keeper }

var _ azcore.TokenCredential = (*AzureDeveloperCLICredential)(nil)

// NewAzureDeveloperCLICredential makes a credential of the Azure Developer CLI's login. nil options mean the tenant of azd's
// environment. It runs nothing; what is wrong with the options is an error here, one that names the field.
func NewAzureDeveloperCLICredential(options *AzureDeveloperCLICredentialOptions) (*AzureDeveloperCLICredential, error) {
	return newAzureDeveloperCLI(processRealm, options, processEnvironment())
}

func newAzureDeveloperCLI(shared *realm, options *AzureDeveloperCLICredentialOptions, env environment) (*AzureDeveloperCLICredential, error) {
	if options == nil {
		options = &AzureDeveloperCLICredentialOptions{}
	}
	c := &AzureDeveloperCLICredential{}
	err := newCLI(&c.keeper, shared, env, &cli{
		tool:    azureDeveloperCLI,
		options: "AzureDeveloperCLICredentialOptions",
		home:    options.TenantID,
		allowed: options.AdditionallyAllowedTenants,
		log:     options.Logger,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK clients call it.
//
// Without a held token it runs `azd auth token`, once for all callers, and only one at a time in this process. It blocks for a
// second or two, for 10 s if azd hangs, for a minute at most if other runs of it hang before, and until ctx ends. Tokens are held
// and renewed as those of [Credential.GetToken], so that `azd auth login` as somebody else shows in a running process once the
// held token is renewed, in half an hour or so. azd is found on PATH and not run by a shell, save on Windows; what is passed to it
// has only letters, digits and . _ : / -, and + and = in the base64 of claims.
//
// The claims of a challenge are passed on, at most once in 30 s, and azd keeps them for the next login: without a token that
// meets them the error has the command to run. An azd that is not installed, and one that nobody is logged in with, are errors
// in which errors.Is finds [ErrUnavailable].
//
// https://learn.microsoft.com/azure/developer/azure-developer-cli/reference#azd-auth-token
func (c *AzureDeveloperCLICredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if h := c.hit(&options); h != nil {
		return h.token, nil
	}
	return c.miss(ctx, options)
}

// azureDeveloperCLI is azd.
var azureDeveloperCLI = &tool{
	name:    "Azure Developer CLI",
	program: "azd",
	install: "https://learn.microsoft.com/azure/developer/azure-developer-cli/install-azd",
	login:   "azd auth login",
	tenant:  "--tenant-id",
	arguments: func(s *cli, a ask) []string {
		arguments := []string{"auth", "token", "-o", "json", "--no-prompt", "--scope", a.resource + defaultSuffix}
		if tenant := cmp.Or(a.tenant, s.home); tenant != "" {
			arguments = append(arguments, "--tenant-id", tenant)
		}
		if a.claims != "" {
			arguments = append(arguments, "--claims", base64.StdEncoding.EncodeToString([]byte(a.claims)))
		}
		return arguments
	},
	parse:     parseAzureDeveloperCLI,
	complaint: azdComplaint,
	loggedOut: func(complaint string) bool { return strings.Contains(strings.ToLower(complaint), "not logged in") },
	claims:    true,
}

// parseAzureDeveloperCLI reads what `azd auth token -o json` prints.
func parseAzureDeveloperCLI(stdout []byte, now time.Time) (printed, error) {
	var out struct {
		Token     string          `json:"token"`
		ExpiresOn json.RawMessage `json:"expiresOn"`
	}
	if err := json.Unmarshal(stdout, &out); err != nil {
		return printed{}, errors.New("azd printed no JSON object with a token")
	}
	if err := checkToken(out.Token, "", "token"); err != nil {
		return printed{}, err
	}
	got := printed{grant: grant{token: out.Token}}
	end, err := time.Parse(time.RFC3339, text(out.ExpiresOn))
	if err != nil {
		return printed{}, errors.New("azd doesn't say when the token expires: expiresOn is absent or unreadable")
	}
	err = got.until(end, now)
	return got, err
}

// azdComplaint finds the message among the lines of JSON that azd prints with -o json:
//
//	{"type":"consoleMessage","timestamp":"…","data":{"message":"\nERROR: fetching token: …\n"}}
//	{"error":"fetching token: …","message":"Authentication with Azure failed.","suggestion":"Run 'azd auth login' to sign in again."}
//
// The second is of versions since 2026; before it comes an empty message.
func azdComplaint(stderr string) string {
	first := ""
	for line := range strings.Lines(stderr) {
		var said struct {
			Error string `json:"error"`
			Data  struct {
				Message string `json:"message"`
			} `json:"data"`
		}
		if json.Unmarshal([]byte(line), &said) != nil {
			continue
		}
		if said.Error != "" {
			return said.Error
		}
		first = cmp.Or(first, strings.TrimSpace(said.Data.Message))
	}
	return cmp.Or(first, strings.TrimSpace(stderr))
}
