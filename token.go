package identity

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// grant is a token as a host granted it.
type grant struct {
	token     string
	expiresOn time.Time     // wall clock, UTC
	refreshIn time.Duration // from the time of the answer; 0 if the host didn't say
	echo      echo          // what the answer says of the identity beside the token
	// it is a person's, on a host whose tokens should be a managed identity's
	ofUser bool
}

// echo holds the fields by which an answer names the identity it is for, "" where absent.
type echo struct{ clientID, objectID, principalID, resourceID string }

// tokenResponse is the union of the hosts' success bodies. Every field but the token is read leniently: hosts and
// look-alikes send numbers as strings and strings as numbers, and a token that can be dated is never refused.
type tokenResponse struct {
	AccessToken json.RawMessage `json:"access_token"`
	TokenType   json.RawMessage `json:"token_type"`
	ExpiresOn   json.RawMessage `json:"expires_on"`
	ExpiresIn   json.RawMessage `json:"expires_in"`
	RefreshIn   json.RawMessage `json:"refresh_in"`
	ClientID    json.RawMessage `json:"client_id"`
	ObjectID    json.RawMessage `json:"object_id"`
	PrincipalID json.RawMessage `json:"principal_id"`
	MSIResID    json.RawMessage `json:"msi_res_id"`
	MIResID     json.RawMessage `json:"mi_res_id"`
}

var (
	errNotJSON = errors.New("the token response is not a JSON object")
	errExpired = errors.New("the token expired")
)

// parseToken reads a success body received at now. Errors never repeat a byte of it.
func parseToken(body []byte, now time.Time) (grant, error) {
	var r tokenResponse
	if err := json.Unmarshal(body, &r); err != nil {
		return grant{}, errNotJSON
	}
	var g grant
	_ = json.Unmarshal(r.AccessToken, &g.token) // anything but a string leaves it empty
	g.echo = echo{
		clientID:    text(r.ClientID),
		objectID:    text(r.ObjectID),
		principalID: text(r.PrincipalID),
		resourceID:  cmp.Or(text(r.MSIResID), text(r.MIResID)),
	}
	if err := checkToken(g.token, text(r.TokenType), "access_token"); err != nil {
		return grant{}, err
	}
	expiresOn, ok := expiry(r, g.token, now)
	if !ok {
		return grant{}, errors.New("the token response does not say when the token expires: expires_on, expires_in and the token's exp are absent or unreadable")
	}
	if err := g.until(expiresOn, now); err != nil {
		return grant{}, err
	}
	if s, ok := number(text(r.RefreshIn)); ok && s > 0 {
		g.refreshIn = seconds(s)
	}
	return g, nil
}

// tokensIn finds the token in an answer that should have none.
func tokensIn(body []byte) []string {
	var r struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.AccessToken) < redact.LeastSecret {
		return nil
	}
	return []string{r.AccessToken}
}

// checkToken refuses what can't be a bearer token; field is where it was.
func checkToken(token, kind, field string) error {
	switch {
	case strings.TrimSpace(token) == "":
		return errors.New("the token response has no " + field)
	case strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		// It goes into an HTTP header, where such a character would be an injection.
		return errors.New("the " + field + " contains characters that no token has")
	case kind != "" && !strings.EqualFold(kind, "Bearer"):
		return fmt.Errorf("token_type is %q, want Bearer", redact.Line(redact.Text(kind, token)))
	}
	return nil
}

// until sets the end of a token, which must be later than now.
func (g *grant) until(end, now time.Time) error {
	// The token itself knows best when it ends. Only a later end than now counts, because test doubles repeat old tokens.
	if exp, ok := number(text(claimsOf(g.token).Exp)); ok && exp >= plausible && unix(exp).After(now) && unix(exp).Before(end) {
		end = unix(exp)
	}
	g.expiresOn = end.UTC() // which also takes off the monotonic reading: the wall clock decides, also after a suspend
	if !g.expiresOn.After(now) {
		return fmt.Errorf("%w at %s, %v ago", errExpired, g.expiresOn.Format(time.RFC3339), round(now.Sub(g.expiresOn)))
	}
	return nil
}

// plausible is 2000-01-01 in Unix seconds, where the clock of testing/synctest begins: a smaller expires_on is no date.
// MSAL for .NET draws the line a year later.
const plausible = 946684800

// latest is the end of the year 9999 in Unix seconds: a larger expires_on is no date either.
const latest = 253402300799

// expiry dates a token: expires_on, then expires_in, then the JWT's exp, then an expires_on too small to be a date,
// which some hosts meant as seconds from now.
func expiry(r tokenResponse, token string, now time.Time) (time.Time, bool) {
	on := text(r.ExpiresOn)
	relative, isNumber := number(on)
	if isNumber && relative >= plausible && relative <= latest {
		return unix(relative), true
	}
	if t, ok := date(on); ok && t.Unix() >= plausible { // not .NET's DateTime.MinValue
		return t, true
	}
	if s, ok := number(text(r.ExpiresIn)); ok && s > 0 {
		return now.Add(seconds(s)), true
	}
	if exp, ok := number(text(claimsOf(token).Exp)); ok && exp >= plausible {
		return unix(exp), true
	}
	switch {
	case !isNumber || relative <= 0 || relative > latest*1000:
		return time.Time{}, false
	case relative > latest: // nobody sends milliseconds on purpose, but a year 50,000 is none either
		return unix(relative / 1000), true
	}
	return now.Add(seconds(relative)), true
}

