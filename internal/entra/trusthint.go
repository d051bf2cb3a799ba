package entra

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/keyless-go/identity/internal/check"
)

// differs is what no federated credential has, by Entra's number for that, "" for others.
func differs(number string) string {
	switch number {
	case "AADSTS70021":
		return " matches"
	case "AADSTS700211":
		return " has this issuer"
	case "AADSTS700212":
		return " has this audience"
	case "AADSTS700213":
		return " has this subject"
	case "AADSTS7002138":
		return " has this subject letter for letter, capitals and small ones"
	}
	return ""
}

const none = `""`

// TrustHint says what the federated credential of an application must have, ready to be copied,
// after Entra has refused an assertion with one of its numbers. who is the application, source
// what brought the assertion, both in words. audience is the one of the cloud.
func TrustHint(number, who, source, assertion, audience string) string {
	t := TrustOf(assertion)
	hint := "no federated credential of " + who + differs(number)
	if differs(number) == "" {
		hint = who + " has no federated credential"
	}
	brought := t.Audience
	// tokens of Entra's have the audience's client ID, federated credentials its URI
	if check.IsGUID(strings.Trim(brought, `"`)) {
		brought = strconv.Quote(audience)
	}
	hint += ": " + source + " brought issuer " + cmp.Or(t.Issuer, none) + ", subject " +
		cmp.Or(t.Subject, none) + ", audience " + cmp.Or(brought, none) +
		", and one must have exactly these"
	if number == "AADSTS700212" {
		hint += "; the audience of this cloud is " + audience
	}
	return hint + ". A new one works after some minutes"
}
