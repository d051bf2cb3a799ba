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

// AzureCLICredentialOptions are the optional settings of [NewAzureCLICredential]. The zero value is
// ready to use.
type AzureCLICredentialOptions struct {
	// TenantID is the tenant to get tokens of: a GUID or a domain name. "" means the one that az has
	// selected, or the one that a resource asks for, as Key Vault's clients do.
	TenantID string

	// Subscription is the ID or the name of the subscription whose account and tenant are used, other
	// than the one that az has selected. It excludes TenantID, because az takes one of the two.
	Subscription string

	// AdditionallyAllowedTenants are the tenants beside TenantID that a resource may ask for; "*"
	// allows any. Without both, TenantID and these, any is allowed.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of az may take before it is ended, up to an hour. 0 means as
	// long as the caller's context lets it, but for a minute if that has no deadline or ends
	// sooner, and for 10 minutes at most. A caller whose context ends leaves with the context's
	// error; the run goes on, and whoever comes next has its token.
	ProcessTimeout time.Duration

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first
	// failed try of a renewal that nobody waits for), without any secret. nil is silent.
	Logger *slog.Logger
}

// AzureCLICredential authenticates as the developer who is logged in with the Azure CLI, az. It is
// for laptops: on Azure use [NewCredential], for both [NewDefaultCredential]. It is safe for
// concurrent use.
type AzureCLICredential struct{ cached }

var _ azcore.TokenCredential = (*AzureCLICredential)(nil)

// NewAzureCLICredential makes a credential of the Azure CLI's login. nil options mean the account
// that az has selected. It runs nothing; what is wrong with the options is an error here, one that
// names the field.
func NewAzureCLICredential(options *AzureCLICredentialOptions) (*AzureCLICredential, error) {
	return newAzureCLI(processShared, options, processEnvironment())
}

func newAzureCLI(
	shared *shared, options *AzureCLICredentialOptions, env environment,
) (*AzureCLICredential, error) {
	if options == nil {
		options = &AzureCLICredentialOptions{}
	}
	return azureCLIWith(shared, env, &toolSource{
		tool:         azureCLI,
		options:      "AzureCLICredentialOptions",
		tenants:      tenants{options.TenantID, options.AdditionallyAllowedTenants},
		subscription: options.Subscription,
		timeout:      options.ProcessTimeout,
		log:          options.Logger,
	})
}

func azureCLIWith(
	shared *shared, env environment, s *toolSource,
) (*AzureCLICredential, error) {
	c := &AzureCLICredential{}
	if err := newToolSource(&c.cached, shared, env, s); err != nil {
		return nil, err
	}
	return c, nil
}

