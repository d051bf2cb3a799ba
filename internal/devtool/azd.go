package devtool

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/lazy"
	"github.com/keyless-go/identity/internal/token"
)

// AzureDeveloperCLI is azd.
var AzureDeveloperCLI = &Tool{
	Name:    "Azure Developer CLI",
	Program: "azd",
	install: "https://learn.microsoft.com/azure/developer/azure-developer-cli/install-azd",
	login:   "azd auth login",
	tenant:  "--tenant-id",
	arguments: func(q query) []string {
		arguments := []string{"auth", "token", "-o", "json", "--no-prompt", "--scope",
			q.resource + "/.default"}
		if q.tenant != "" {
			arguments = append(arguments, "--tenant-id", q.tenant)
		}
		if q.claims != "" {
			arguments = append(arguments, "--claims", base64.StdEncoding.EncodeToString([]byte(q.claims)))
		}
		return arguments
	},
	parse: parseAzd,
	split: splitAzd,
	asks:  lazy.Regexp{Expr: `azd auth login` + options},
	loggedOut: func(reason string) string {
		switch {
		case strings.Contains(reason, azLoggedOut),
			strings.Contains(reason, "Azure CLI not found on path"):
			return "az login" // azd config set auth.useAzCliAuth true
		// azd wraps any failure of these so
		case containsAny(reason, "loading secret:", "failed to create credential:"):
		case containsAny(reason, "not logged in, run `azd auth login`",
			"not logged in, run `azd login`"):
			return "azd auth login"
		}
		return ""
	},
	TakesClaims: true,
}

// parseAzd reads what `azd auth token -o json` prints.
func parseAzd(stdout []byte, now time.Time) (printed, error) {
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

// splitAzd finds the message among the lines of JSON that azd prints with -o json:
//
//	{"type":"consoleMessage","timestamp":"…","data":{"message":"\nERROR: fetching token: …\n"}}
//	{"error":"fetching token: …","message":"Authentication with Azure failed.","suggestion":"Run 'azd auth login' to sign in again."}
//
// The second is of versions since 2026; before it comes an empty message.
func splitAzd(stderr string) (reason, advice string) {
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
		if strings.HasPrefix(message, errorMark) && !strings.HasPrefix(first, errorMark) {
			first = message
		}
		first = cmp.Or(first, message)
		all.WriteString(message + "\n")
	}
	return cmp.Or(first, strings.TrimSpace(stderr)), all.String()
}
