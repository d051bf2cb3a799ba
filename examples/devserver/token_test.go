package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestToken has every byte of a success: numbers are strings in both protocols.
func TestToken(t *testing.T) {
	t.Parallel()
	resource := func(resource string) func(*http.Request) { return set("resource", resource) }
	for _, test := range []struct {
		name     string
		protocol protocol
		change   func(*http.Request)
		resource string
	}{
		{"as it should be", imds, func(*http.Request) {}, vault},
		{"as it should be", appService, func(*http.Request) {}, vault},
		{"slash at the end", imds, resource("https://management.azure.com/"),
			"https://management.azure.com/"},
		{"slash at the end", appService, resource("https://management.azure.com/"),
			"https://management.azure.com/"},
		{"a GUID", appService, resource("api://" + nobody), "api://" + nobody},
		{"MSAL's slash", imds, path(imds.path + "/"), vault},
		{"path in capitals", imds, path("/METADATA/Identity/oauth2/Token"), vault},
		{"path in capitals", appService, path("/MSI/token/"), vault},
		{"later api-version", imds, set("api-version", "2021-12-13"), vault},
		{"Metadata as well", appService, header("Metadata", "true"), vault},
		{"other parameters", imds, more("bypass_cache=true"), vault},
		{"fetch of Node.js", imds, header("Sec-Fetch-Mode", "cors"), vault},
		{"localhost", imds, host("localhost:16925"), vault},
		{"localhost in capitals", imds, host("LOCALHOST"), vault},
		{"an IPv4 address", imds, host("172.17.0.1:16925"), vault},
		{"an IPv6 address", imds, host("[::1]:16925"), vault},
		{"an IPv6 address alone", imds, host("[::1]"), vault},
		{"Podman's name", imds, host("host.containers.internal:16925"), vault},
		{"Docker's gateway", imds, host("gateway.docker.internal:16925"), vault},
		{"the name of -host-name", imds, host("Laptop.test:16925"), vault},
	} {
		t.Run(test.protocol.name+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := good(test.protocol)
			test.change(r)
			status, body := f.send(t, r)
			if status != 200 {
				t.Fatalf("status %d, want 200: %v", status, body)
			}
			want := map[string]any{
				"access_token": f.developer.token.Token, "client_id": cliClient,
				"expires_on": strconv.FormatInt(f.expires.Unix(), 10),
				"not_before": "1700000000", "resource": test.resource, "token_type": "Bearer",
			}
			if test.protocol.name == imds.name {
				left, _ := body["expires_in"].(string)
				if s, err := strconv.Atoi(left); err != nil || s < 3590 || s > 3600 {
					t.Errorf("expires_in %q, want about an hour", body["expires_in"])
				}
				want["expires_in"], want["ext_expires_in"] = left, left
			}
			if !reflect.DeepEqual(body, want) {
				t.Errorf("body\n got %v\nwant %v", body, want)
			}
			if got, want := f.developer.scopes(),
				[]string{test.resource + "/.default"}; !reflect.DeepEqual(got, want) {
				t.Errorf("the credential was asked for %q, want %q", got, want)
			}
			if got := f.logged.String(); !strings.Contains(got, "resource="+test.resource) ||
				strings.Count(got, "\n") != 1 {
				t.Errorf("logged %q, want one line with the resource", got)
			}
		})
	}
}

// TestAcceptedID: the developer says that a program which asks for an identity gets the developer's
// token, and the log says it once. The answer names the application that got the token, not the one
// that was asked for.
func TestAcceptedID(t *testing.T) {
	t.Parallel()
	const resourceID = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"
	for _, test := range []struct {
		protocol   protocol
		name, id   string
		acceptedID string
	}{
		{imds, "client_id", nobody, nobody},
		{imds, "client_id", strings.ToUpper(nobody), nobody},
		{imds, "object_id", nobody, nobody},
		{imds, "msi_res_id", resourceID, resourceID},
		{imds, "mi_res_id", resourceID, resourceID},
		{appService, "client_id", nobody, strings.ToUpper(nobody)},
		{appService, "principal_id", nobody, nobody},
		{appService, "object_id", nobody, nobody},
		{appService, "mi_res_id", resourceID, resourceID},
	} {
		f := newFixture(t, "another", test.acceptedID)
		for range 2 {
			r := good(test.protocol)
			set(test.name, test.id)(r)
			status, body := f.send(t, r)
			if status != 200 || body["client_id"] != cliClient {
				t.Errorf("%s, %s: status %d, client_id %v, want 200 and that of the CLI", test.protocol.name,
					test.name, status, body["client_id"])
			}
		}
		if n := strings.Count(f.logged.String(), "-accept-id"); n != 1 {
			t.Errorf("%s, %s: told of %d times, want once:\n%s", test.protocol.name, test.name, n, f.logged)
		}
		r := good(test.protocol)
		set(test.name, "a third")(r)
		status, body := f.send(t, r)
		wantRefused(t, test.protocol, status, 400, body, `"a third"`)
	}
}

// TestOpaqueToken: not every token is a JWT.
func TestOpaqueToken(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"opaque", "a.b.c", "a.e30.c", "a.IjEi.c"} {
		for _, p := range protocols {
			f := newFixture(t)
			f.developer.token.Token = token
			status, body := f.send(t, good(p))
			notBefore, _ := strconv.ParseInt(fmt.Sprint(body["not_before"]), 10, 64)
			if _, has := body["client_id"]; status != 200 || has ||
				time.Since(time.Unix(notBefore, 0)).Abs() > time.Minute {
				t.Errorf("%s, %s: status %d, %v, want a token from now on and no client_id", p.name, token,
					status, body)
			}
		}
	}
}
