package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
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

var mismatches = []struct {
	name  string
	id    ID
	token string
	echo  token.Echo
	want  string
}{
	{"nobody asked", nil, v1OthersToken, token.Echo{ClientID: otherGUID}, ""},
	{"client ID, v1", ClientID(guid), v1Token, token.Echo{}, ""},
	{"client ID, v2", ClientID(guid), v2Token, token.Echo{}, ""},
	{"client ID, other case", ClientID("abcdef11-2222-3333-4444-555555555555"), v1InCapitals,
		token.Echo{ClientID: "abcDEF11-2222-3333-4444-555555555555"}, ""},
	{"client ID, another, v1", ClientID(guid), v1OthersToken, token.Echo{}, otherGUID},
	{"client ID, another, v2", ClientID(guid), v2OthersToken, token.Echo{}, otherGUID},
	{"client ID, echo agrees, JWT contradicts", ClientID(guid), v1OthersToken,
		token.Echo{ClientID: guid},
		otherGUID},
	{"client ID, JWT agrees, echo contradicts", ClientID(guid), v1Token,
		token.Echo{ClientID: otherGUID},
		otherGUID},
	{"client ID, opaque with echo", ClientID(guid), "opaque", token.Echo{ClientID: guid}, ""},
	{"client ID, opaque with another echo", ClientID(guid), "opaque", token.Echo{ClientID: otherGUID},
		otherGUID},
	{"client ID, opaque without echo", ClientID(guid), "opaque", token.Echo{}, ""},
	{"client ID, object ID differs", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","oid":"` + otherGUID + `"}`), token.Echo{ObjectID: otherGUID}, ""},
	{"client ID that is a prefix", ClientID(guid), jwtOf(`{"appid":"` + guid + `0"}`), token.Echo{},
		guid + "0"},
	{"client ID, claim is a number", ClientID(guid), jwtOf(`{"appid":42}`), token.Echo{}, "42"},
	{"client ID, claim is null", ClientID(guid), jwtOf(`{"appid":null}`), token.Echo{},
		unnamedIdentity},
	{"client ID, claim is null, echo", ClientID(guid), jwtOf(`{"appid":null}`),
		token.Echo{ClientID: guid}, ""},
	{"client ID, no claim", ClientID(guid),
		jwtOf(`{"oid":"` + guid + `","sub":"` + guid + `","xms_mirid":"` + identityID +
			`"}`), token.Echo{ObjectID: guid, PrincipalID: guid, ResourceID: identityID}, unnamedIdentity},
	{"client ID, no claim but an echo", ClientID(guid), jwtOf(`{"oid":"` + otherGUID + `"}`),
		token.Echo{ClientID: guid}, ""},
	{"client ID, appid and azp differ", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","azp":"` + otherGUID + `"}`), token.Echo{}, otherGUID},
	{"client ID, no claims at all", ClientID(guid), jwtOf(`{}`), token.Echo{}, unnamedIdentity},
	{"client ID, a JWT whose claims are none", ClientID(guid), jwtOf(`null`), token.Echo{}, ""},
	{"client ID, a list of claims", ClientID(guid), jwtOf(`["appid"]`), token.Echo{}, ""},
	{"client ID, an encrypted token", ClientID(guid), "a.b.c.d.e", token.Echo{}, ""},
	{"client ID, an application", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","idtyp":"app","oid":"` + otherGUID + `"}`), token.Echo{}, ""},
	{"client ID, an application with a user's claims", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","idtyp":"app","upn":"u","scp":"s"}`), token.Echo{}, ""},
	{"client ID, a user of that application", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","idtyp":"user"}`), token.Echo{ClientID: guid}, aPerson},
	{"client ID, a user by name", ClientID(guid),
		jwtOf(`{"appid":"` + guid + `","upn":"dev@contoso.example"}`), token.Echo{}, aPerson},
	{"client ID, a user by what was allowed", ClientID(guid),
		jwtOf(`{"azp":"` + guid + `","scp":"user_impersonation"}`), token.Echo{}, aPerson},
	{"client ID, nothing allowed", ClientID(guid),
		jwtOf(`{"azp":"` + guid + `","scp":"","upn":null,"idtyp":""}`), token.Echo{}, ""},
	{"object ID, sub instead of oid", ObjectID(guid),
		jwtOf(`{"sub":"` + guid + `","appid":"` + otherGUID + `"}`), token.Echo{}, ""},
	{"object ID, another's sub instead of oid", ObjectID(guid),
		jwtOf(`{"sub":"` + otherGUID + `","appid":"` + otherGUID + `"}`), token.Echo{}, otherGUID},
	{"object ID, another's sub beside oid", ObjectID(guid),
		jwtOf(`{"sub":"` + otherGUID + `","oid":"` + guid + `"}`), token.Echo{}, ""},
	{"object ID, another's sub beside an echo", ObjectID(guid), jwtOf(`{"sub":"` + otherGUID + `"}`),
		token.Echo{PrincipalID: guid}, ""},
	{"object ID, another's oid beside sub", ObjectID(guid),
		jwtOf(`{"sub":"` + guid + `","oid":"` + otherGUID + `"}`), token.Echo{}, otherGUID},
	{"object ID, neither oid nor sub", ObjectID(guid), jwtOf(`{"appid":"` + otherGUID + `"}`),
		token.Echo{ClientID: otherGUID}, unnamedIdentity},
	{"object ID, neither but object_id", ObjectID(guid), jwtOf(`{"appid":"` + otherGUID + `"}`),
		token.Echo{ObjectID: guid}, ""},
	{"object ID, neither but principal_id", ObjectID(guid), jwtOf(`{"appid":"` + otherGUID + `"}`),
		token.Echo{PrincipalID: strings.ToUpper(guid)}, ""},
	{"object ID, object_id and principal_id differ", ObjectID(guid), v1Token,
		token.Echo{ObjectID: guid, PrincipalID: otherGUID}, otherGUID},
	{"object ID, a user's", ObjectID(guid), jwtOf(`{"oid":"` + guid + `","idtyp":"User"}`),
		token.Echo{ObjectID: guid}, aPerson},
	{"object ID, a user's sub", ObjectID(guid), jwtOf(`{"sub":"` + guid + `","scp":"s"}`),
		token.Echo{}, aPerson},
	{"resource ID, no claim, as with other resources than Microsoft's", ResourceID(identityID),
		jwtOf(`{"appid":"` + otherGUID + `","oid":"` + otherGUID + `"}`), token.Echo{}, ""},
	{"resource ID, no claim but an echo", ResourceID(identityID),
		jwtOf(`{"appid":"` + otherGUID + `"}`),
		token.Echo{ResourceID: identityID}, ""},
	{"resource ID, a user's", ResourceID(identityID),
		jwtOf(`{"appid":"` + otherGUID +
			`","idtyp":"user"}`), token.Echo{ResourceID: identityID}, aPerson},
	{"resource ID, a user's, no echo", ResourceID(identityID), jwtOf(`{"upn":"u"}`), token.Echo{},
		aPerson},
	{"object ID", ObjectID(guid), v1Token, token.Echo{}, ""},
	{"object ID, another", ObjectID(guid), v1OthersToken, token.Echo{}, otherGUID},
	{"object ID, client ID differs", ObjectID(guid),
		jwtOf(`{"oid":"` + guid + `","appid":"` + otherGUID + `"}`), token.Echo{ClientID: otherGUID}, ""},
	{"object ID, another echo", ObjectID(guid), v1Token, token.Echo{ObjectID: otherGUID}, otherGUID},
	{"object ID, opaque", ObjectID(guid), "opaque", token.Echo{ClientID: otherGUID}, ""},
	{"resource ID", ResourceID(identityID), v1Token, token.Echo{}, ""},
	{"resource ID, other case", ResourceID(identityID), v1InCapitals, token.Echo{}, ""},
	{"resource ID, trailing slash", ResourceID(identityID + "/"), v1Token, token.Echo{}, ""},
	{"resource ID, trailing slash came back", ResourceID(identityID), "opaque",
		token.Echo{ResourceID: identityID + "/"}, ""},
	{"resource ID, no leading slash came back", ResourceID(identityID), "opaque",
		token.Echo{ResourceID: strings.TrimPrefix(identityID, "/")}, ""},
	{"resource ID, another", ResourceID(identityID), v1OthersToken, token.Echo{}, identityID + "x"},
	{"resource ID, another echo", ResourceID(identityID), v1Token, token.Echo{ResourceID: "/other"},
		"/other"},
	{"resource ID, opaque", ResourceID(identityID), "opaque", token.Echo{}, ""},
	{"system-assigned instead", ResourceID(identityID),
		jwtOf(`{"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"}`), token.Echo{}, "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"},
	{"a nasty claim", ClientID(guid), jwtOf(`{"appid":"a\r\nb"}`), token.Echo{}, "a b"},
	{"a claim that can't be printed", ClientID(guid), jwtOf(`{"appid":"\u0000"}`), token.Echo{},
		"an identity that can't be printed"},
	{"an echo that can't be printed", ClientID(guid), v1Token, token.Echo{ClientID: "\u200b\u0001"},
		"an identity that can't be printed"},
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	for _, tt := range mismatches {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mismatch(tt.id, token.Token{Value: tt.token, Echo: tt.echo}, false); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// Where the answer must name it, silence doesn't pass, and nothing else does that
			// doesn't without.
			if got := mismatch(tt.id, token.Token{Value: tt.token, Echo: tt.echo}, true); tt.want != "" &&
				got == "" {
				t.Errorf("with an echo demanded it passes, want %q", tt.want)
			}
		})
	}
}

// TestMismatchIsAnError: through the whole of GetToken, and the token is not kept.
func TestMismatchIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tokenOfAnother := jwtOf(`{"appid":"another"}`)
		cred := onIMDS(t, always(200, grantBody(tokenOfAnother, time.Hour)), func(o *CredentialOptions) {
			o.ID = ClientID(guid)
		})
		for range 2 {
			e, _ := mustFail(t, cred)
			want := "identity: IMDS: 200: the host returned a token of another identity (token for https://vault.azure.net, 1 attempt, 0s): asked for client ID " + guid + ", got the token of another: is the identity assigned, and does this host support selecting one?"
			if diff := cmp.Diff(want, e.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if !errors.Is(e, ErrIdentityMismatch) || errors.Is(e, ErrIdentityNotFound) ||
				errors.Is(e, ErrUnavailable) {
				t.Errorf("sentinels are off: %v", e)
			}
			if e.RawResponse != nil {
				t.Error("RawResponse has the body with the token")
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestMismatchDoesNotShowTheToken: a look-alike may put the token where the identity belongs.
func TestMismatchDoesNotShowTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, always(200,
			`{"access_token":"TOPSECRET-of-the-token","expires_in":3600,"client_id":"TOPSECRET-of-the-token"}`), func(o *CredentialOptions) {
			o.ID = ClientID(guid)
		})
		if e, _ := mustFail(t, cred); strings.Contains(e.Error(), "TOPSECRET") {
			t.Errorf("error shows the token: %v", e)
		}
	})
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
		if got := mismatch(nil, tk, true); got != "" {
			t.Errorf("nobody asked, got %q", got)
		}
		for _, ask := range []struct {
			id   ID
			said []token.Text
		}{
			{ClientID(id), []token.Text{token.Text(echoed), claims.AppID, claims.Azp}},
			{ObjectID(id), []token.Text{token.Text(echoed), claims.OID, subject}},
			{ResourceID(id), []token.Text{token.Text(echoed), claims.MIRID}},
		} {
			contradicted := person
			if _, byResource := ask.id.(ResourceID); claims.Readable && !byResource &&
				!slices.ContainsFunc(ask.said, func(s token.Text) bool { return s != "" }) {
				contradicted = true
			}
			for _, s := range ask.said {
				contradicted = contradicted || s != "" && !slowlySameID(string(s), id)
			}
			for _, mustEcho := range []bool{false, true} {
				got := mismatch(ask.id, tk, mustEcho)
				if want := contradicted || mustEcho && echoed == ""; want != (got != "") {
					t.Errorf("%T %q, echo %q, said %q, mustEcho %v: got %q, want a mismatch: %v", ask.id, id,
						echoed, ask.said, mustEcho, got, want)
				}
				if got != redact.Line(got) || len(got) > redact.MaxLine || showsToken(got) || len(value) >= 8 &&
					strings.Contains(got, value) {
					t.Errorf("%T: not one short line without a token: %q", ask.id, got)
				}
			}
		}
	})
}
