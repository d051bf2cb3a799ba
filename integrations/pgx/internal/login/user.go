package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/keyless-go/identity"
)

// namesUser says whether somebody has named the user, or it is the driver's guess.
func (a Attempt) namesUser() bool {
	if a.User == "" {
		return false
	}
	return connStringNamesUser(a.ConnString) || os.Getenv("PGUSER") != "" || a.User != a.OSUser()
}

// OSUser is the operating system's user, as PostgreSQL's clients name it: without the domain that
// Windows puts before it. It is "" if it can't be told. os/user looks it up once.
func OSUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username[strings.LastIndex(u.Username, `\`)+1:]
}

// role is the user that the tokens name. One for Azure Resource Manager has all names, but takes a
// request more, so that it is asked for only if the database's has none.
func (c Client) role(ctx context.Context, scope, token string) (string, error) {
	is, _ := identity.PrincipalOf(token) // an opaque one names nobody
	if name := cmp.Or(is.Name, is.User); name != "" {
		return name, nil
	}
	manage := manageScope(scope)
	if manage == "" {
		return "", fmt.Errorf("no user is named, and the token for %s names none: set the user in "+
			"the connection string%s", scope, hint(is))
	}
	token, err := c.token(ctx, manage)
	if err != nil {
		return "", fmt.Errorf("no user is named, and the token for %s names none: set the user in "+
			"the connection string. Looking in another token: %w", scope, err)
	}
	other, _ := identity.PrincipalOf(token)
	if is.ObjectID != "" && other.ObjectID != "" && is.ObjectID != other.ObjectID {
		return "", errors.New("no user is named, and the credential's tokens are two identities': " +
			is.ObjectID + " for " + scope + ", and " + other.ObjectID + " for " + manage +
			": set the user in the connection string")
	}
	if name := cmp.Or(other.Name, other.User); name != "" {
		return name, nil
	}
	return "", fmt.Errorf("no user is named, and the tokens for %s and %s name none: set the user "+
		"in the connection string%s", scope, manage, hint(first(is, other)))
}

// first is the principal that says more about where the identity belongs.
func first(a, b identity.Principal) identity.Principal {
	if b.ResourceID != "" || b.ObjectID != "" && a.ObjectID == "" {
		return b
	}
	return a
}

// hint says which role it could be: a system-assigned identity has the name of its resource, but
// nothing in a token vouches for that, so that it is only told.
func hint(is identity.Principal) string {
	var text strings.Builder
	if is.ObjectID != "" {
		text.WriteString(" to the role that was made for object ID " + is.ObjectID)
	}
	// …/providers/Microsoft.Web/sites/NAME, or …/NAME/slots/NAME
	if _, rest, ok := strings.Cut(is.ResourceID, "/providers/"); ok {
		if parts := strings.SplitN(rest, "/", 3); len(parts) == 3 {
			fmt.Fprintf(&text, "; a system-assigned identity's is usually named as its resource, %q",
				parts[2])
		}
	}
	return text.String()
}
