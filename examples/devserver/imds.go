package main

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// imds is the instance metadata service of virtual machines:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
var imds = protocol{
	name: "IMDS",
	flag: "imds",
	path: "/metadata/identity/oauth2/token",
	// the last is undocumented, and sent by some
	selectors: []string{"client_id", "object_id", "msi_res_id", "mi_res_id"},
	version:   func(v string) bool { return dates.MatchString(v) && v >= "2018-02-01" },
	versions:  "2018-02-01 or a later one",
	admit:     admitMetadata,
	success:   imdsToken,
	failure:   func(no refusal, _ http.Header) any { return imdsError{no.code, no.message} },
}

var dates = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// admitMetadata: a web page can't send this header without asking first, and whoever is tricked
// into fetching a URL doesn't.
func admitMetadata(_ *handler, header http.Header) *refusal {
	if value, ok := only(header, "Metadata"); !ok || value != "true" {
		return invalid("Required metadata header not specified: want Metadata: true")
	}
	return nil
}

type imdsError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// imdsToken: numbers are strings there.
func imdsToken(token azcore.AccessToken, resource string) any {
	c := claimsOf(token.Token)
	left := strconv.FormatInt(int64(max(0, time.Until(token.ExpiresOn)/time.Second)), 10)
	return struct {
		AccessToken  string `json:"access_token"`
		ClientID     string `json:"client_id,omitempty"`
		ExpiresIn    string `json:"expires_in"`
		ExpiresOn    string `json:"expires_on"`
		ExtExpiresIn string `json:"ext_expires_in"`
		NotBefore    string `json:"not_before"`
		Resource     string `json:"resource"`
		TokenType    string `json:"token_type"`
	}{token.Token, c.ClientID, left, unix(token.ExpiresOn), left, c.notBefore(), resource, "Bearer"}
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
