package redact

import (
	"bytes"
	"slices"
	"strings"
)

// secretNames are the ends of the names that fields for secrets have, without what joins words:
// access_token, refreshToken, id-token. What follows tells whether a value does: a function named
// get_access_token has none.
var secretNames = []string{
	"token", "tokenvalue", "tokenstring", "secret", "secretvalue", "assertion", "authorization",
	"password", "passwd", "passphrase", "pwd", "connectionstring", "identityheader",
	"accountkey", "accesskey", "apikey", "subscriptionkey", "signingkey", "privatekey",
	"primarykey", "secondarykey", "functionkey", "hostkey",
}

// proseNames of these stand in sentences, too: behind one of them and a colon a word may be no
// value. Behind certainNames it always is taken for one.
var (
	proseNames   = []string{"token", "secret", "assertion"}
	certainNames = []string{"accesstoken", "refreshtoken", "idtoken", "sastoken", "bearertoken",
		"clientsecret", "clientassertion"}
)

// longestName bounds how much of a name is looked at.
const longestName = 64

// bareField is the end of a field's name in small letters, without what joins words, without a
// number, and of several the name of one: tokens.
func bareField[T []byte | string](name T) string {
	name = name[max(len(name)-longestName, 0):]
	bare := make([]byte, 0, longestName)
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			bare = append(bare, c-'A'+'a')
		case c != '_' && c != '-':
			bare = append(bare, c)
		}
	}
	return string(bytes.TrimRight(bare, "0123456789s"))
}

func endsIn(name string, ends []string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) })
}
