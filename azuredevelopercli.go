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
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
)

// AzureDeveloperCLICredentialOptions are the optional settings of [NewAzureDeveloperCLICredential].
// The zero value is ready to use.
type AzureDeveloperCLICredentialOptions struct {
	// TenantID is the tenant to get tokens of: a GUID or a domain name. "" means the one that a
	// resource asks for, as Key Vault's clients do; for want of one, that of the subscription in
	// the variable AZURE_SUBSCRIPTION_ID; and then the account's own. The environment of an azd
	// project has no part in it: azd looks for that in its working directory, and is run in the
	// system's own, where nobody else can put a file.
	// https://github.com/Azure/azure-dev/issues/4293
	TenantID string

	// AdditionallyAllowedTenants are the tenants beside TenantID that a resource may ask for; "*"
	// allows any. Without both, TenantID and these, any is allowed.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of azd may take before it is ended, up to an hour. 0 means
	// as long as the caller's context lets it, but for a minute if that has no deadline or ends
	// sooner, and for 10 minutes at most. A caller whose context ends leaves with the context's
	// error; the run goes on, and whoever comes next has its token.
	ProcessTimeout time.Duration

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first
	// failed try of a renewal that nobody waits for), without any secret. nil is silent.
	Logger *slog.Logger
}

// AzureDeveloperCLICredential authenticates as the developer who is logged in with the Azure
// Developer CLI, azd. It is for laptops: on Azure use [NewCredential], for both
// [NewDefaultCredential]. It is safe for concurrent use.
type AzureDeveloperCLICredential struct{ cached }

var _ azcore.TokenCredential = (*AzureDeveloperCLICredential)(nil)

// NewAzureDeveloperCLICredential makes a credential of the Azure Developer CLI's login. nil options
// mean the tenant of AZURE_SUBSCRIPTION_ID, or the account's own. It runs nothing; what is wrong
// with the options is an error here, one that names the field.
func NewAzureDeveloperCLICredential(
	options *AzureDeveloperCLICredentialOptions,
) (*AzureDeveloperCLICredential, error) {
	return newAzureDeveloperCLI(processShared, options, processEnvironment())
}

func newAzureDeveloperCLI(
	shared *shared, options *AzureDeveloperCLICredentialOptions, env environment,
) (*AzureDeveloperCLICredential, error) {
	if options == nil {
		options = &AzureDeveloperCLICredentialOptions{}
	}
	return azureDeveloperCLIWith(shared, env, &toolSource{
		tool:    azureDeveloperCLI,
		options: "AzureDeveloperCLICredentialOptions",
		tenants: tenants{options.TenantID, options.AdditionallyAllowedTenants},
		timeout: options.ProcessTimeout,
		log:     options.Logger,
	})
}

func azureDeveloperCLIWith(
	shared *shared, env environment, s *toolSource,
) (*AzureDeveloperCLICredential, error) {
	c := &AzureDeveloperCLICredential{}
	if err := newToolSource(&c.cached, shared, env, s); err != nil {
		return nil, err
	}
	return c, nil
}