// chainLink implements ownSource.
func (c *AzureCLICredential) chainLink() link {
	return link{name: azureCLI.name, source: c, whole: true}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it.
//
// Without a held token it runs `az account get-access-token`, once for all callers, and only one at
// a time in this process. It blocks for a second or two, and until ctx ends. If az hangs, or other
// runs of it before, that is for a minute, or until ctx's deadline where that is later, for 10
// minutes at most; ProcessTimeout in the options is another time for a run. A caller whose ctx ends
// leaves, and the run goes on: its token is held for the next call. A run whose time is over is
// asked to end (SIGTERM), and killed if it is still there after 3 s; on Windows az is left alone,
// and its output is not waited for. A run that fails because az's cache is being written, or
// because the system's broker is busy, is followed by another after a second.
//
// Tokens are held and renewed as those of [Credential.GetToken], so that `az login` as somebody
// else, or `az account set`, shows in a running process once the held token is renewed, in half an
// hour or so. The constructor decides which az that is, and whose: it finds it on PATH, and keeps
// the values of HOME (USERPROFILE on Windows), AZURE_CONFIG_DIR and AZURE_CLOUD_NAME for all of its
// runs. az is not run by a shell, save on Windows, where it is a script; what is passed to it has
// only letters, digits and . _ : / -, and blanks in a subscription's name. It has no input and no
// terminal.
//
// A claims challenge, as for a second factor, can't be met without the developer: the error has the
// command to run, and the token that was refused is asked for anew at the next use. An az that is
// not installed, and one that nobody is logged in with, are errors in which errors.Is finds
// [ErrUnavailable]. No other failure of az's is: a session that has expired, or an az that is
// offline, is an error in a [Chain], too, and no reason to be somebody else.
//
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token
func (c *AzureCLICredential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.hit(&options); held != nil {
		return *held, nil
	}
	if options.Claims != "" {
		return azcore.AccessToken{}, c.challenged(ctx, options)
	}
	return c.miss(ctx, options)
}

// challenged answers a claims challenge.
func (c *AzureCLICredential) challenged(
	ctx context.Context, options policy.TokenRequestOptions,
) error {
	v, scope, err := c.check("GetToken", ctx, options)
	if err != nil {
		return err
	}
	c.tokens.Distrust(v, resourceOf(scope))
	s := c.source.(*toolSource)
	return &AuthenticationError{
		tool:     s.name,
		Resource: resourceOf(scope),
		what:     moreOfTheLogin,
		hint: "run " + s.loginTo(tokencache.Variant{Tenant: v.Variant().Tenant}) + " --claims-challenge " +
			base64.StdEncoding.EncodeToString([]byte(options.Claims)) + " and try again",
	}
}

// azureCLI is az.
var azureCLI = &tool{
	name:    "Azure CLI",
	program: "az",
	install: "https://learn.microsoft.com/cli/azure/install-azure-cli",
	login:   "az login",
	tenant:  "--tenant",
	// --resource and not --scope, which old versions don't know. With a subscription az refuses a
	// tenant:
	// https://github.com/Azure/azure-cli/issues/32755
	arguments: func(s *toolSource, r tokencache.Request) []string {
		arguments := []string{"account", "get-access-token", "-o", "json", "--resource", r.Resource}
		tenant := cmp.Or(r.Tenant, s.tenants.own)
		switch {
		case s.subscription != "":
			arguments = append(arguments, "--subscription", s.subscription)
		case tenant != "":
			arguments = append(arguments, "--tenant", tenant)
		}
		return arguments
	},
	parse: parseAzureCLI,
	complaint: func(stderr string) (reason, advice string) {
		reason, _, _ = strings.Cut(stderr, "\naz log") // the commands that it asks for, each a line
		return reason, stderr
	},
	asks: complaint.Asking("az login"),
	// az names az login after many failures. Only this says that no account is there; and not
	// behind a warning that the file of the accounts can't be read, which az then overwrites.
	loggedOut: func(c complaint.Complaint) string {
		if strings.Contains(c.Reason, azLoggedOut) {
			return "az login"
		}
		return ""
	},
	races: []string{
		// AzureAD/microsoft-authentication-extensions-for-python#150
		"does not exist in MSAL token cache",
		"Can't find token from MSAL cache", // Azure/azure-cli#32931
		// "Could not retrieve credential …", of a service principal
		"from local cache",
		// the file of the accounts, while another az writes it
		"Failed to load or parse file",
		// the same of other files, Azure/azure-cli#33720
		"JSONDecodeError", "Extra data: line", "Expecting value: line",
		".lockfile", "Resource temporarily unavailable", // Azure/azure-cli#20273, #25485
		// Windows' broker, Azure/azure-cli#25787
		"Response_Status.", "Please explicitly log in with",
	},
	advice: [][2]string{{
		"Run 'az account set'",
		"run az account set --subscription with an ID that az account list shows",
	}},
}

// azLoggedOut is what az says where nobody is logged in, since 2.0.
const azLoggedOut = "Please run 'az login' to setup account"

// parseAzureCLI reads what `az account get-access-token -o json` prints.
func parseAzureCLI(stdout []byte, now time.Time) (printed, error) {
	var out struct {
		AccessToken string     `json:"accessToken"`
		TokenType   token.Text `json:"tokenType"`
		ExpiresUnix token.Text `json:"expires_on"` // since 2.54.0
		ExpiresOn   token.Text `json:"expiresOn"`  // local time, without a zone
		Tenant      token.Text `json:"tenant"`
	}
	if err := json.Unmarshal(objectWith(stdout, "accessToken"), &out); err != nil {
		return printed{}, errors.New("az printed no JSON object with a token")
	}
	if err := token.Check(out.AccessToken, string(out.TokenType), "accessToken"); err != nil {
		return printed{}, err
	}
	got := printed{Token: token.Token{Value: out.AccessToken}, tenant: string(out.Tenant)}
	end, ok := azureCLIEnd(string(out.ExpiresUnix), string(out.ExpiresOn), got.Value, time.Local)
	if !ok {
		return printed{}, errors.New("az doesn't say when the token expires: expires_on, expiresOn and " +
			"the token's exp are absent or unreadable")
	}
	err := got.Until(end, now)
	return got, err
}

// azureCLIEnd dates a token: by the Unix time, then by the local time, then by the token itself: az
// as a managed identity has printed "N/A".
func azureCLIEnd(unixTime, local, value string, zone *time.Location) (time.Time, bool) {
	if t, ok := token.UnixDate(unixTime); ok {
		return t, true
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04:05.999999", local, zone); err == nil {
		return firstOf(t), true
	}
	return token.UnixDate(string(token.ClaimsOf(value).Exp))
}

// firstOf is the earlier of two times that a local clock shows alike, when it is put back at the
// end of summer time. Lord Howe's is put back by half an hour, the one at Troll in Antarctica by
// two.
func firstOf(t time.Time) time.Time {
	for _, step := range []time.Duration{2 * time.Hour, time.Hour, 30 * time.Minute} {
		if earlier := t.Add(-step); earlier.Format(time.DateTime) == t.Format(time.DateTime) {
			return earlier
		}
	}
	return t
}
