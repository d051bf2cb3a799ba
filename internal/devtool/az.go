package devtool

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/lazy"
	"github.com/keyless-go/identity/internal/token"
)

// AzureCLI is az.
var AzureCLI = &Tool{
	Name:    "Azure CLI",
	Program: "az",
	install: "https://learn.microsoft.com/cli/azure/install-azure-cli",
	login:   "az login",
	tenant:  "--tenant",
	// --resource and not --scope, which old versions don't know. With a subscription az refuses a
	// tenant:
	// https://github.com/Azure/azure-cli/issues/32755
	arguments: func(q query) []string {
		arguments := []string{"account", "get-access-token", "-o", "json", "--resource", q.resource}
		switch {
		case q.subscription != "":
			arguments = append(arguments, "--subscription", q.subscription)
		case q.tenant != "":
			arguments = append(arguments, "--tenant", q.tenant)
		}
		return arguments
	},
	parse: parseAz,
	split: func(stderr string) (reason, advice string) {
		reason, _, _ = strings.Cut(stderr, "\naz log") // the commands that it asks for, each a line
		return reason, stderr
	},
	asks: lazy.Regexp{Expr: `az login` + options},
	// az names az login after many failures. Only this says that no account is there; and not
	// behind a warning that the file of the accounts can't be read, which az then overwrites.
	loggedOut: func(reason string) string {
		if strings.Contains(reason, azLoggedOut) {
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

// parseAz reads what `az account get-access-token -o json` prints.
func parseAz(stdout []byte, now time.Time) (printed, error) {
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
	end, ok := endOfAz(string(out.ExpiresUnix), string(out.ExpiresOn), got.Value, time.Local)
	if !ok {
		return printed{}, errors.New("az doesn't say when the token expires: expires_on, expiresOn and " +
			"the token's exp are absent or unreadable")
	}
	err := got.Until(end, now)
	return got, err
}

// endOfAz dates a token: by the Unix time, then by the local time, then by the token itself: az
// as a managed identity has printed "N/A".
func endOfAz(unixTime, local, value string, zone *time.Location) (time.Time, bool) {
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