// chainLink implements ownSource.
func (c *AzureDeveloperCLICredential) chainLink() link {
	return link{name: azureDeveloperCLI.name, source: c, whole: true}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it.
//
// Without a held token it runs `azd auth token`, once for all callers, and only one at a time in
// this process. It blocks for a second or two, 12 s have been seen, and until ctx ends. If azd
// hangs, or other runs of it before, that is for a minute, or until ctx's deadline where that is
// later, for 10 minutes at most; ProcessTimeout in the options is another time for a run. A caller
// whose ctx ends leaves, and the run goes on: its token is held for the next call. A run whose time
// is over is asked to end (SIGTERM), and killed if it is still there after 3 s; on Windows azd is
// left alone, and its output is not waited for.
//
// Tokens are held and renewed as those of [Credential.GetToken], so that `azd auth login` as
// somebody else shows in a running process once the held token is renewed, in half an hour or so.
// The constructor decides which azd that is, and whose: it finds it on PATH, and keeps the values
// of HOME (USERPROFILE on Windows), AZD_CONFIG_DIR, AZD_AUTH_ENDPOINT and AZURE_SUBSCRIPTION_ID for
// all of its runs. azd is not run by a shell, save on Windows; what is passed to it has only
// letters, digits and . _ : / -, and + and = in the base64 of claims. It has no input and no
// terminal.
//
// The claims of a challenge are passed on, at most once in 30 s, and azd keeps them for the next
// login: without a token that meets them the error has the command to run. An azd that is not
// installed, and one that nobody is logged in with, are errors in which errors.Is finds
// [ErrUnavailable]; no other failure of azd's is.
//
// https://learn.microsoft.com/azure/developer/azure-developer-cli/reference#azd-auth-token
func (c *AzureDeveloperCLICredential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.hit(&options); held != nil {
		return *held, nil
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
	arguments: func(s *toolSource, r tokencache.Request) []string {
		arguments := []string{"auth", "token", "-o", "json", "--no-prompt", "--scope",
			r.Resource + defaultSuffix}
		if tenant := cmp.Or(r.Tenant, s.tenants.own); tenant != "" {
			arguments = append(arguments, "--tenant-id", tenant)
		}
		if r.Claims != "" {
			arguments = append(arguments, "--claims", base64.StdEncoding.EncodeToString([]byte(r.Claims)))
		}
		return arguments
	},
	parse:     parseAzureDeveloperCLI,
	complaint: azdComplaint,
	asks:      complaint.Asking("azd auth login"),
	loggedOut: func(c complaint.Complaint) string {
		switch {
		case strings.Contains(c.Reason, azLoggedOut),
			strings.Contains(c.Reason, "Azure CLI not found on path"):
			return "az login" // azd config set auth.useAzCliAuth true
		// azd wraps any failure of these so
		case containsAny(c.Reason, "loading secret:", "failed to create credential:"):
		case containsAny(c.Reason, "not logged in, run `azd auth login`",
			"not logged in, run `azd login`"):
			return "azd auth login"
		}
		return ""
	},
	claims: true,
}

// parseAzureDeveloperCLI reads what `azd auth token -o json` prints.
func parseAzureDeveloperCLI(stdout []byte, now time.Time) (printed, error) {
	var out struct {
		Token     string     `json:"token"`
		ExpiresOn token.Text `json:"expiresOn"`
	}
	if err := json.Unmarshal(objectWith(stdout, "token"), &out); err != nil {
		return printed{}, errors.New("azd printed no JSON object with a token")
	}
	if err := token.Check(out.Token, "", "token"); err != nil {
		return printed{}, err
	}
	got := printed{Token: token.Token{Value: out.Token}}
	end, err := time.Parse(time.RFC3339, string(out.ExpiresOn))
	if err != nil {
		return printed{}, errors.New("azd doesn't say when the token expires: expiresOn is absent or " +
			"unreadable")
	}
	err = got.Until(end, now)
	return got, err
}

// azdComplaint finds the message among the lines of JSON that azd prints with -o json:
//
//	{"type":"consoleMessage","timestamp":"…","data":{"message":"\nERROR: fetching token: …\n"}}
//	{"error":"fetching token: …","message":"Authentication with Azure failed.","suggestion":"Run 'azd auth login' to sign in again."}
//
// The second is of versions since 2026; before it comes an empty message.
func azdComplaint(stderr string) (reason, advice string) {
	first := ""
	var all strings.Builder
	for line := range strings.Lines(stderr) {
		var said struct {
			Error      string `json:"error"`
			Suggestion string `json:"suggestion"`
			Data       struct {
				Message string `json:"message"`
			} `json:"data"`
		}
		if json.Unmarshal([]byte(line), &said) != nil {
			continue
		}
		if said.Error != "" {
			return said.Error, said.Suggestion
		}
		message := strings.TrimSpace(said.Data.Message)
		if strings.HasPrefix(message, complaint.ErrorMark) && !strings.HasPrefix(first, complaint.ErrorMark) {
			first = message
		}
		first = cmp.Or(first, message)
		all.WriteString(message + "\n")
	}
	return cmp.Or(first, strings.TrimSpace(stderr)), all.String()
}