// dateLayouts are the dates that hosts have been seen to send. HTTP's own three, and mail's beside
// them, come from servers that stand in for a host. A fraction of a second is accepted in all of
// them. Not among them is what nobody sends with a token, such as .NET's /Date(…)/ and TimeSpan:
// then the next of the answer's fields dates the token.
var dateLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"1/2/2006 15:04:05 -07:00",
	"1/2/2006 3:04:05 PM -07:00",
	"2006-01-02 15:04:05 -07:00",
	"2006-01-02 15:04:05Z07:00",
	"1/2/2006 15:04:05",
	"1/2/2006 3:04:05 PM",
	"2006-01-02 15:04:05",
	"Mon, 2 Jan 2006 15:04:05 GMT",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// date reads a date in words; without a zone it is UTC. "PM" behind an hour above 12 or of 0 is decoration on a 24-hour
// clock, as in App Service's documentation.
func date(s string) (time.Time, bool) {
	fields := strings.Fields(strings.ToUpper(s))
	s = strings.Join(fields, " ")
	for i, f := range fields {
		if (f != "AM" && f != "PM") || i == 0 {
			continue
		}
		if hour, _, _ := strings.Cut(fields[i-1], ":"); hour == "0" || hour == "00" || hour > "12" && len(hour) == 2 {
			s = strings.Join(append(fields[:i:i], fields[i+1:]...), " ")
		}
		break
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// text is a JSON string's content or a JSON number's digits, without surrounding blanks; "" for anything else.
func text(raw json.RawMessage) string {
	if len(raw) == 0 { // most of an answer's fields are absent, and to ask json costs two errors each
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.TrimSpace(s)
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// number reads decimal seconds, whole or not.
func number(s string) (float64, bool) {
	if strings.ContainsAny(s, "xXpPnN_") { // hexadecimal floats, "inf", "nan": ParseFloat takes them, no host sends them
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// maxSeconds is a hundred years: whatever a host says beyond it is the same to us and can't overflow.
const maxSeconds = 100 * 365 * 24 * 60 * 60

func seconds(s float64) time.Duration {
	return time.Duration(min(s, maxSeconds) * float64(time.Second))
}

func unix(s float64) time.Time {
	whole, fraction := math.Modf(min(s, latest))
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// isSet reports whether a field is there and not null.
func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// isOAuth reports whether a body is a JSON object with a token or an error.
func isOAuth(body []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimSpace(body), &fields) != nil {
		return false
	}
	return isSet(fields["error"]) || isSet(fields["access_token"])
}

// jwtClaims are the claims that tell whose token it is. They are read without verifying the signature, which only the
// resource can do: they serve to report and to notice a mistake, never to decide what somebody may do.
type jwtClaims struct {
	Exp    json.RawMessage `json:"exp"`
	AppID  json.RawMessage `json:"appid"`     // client ID in a v1 token
	Azp    json.RawMessage `json:"azp"`       // client ID in a v2 token
	OID    json.RawMessage `json:"oid"`       // object ID
	Sub    json.RawMessage `json:"sub"`       // the same, in an application's token
	MIRID  json.RawMessage `json:"xms_mirid"` // resource ID, for Microsoft's own resources
	IDType json.RawMessage `json:"idtyp"`     // "app", "user"
	UPN    json.RawMessage `json:"upn"`       // of a person
	Scopes json.RawMessage `json:"scp"`       // what a person has allowed; applications have roles

	readable bool
}

// claimsOf reads a JWT's claims. Some tokens are opaque: then there are none.
func claimsOf(token string) (c jwtClaims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return jwtClaims{}
	}
	c.readable = bytes.HasPrefix(bytes.TrimSpace(payload), []byte{'{'})
	return c
}

// ofUser reports whether a token is a person's.
func (c jwtClaims) ofUser() bool {
	if kind := text(c.IDType); kind != "" {
		return strings.EqualFold(kind, "user")
	}
	return text(c.UPN) != "" || text(c.Scopes) != ""
}

// mismatch compares the identity that was asked for with all that the answer and the token say of theirs. It returns
// the identity that came back, or "" when nothing contradicts.
//
// A token that can't be read, in an answer that names nobody, passes: not every resource lets
// others read its tokens. With mustEcho it doesn't, because older agents of Azure Arc ignore
// selectors. One that can be read names its client ID and object ID wherever it comes from Entra,
// and one that doesn't is refused. It names its resource ID for Microsoft's own resources only
// (MicrosoftDocs/azure-docs#96027), so that silence on that passes, too. A person is never the
// identity that was selected.
func mismatch(id ID, g grant, mustEcho bool) (got string) {
	if id == nil {
		return ""
	}
	claims := claimsOf(g.token)
	var echoes, named []string
	switch id.(type) {
	case ClientID:
		echoes, named = []string{g.echo.clientID}, []string{text(claims.AppID), text(claims.Azp)}
	case ObjectID:
		echoes, named = []string{g.echo.objectID, g.echo.principalID}, []string{text(claims.OID)}
		if cmp.Or(append(echoes, named...)...) == "" {
			named = []string{text(claims.Sub)}
		}
	case ResourceID:
		echoes, named = []string{g.echo.resourceID}, []string{text(claims.MIRID)}
	}
	_, byResource := id.(ResourceID)
	said := append(echoes, named...)
	switch {
	case mustEcho && echoes[0] == "":
		return "an identity that the answer doesn't name"
	case claims.ofUser():
		return "a signed-in user, who is no managed identity"
	case claims.readable && !byResource && cmp.Or(said...) == "":
		return "an identity that neither the answer nor the token names"
	}
	want := normalID(id.String())
	for _, s := range said {
		if s != "" && !strings.EqualFold(normalID(s), want) {
			return cmp.Or(redact.Line(redact.Text(s, g.token)), "an identity that can't be printed")
		}
	}
	return ""
}

// normalID drops what may differ between two spellings of one ID, case aside.
func normalID(s string) string { return strings.Trim(s, "/ ") }

// asciiLower folds no letters that a file system may tell apart.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
