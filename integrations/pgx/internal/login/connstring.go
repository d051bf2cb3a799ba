package login

import (
	"net/url"
	"strings"
)

// connStringNamesUser says whether a connection string names a user, in either form that libpq
// takes. The driver has parsed the string before: it has no mistake, and the user isn't empty in
// the end.
func connStringNamesUser(s string) bool {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return urlNamesUser(rest)
		}
	}
	return keywordsNameUser(s)
}

// urlNamesUser reads what stands after the scheme. net/url can't: two hosts with ports are no URL.
func urlNamesUser(s string) bool {
	if at := strings.IndexAny(s, "@/"); at >= 0 && s[at] == '@' {
		if name, _, _ := strings.Cut(s[:at], ":"); name != "" {
			return true
		}
		s = s[at+1:]
	}
	_, query, _ := strings.Cut(s, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key, err := url.PathUnescape(key); err == nil && key == "user" && value != "" {
			return true
		}
	}
	return false
}

// keywordsNameUser reads keyword = 'value' pairs. pgx skips a user without a name.
func keywordsNameUser(s string) bool {
	const space = " \t\n\r\f\v"
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return false
		}
		value, rest := keywordValue(strings.TrimLeft(rest, space))
		if strings.Trim(key, space) == "user" && value != "" {
			return true
		}
		s = rest
	}
}

// keywordValue takes the value at the start of s, in quotes or up to the next space. A backslash
// takes the meaning from what follows it.
func keywordValue(s string) (value, rest string) {
	quoted := strings.HasPrefix(s, "'")
	s = strings.TrimPrefix(s, "'")
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case quoted && s[i] == '\'', !quoted && strings.IndexByte(" \t\n\r\f\v", s[i]) >= 0:
			return text.String(), s[i+1:]
		}
		text.WriteByte(s[i])
	}
	return text.String(), ""
}
