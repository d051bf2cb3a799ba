package token

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Text is the content of a JSON string, or the digits of a JSON number, without surrounding blanks;
// "" for anything else. As the type of a field it makes no object unreadable.
type Text string

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (t *Text) UnmarshalJSON(raw []byte) error {
	*t = ""
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0:
	case raw[0] == '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			*t = Text(strings.TrimSpace(s))
		}
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*t = Text(raw)
	}
	return nil
}

// TextOf is the Text of one JSON value, "" for none.
func TextOf(value json.RawMessage) string {
	var t Text
	_ = t.UnmarshalJSON(value)
	return string(t)
}

// IsOAuth reports whether a body is a JSON object with a token or an error.
func IsOAuth(body []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimSpace(body), &fields) != nil {
		return false
	}
	isSet := func(field json.RawMessage) bool { return len(field) > 0 && string(field) != "null" }
	return isSet(fields["error"]) || isSet(fields["access_token"])
}
