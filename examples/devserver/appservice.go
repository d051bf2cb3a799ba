package main

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// appService is the endpoint of App Service, Functions and Container Apps:
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
var appService = protocol{
	name:      "App Service",
	flag:      "appservice",
	path:      "/msi/token",
	selectors: []string{"client_id", "principal_id", "object_id", "mi_res_id"},
	version:   func(v string) bool { return v == "2019-08-01" },
	versions:  "2019-08-01",
	admit:     admitSecret,
	success:   appServiceToken,
	failure:   appServiceError,
}

// admitSecret takes the same time for every wrong secret of a length.
func admitSecret(h *handler, header http.Header) *refusal {
	value, ok := only(header, "X-Identity-Header")
	if !ok || subtle.ConstantTimeCompare([]byte(value), []byte(h.secret)) != 1 {
		return forbidden("X-IDENTITY-HEADER isn't the secret of this run of devserver: set " +
			"IDENTITY_HEADER to what it says at its start")
	}
	return nil
}

// appServiceToken: numbers are strings there, and there is no expires_in.
func appServiceToken(token azcore.AccessToken, resource string) any {
	c := claimsOf(token.Token)
	return struct {
		AccessToken string `json:"access_token"`
		ClientID    string `json:"client_id,omitempty"`
		ExpiresOn   string `json:"expires_on"`
		NotBefore   string `json:"not_before"`
		Resource    string `json:"resource"`
		TokenType   string `json:"token_type"`
	}{token.Token, c.ClientID, unix(token.ExpiresOn), c.notBefore(), resource, "Bearer"}
}

func appServiceError(no refusal, header http.Header) any {
	id := randomGUID()
	header.Set("X-Correlation-Id", id)
	return struct {
		StatusCode    int    `json:"statusCode"`
		Message       string `json:"message"`
		CorrelationID string `json:"correlationId"`
	}{no.status, no.message, id}
}

func randomGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
