package recorder

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/keyless-go/identity/internal/record"
)

// field masks the value of a field that is known.
func (m *mask) field(name, value string) (masked string, known bool) {
	switch strings.ToLower(name) {
	case "access_token", "accesstoken", "refresh_token", "id_token", "client_assertion", "assertion",
		"oidctoken", "user_federated_identity_credential":
		return m.token(value), true
	case "client_id", "clientid", "object_id", "objectid", "principal_id", "principalid", "tenant",
		"tenant_id", "tid", "oid", "appid", "azp", "sub", "msi_res_id", "mi_res_id", "xms_mirid",
		"xms_az_rid", "trace_id", "traceid", "correlation_id", "correlationid", "uti", "jti":
		return m.id(value), true
	case "resource", "scope", "aud":
		return m.audience(value), true
	case "claims": // of a challenge, or what a client understands
		if masked, ok := m.json(value); ok {
			return masked, true
		}
		return m.secret(value), true
	case "iss", "error_uri", "idp":
		return m.url(value), true
	case "api-version":
		if versions.MatchString(value) {
			return value, true
		}
		return m.secret(value), true
	case "expires_on", "expires_in", "ext_expires_in", "not_before", "exp", "nbf", "iat",
		"refresh_in", "refresh_on", "expireson", "timestamp":
		if dates.MatchString(value) {
			return value, true
		}
		return m.text(value), true
	case "grant_type", "client_assertion_type":
		if strings.HasPrefix(value, "urn:ietf:params:oauth:") {
			return value, true
		}
		return m.text(value), true
	case "token_type", "error", "code", "error_description", "message", "suberror", "idtyp", "ver",
		"bypass_cache", "xms_cc", "statuscode", "status", "error_codes", "type", "appidacr", "uripath":
		return m.text(value), true
	}
	return "", false
}

// dates are what an answer has for a time: digits, or a date in words.
var dates = regexp.MustCompile(`^(\d{1,11}` +
	`|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?( ?(Z|[+-]\d\d:\d\d))?` +
	`|\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d( [AP]M)?( [+-]\d\d:\d\d)?)$`)

// name is that of a field, which may be somebody's own.
func (m *mask) name(field string) string {
	if _, known := m.field(field, ""); known || fieldNames.MatchString(field) {
		return field
	}
	return m.named("NAME", field)
}

// fieldNames are words of a protocol, such as claims and token_sha256_to_refresh.
var fieldNames = regexp.MustCompile(`^([a-z]{1,12}([_-][a-z]{1,12}){0,3}|token_sha256_to_refresh)$`)

// json masks the body of an answer, and false for what is no JSON.
func (m *mask) json(body string) (string, bool) {
	return record.Rewrite(body, m.name, func(field string, value any) any {
		switch v := value.(type) {
		case string:
			if v == "" {
				return v
			}
			return m.parameter(field, v)
		case json.Number:
			return m.number(field, v)
		}
		return value
	})
}

// number keeps times, and what is too short to say anything.
func (m *mask) number(field string, n json.Number) any {
	if _, known := m.field(field, ""); known && dates.MatchString(n.String()) || len(n) <= 4 {
		return n
	}
	return json.Number("0")
}

// token is a JWT with other claims and no signature, or else a placeholder.
func (m *mask) token(value string) string {
	parts := strings.Split(value, ".")
	if len(parts) != 3 || record.IsPlaceholder(value) {
		return m.named("TOKEN", value)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return m.named("TOKEN", value)
	}
	claims, ok := m.json(string(payload))
	if !ok || !strings.HasPrefix(claims, "{") {
		return m.named("TOKEN", value)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." +
		record.Signature
}
