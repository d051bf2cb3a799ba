package principal

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// jwtOf is a token with these claims.
func jwtOf(claims string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

const (
	guid       = "11111111-2222-3333-4444-555555555555"
	identityID = "/subscriptions/" + guid + "/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/n"
)

const (
	otherGUID       = "99999999-2222-3333-4444-555555555555"
	unnamedIdentity = "an identity that neither the answer nor the token names"
	aPerson         = "a signed-in user, who is no managed identity"
)

var (
	v1Token = jwtOf(`{"appid":"` + guid + `","oid":"` + guid + `","sub":"` + guid + `","xms_mirid":"` +
		identityID + `"}`)
	v1OthersToken = jwtOf(`{"appid":"` + otherGUID + `","oid":"` + otherGUID + `","xms_mirid":"` +
		identityID + `x"}`)
	v2Token       = jwtOf(`{"azp":"` + guid + `"}`)
	v2OthersToken = jwtOf(`{"azp":"` + otherGUID + `"}`)
	v1InCapitals  = jwtOf(`{"appid":"ABCDEF11-2222-3333-4444-555555555555","xms_mirid":"` +
		strings.ToUpper(identityID) + `"}`)
)

// claiming is a token with claims, in which GUID and so on stand for the tests' identities.
func claiming(claims string) string {
	return jwtOf(strings.NewReplacer("GUID", guid, "OTHER", otherGUID, "RESOURCE",
		identityID).Replace(claims))
}

var mismatches = []struct {
	name  string
	id    ID
	token string
	echo  token.Echo
	want  string
}{
	{name: "nobody asked", token: v1OthersToken, echo: token.Echo{ClientID: otherGUID}},
	{name: "client ID, v1", id: ID{ClientID, guid}, token: v1Token},
	{name: "client ID, v2", id: ID{ClientID, guid}, token: v2Token},
	{name: "client ID, other case", id: ID{ClientID, "abcdef11-2222-3333-4444-555555555555"},
		token: v1InCapitals, echo: token.Echo{ClientID: "abcDEF11-2222-3333-4444-555555555555"}},
	{name: "client ID, another, v1", id: ID{ClientID, guid}, token: v1OthersToken, want: otherGUID},
	{name: "client ID, another, v2", id: ID{ClientID, guid}, token: v2OthersToken, want: otherGUID},
	{name: "client ID, echo agrees, JWT contradicts", id: ID{ClientID, guid}, token: v1OthersToken,
		echo: token.Echo{ClientID: guid}, want: otherGUID},
	{name: "client ID, JWT agrees, echo contradicts", id: ID{ClientID, guid}, token: v1Token,
		echo: token.Echo{ClientID: otherGUID}, want: otherGUID},
	{name: "client ID, opaque with echo", id: ID{ClientID, guid}, token: "opaque",
		echo: token.Echo{ClientID: guid}},
	{name: "client ID, opaque with another echo", id: ID{ClientID, guid}, token: "opaque",
		echo: token.Echo{ClientID: otherGUID}, want: otherGUID},
	{name: "client ID, opaque without echo", id: ID{ClientID, guid}, token: "opaque"},
	{name: "client ID, object ID differs", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","oid":"OTHER"}`), echo: token.Echo{ObjectID: otherGUID}},
	{name: "client ID that is a prefix", id: ID{ClientID, guid}, token: claiming(`{"appid":"GUID0"}`),
		want: guid + "0"},
	{name: "client ID, claim is a number", id: ID{ClientID, guid}, token: claiming(`{"appid":42}`),
		want: "42"},
	{name: "client ID, claim is null", id: ID{ClientID, guid}, token: claiming(`{"appid":null}`),
		want: unnamedIdentity},
	{name: "client ID, claim is null, echo", id: ID{ClientID, guid}, token: claiming(`{"appid":null}`),
		echo: token.Echo{ClientID: guid}},
	{name: "client ID, no claim", id: ID{ClientID, guid},
		token: claiming(`{"oid":"GUID","sub":"GUID","xms_mirid":"RESOURCE"}`),
		echo:  token.Echo{ObjectID: guid, PrincipalID: guid, ResourceID: identityID},
		want:  unnamedIdentity},
	{name: "client ID, no claim but an echo", id: ID{ClientID, guid}, token: claiming(`{"oid":"OTHER"}`),
		echo: token.Echo{ClientID: guid}},
	{name: "client ID, appid and azp differ", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","azp":"OTHER"}`), want: otherGUID},
	{name: "client ID, no claims at all", id: ID{ClientID, guid}, token: claiming(`{}`),
		want: unnamedIdentity},
	{name: "client ID, a JWT whose claims are none", id: ID{ClientID, guid}, token: claiming(`null`)},
	{name: "client ID, a list of claims", id: ID{ClientID, guid}, token: claiming(`["appid"]`)},
	{name: "client ID, an encrypted token", id: ID{ClientID, guid}, token: "a.b.c.d.e"},
	{name: "client ID, an application", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","idtyp":"app","oid":"OTHER"}`)},
	{name: "client ID, an application with a user's claims", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","idtyp":"app","upn":"u","scp":"s"}`)},
	{name: "client ID, a user of that application", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","idtyp":"user"}`), echo: token.Echo{ClientID: guid},
		want: aPerson},
	{name: "client ID, a user by name", id: ID{ClientID, guid},
		token: claiming(`{"appid":"GUID","upn":"dev@contoso.example"}`), want: aPerson},
	{name: "client ID, a user by what was allowed", id: ID{ClientID, guid},
		token: claiming(`{"azp":"GUID","scp":"user_impersonation"}`), want: aPerson},
	{name: "client ID, nothing allowed", id: ID{ClientID, guid},
		token: claiming(`{"azp":"GUID","scp":"","upn":null,"idtyp":""}`)},
	{name: "object ID, sub instead of oid", id: ID{ObjectID, guid},
		token: claiming(`{"sub":"GUID","appid":"OTHER"}`)},
	{name: "object ID, another's sub instead of oid", id: ID{ObjectID, guid},
		token: claiming(`{"sub":"OTHER","appid":"OTHER"}`), want: otherGUID},
	{name: "object ID, another's sub beside oid", id: ID{ObjectID, guid},
		token: claiming(`{"sub":"OTHER","oid":"GUID"}`)},
	{name: "object ID, another's sub beside an echo", id: ID{ObjectID, guid},
		token: claiming(`{"sub":"OTHER"}`), echo: token.Echo{PrincipalID: guid}},
	{name: "object ID, another's oid beside sub", id: ID{ObjectID, guid},
		token: claiming(`{"sub":"GUID","oid":"OTHER"}`), want: otherGUID},
	{name: "object ID, neither oid nor sub", id: ID{ObjectID, guid}, token: claiming(`{"appid":"OTHER"}`),
		echo: token.Echo{ClientID: otherGUID}, want: unnamedIdentity},
	{name: "object ID, neither but object_id", id: ID{ObjectID, guid},
		token: claiming(`{"appid":"OTHER"}`), echo: token.Echo{ObjectID: guid}},
	{name: "object ID, neither but principal_id", id: ID{ObjectID, guid},
		token: claiming(`{"appid":"OTHER"}`), echo: token.Echo{PrincipalID: strings.ToUpper(guid)}},
	{name: "object ID, object_id and principal_id differ", id: ID{ObjectID, guid}, token: v1Token,
		echo: token.Echo{ObjectID: guid, PrincipalID: otherGUID}, want: otherGUID},
	{name: "object ID, a user's", id: ID{ObjectID, guid}, token: claiming(`{"oid":"GUID","idtyp":"User"}`),
		echo: token.Echo{ObjectID: guid}, want: aPerson},
	{name: "object ID, a user's sub", id: ID{ObjectID, guid}, token: claiming(`{"sub":"GUID","scp":"s"}`),
		want: aPerson},
	{name: "resource ID, no claim, as with other resources than Microsoft's",
		id: ID{ResourceID, identityID}, token: claiming(`{"appid":"OTHER","oid":"OTHER"}`)},
	{name: "resource ID, no claim but an echo", id: ID{ResourceID, identityID},
		token: claiming(`{"appid":"OTHER"}`), echo: token.Echo{ResourceID: identityID}},
	{name: "resource ID, a user's", id: ID{ResourceID, identityID},
		token: claiming(`{"appid":"OTHER","idtyp":"user"}`), echo: token.Echo{ResourceID: identityID},
		want: aPerson},
	{name: "resource ID, a user's, no echo", id: ID{ResourceID, identityID},
		token: claiming(`{"upn":"u"}`), want: aPerson},
	{name: "object ID", id: ID{ObjectID, guid}, token: v1Token},
	{name: "object ID, another", id: ID{ObjectID, guid}, token: v1OthersToken, want: otherGUID},
	{name: "object ID, client ID differs", id: ID{ObjectID, guid},
		token: claiming(`{"oid":"GUID","appid":"OTHER"}`), echo: token.Echo{ClientID: otherGUID}},
	{name: "object ID, another echo", id: ID{ObjectID, guid}, token: v1Token,
		echo: token.Echo{ObjectID: otherGUID}, want: otherGUID},
	{name: "object ID, opaque", id: ID{ObjectID, guid}, token: "opaque",
		echo: token.Echo{ClientID: otherGUID}},
	{name: "resource ID", id: ID{ResourceID, identityID}, token: v1Token},
	{name: "resource ID, other case", id: ID{ResourceID, identityID}, token: v1InCapitals},
	{name: "resource ID, trailing slash", id: ID{ResourceID, identityID + "/"}, token: v1Token},
	{name: "resource ID, trailing slash came back", id: ID{ResourceID, identityID}, token: "opaque",
		echo: token.Echo{ResourceID: identityID + "/"}},
	{name: "resource ID, no leading slash came back", id: ID{ResourceID, identityID}, token: "opaque",
		echo: token.Echo{ResourceID: strings.TrimPrefix(identityID, "/")}},
	{name: "resource ID, another", id: ID{ResourceID, identityID}, token: v1OthersToken,
		want: identityID + "x"},
	{name: "resource ID, another echo", id: ID{ResourceID, identityID}, token: v1Token,
		echo: token.Echo{ResourceID: "/other"}, want: "/other"},
	{name: "resource ID, opaque", id: ID{ResourceID, identityID}, token: "opaque"},
	{name: "system-assigned instead", id: ID{ResourceID, identityID},
		token: claiming(`{"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"}`), want: "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"},
	{name: "a nasty claim", id: ID{ClientID, guid}, token: claiming(`{"appid":"a\r\nb"}`), want: "a b"},
	{name: "a claim that can't be printed", id: ID{ClientID, guid}, token: claiming(`{"appid":"\u0000"}`),
		want: "an identity that can't be printed"},
	{name: "an echo that can't be printed", id: ID{ClientID, guid}, token: v1Token,
		echo: token.Echo{ClientID: "\u200b\u0001"}, want: "an identity that can't be printed"},
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	for _, tt := range mismatches {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.id.Mismatch(token.Token{Value: tt.token, Echo: tt.echo}, false); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// Where the answer must name it, silence doesn't pass, and nothing else does that
			// doesn't without.
			if got := tt.id.Mismatch(token.Token{Value: tt.token, Echo: tt.echo}, true); tt.want != "" &&
				got == "" {
				t.Errorf("with an echo demanded it passes, want %q", tt.want)
			}
		})
	}
}

// TestMustEcho: an agent of Azure Arc's that doesn't know selectors ignores them, so that its
// answer has to name the identity, by the selector's name. A token that agrees doesn't help.
func TestMustEcho(t *testing.T) {
	t.Parallel()
	const unnamed = "an identity that the answer doesn't name"
	for _, tt := range []struct {
		id   ID
		echo token.Echo
		want string // "" accepts the token
	}{
		{echo: token.Echo{ClientID: guid}},
		{id: ID{ClientID, guid}, echo: token.Echo{ClientID: guid}},
		{id: ID{ObjectID, guid}, echo: token.Echo{ObjectID: guid}},
		{id: ID{ResourceID, identityID}, echo: token.Echo{ResourceID: strings.ToUpper(identityID) + "/"}},
		{id: ID{ClientID, guid}, want: unnamed},
		{id: ID{ClientID, guid}, echo: token.Echo{ObjectID: guid}, want: unnamed},
		{id: ID{ObjectID, guid}, echo: token.Echo{PrincipalID: guid}, want: unnamed}, // App Service's
		{id: ID{ResourceID, identityID}, echo: token.Echo{ClientID: guid}, want: unnamed},
		{id: ID{ClientID, guid}, echo: token.Echo{ClientID: guid[:8]}, want: guid[:8]},
		{id: ID{ClientID, guid}, echo: token.Echo{ClientID: otherGUID}, want: otherGUID},
	} {
		for _, value := range []string{"opaque", v1Token} {
			if got := tt.id.Mismatch(token.Token{Value: value, Echo: tt.echo}, true); got != tt.want {
				t.Errorf("%v, %s, %+v: got %q, want %q", tt.id, value, tt.echo, got, tt.want)
			}
		}
	}
}

// slowlySameID compares two spellings of an ID, letter by letter.
func slowlySameID(a, b string) bool {
	x, y := []rune(strings.Trim(a, "/ ")), []rune(strings.Trim(b, "/ "))
	if len(x) != len(y) {
		return false
	}
	for i, r := range x {
		same := r == y[i]
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			same = same || other == y[i]
		}
		if !same {
			return false
		}
	}
	return true
}

// FuzzMismatch: a token is of another identity exactly if something says so.
func FuzzMismatch(f *testing.F) {
	v1 := `{"appid":"` + guid + `","idtyp":"app","oid":"` + guid + `","sub":"` + guid +
		`","xms_mirid":"` + identityID + `"}`
	v2 := `{"azp":"` + guid + `","ver":"2.0"}`
	for _, id := range []string{guid, identityID, identityID + "/", strings.ToUpper(identityID), "another", ""} {
		f.Add(jwtOf(v1), id, "")
		f.Add(jwtOf(v2), id, id)
		f.Add("opaque", id, strings.ToUpper(id))
		f.Add("opaque", id, "/another")
	}
	f.Add(jwtOf(`{"appid":"\u017f\u212a"}`), "sk", "SK")
	f.Add(jwtOf(`{"appid":"`+jwtOf("{}")+`"}`), "a", "eyJhbGciOiJub25lIn0.e30.s")
	f.Add(jwtOf(`{"sub":"a","appid":"b"}`), "a", "")
	f.Add(jwtOf(`{"sub":"a","idtyp":"user","scp":"s"}`), "a", "a")
	f.Add("0", "0", " ") // a name of blanks is a name, and was taken for none
	f.Add(jwtOf(`{"oid":"\u0000","azp":"\u200b"}`), "0", "\x01")
	f.Add("a.e30.b", "/", "/")
	f.Add("a.b.c.d.e", " a", "a ")
	f.Add("TOPSECRET-of-the-token", guid, "TOPSECRET-of-the-token") // where the identity belongs
	f.Fuzz(func(t *testing.T, value, id, echoed string) {
		claims := token.ClaimsOf(value)
		tk := token.Token{Value: value, Echo: token.Echo{ClientID: echoed, ObjectID: echoed,
			ResourceID: echoed}}
		subject := token.Text("") // stands in for what is nowhere else
		if echoed == "" && claims.OID == "" {
			subject = claims.Sub
		}
		person := strings.EqualFold(string(claims.IDType), "user") ||
			claims.IDType == "" && claims.UPN+claims.Scopes != ""
		if got := (ID{}).Mismatch(tk, true); got != "" {
			t.Errorf("nobody asked, got %q", got)
		}
		for _, ask := range []struct {
			id   ID
			said []token.Text
		}{
			{id: ID{ClientID, id}, said: []token.Text{token.Text(echoed), claims.AppID, claims.Azp}},
			{id: ID{ObjectID, id}, said: []token.Text{token.Text(echoed), claims.OID, subject}},
			{id: ID{ResourceID, id}, said: []token.Text{token.Text(echoed), claims.MIRID}},
		} {
			contradicted := person
			if claims.Readable && ask.id.Kind != ResourceID &&
				!slices.ContainsFunc(ask.said, func(s token.Text) bool { return s != "" }) {
				contradicted = true
			}
			for _, s := range ask.said {
				contradicted = contradicted || s != "" && !slowlySameID(string(s), id)
			}
			for _, mustEcho := range []bool{false, true} {
				got := ask.id.Mismatch(tk, mustEcho)
				if want := contradicted || mustEcho && echoed == ""; want != (got != "") {
					t.Errorf("%v %q, echo %q, said %q, mustEcho %v: got %q, want a mismatch: %v", ask.id.Kind, id,
						echoed, ask.said, mustEcho, got, want)
				}
				if got != redact.Line(got) || len(got) > redact.MaxLine || redact.Token(got) != got || len(value) >= 8 &&
					strings.Contains(got, value) {
					t.Errorf("%v: not one short line without a token: %q", ask.id.Kind, got)
				}
			}
		}
	})
}
