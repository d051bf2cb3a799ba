package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

const (
	secret    = "CANARYSECRETOFTHISRUN23456"
	cliClient = "04b07795-8ddb-461a-bbee-02f9e1bf7b46" // the Azure CLI's own, as its tokens say
	nobody    = "b2f5a3c0-0000-4000-8000-000000000001"
	vault     = "https://vault.azure.net"
)

// developer is a credential with one token, or one error.
type developer struct {
	mu    sync.Mutex
	token azcore.AccessToken
	err   error
	asked []policy.TokenRequestOptions
}

func (d *developer) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, options)
	if _, limited := ctx.Deadline(); !limited {
		return azcore.AccessToken{}, fmt.Errorf("no time limit")
	}
	return d.token, d.err
}

// scopes are those that were asked for.
func (d *developer) scopes() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, options := range d.asked {
		list = append(list, options.Scopes...)
	}
	return list
}

// fixture is a handler, and all that goes in and out of it.
type fixture struct {
	*handler
	developer *developer
	logged    *bytes.Buffer
	expires   time.Time
}

func newFixture(t *testing.T, accepted ...string) fixture {
	t.Helper()
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	d := &developer{token: azcore.AccessToken{
		Token: commandlinetest.JWTOf(t,
			map[string]any{"appid": cliClient, "nbf": 1700000000, "oid": nobody}),
		ExpiresOn: expires,
	}}
	logged := new(bytes.Buffer)
	h := &handler{
		credential: d, protocols: protocols, secret: secret, hostName: "laptop.test", accepted: accepted,
		log: slog.New(slog.NewTextHandler(logged, nil)),
	}
	return fixture{h, d, logged, expires}
}

// The requests as an SDK sends them.
const (
	imdsURL       = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"
	appServiceURL = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
)

func good(p protocol) *http.Request {
	target, header, value := imdsURL, "Metadata", "true"
	if p.name == appService.name {
		target, header, value = appServiceURL, "X-IDENTITY-HEADER", secret
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "host.docker.internal:16925"
	r.Header.Set(header, value)
	return r
}

// send serves a request, and checks what holds for every answer: a token is in a success only, the
// secret nowhere, neither is in the log, and no cache keeps anything.
func (f fixture) send(t *testing.T, r *http.Request) (status int, body map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	text := w.Body.String()
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Errorf("body %q: %v", text, err)
	}
	token := f.developer.token.Token
	if token != "" && strings.Contains(text, token) != (w.Code == http.StatusOK) {
		t.Errorf("status %d with body %s: want the token in a success only", w.Code, text)
	}
	all := text + fmt.Sprint(w.Header())
	if strings.Contains(all, secret) || strings.Contains(f.logged.String(), secret) {
		t.Errorf("the secret is in the answer or in the log:\n%s\n%s", all, f.logged)
	}
	if token != "" && (strings.Contains(f.logged.String(), token) ||
		strings.Contains(fmt.Sprint(w.Header()), token)) {
		t.Errorf("the token is in the log or in a header:\n%s\n%v", f.logged, w.Header())
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store",
		"X-Content-Type-Options":      "nosniff",
		"Access-Control-Allow-Origin": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
	return w.Code, body
}

// wantRefused checks that an answer has the shape of the protocol's errors, and what it says.
func wantRefused(
	t *testing.T, p protocol, status, wantStatus int, body map[string]any, want string,
) {
	t.Helper()
	if status != wantStatus {
		t.Errorf("status %d, want %d: %v", status, wantStatus, body)
	}
	text, _ := body["error_description"].(string)
	shape := len(body) == 2 && body["error"] != ""
	if p.name == appService.name {
		text, _ = body["message"].(string)
		id, _ := body["correlationId"].(string)
		shape = len(body) == 3 && body["statusCode"] == float64(wantStatus) && len(id) == 36
	}
	if !shape || text == "" {
		t.Errorf("%v is no error of %s", body, p.name)
	}
	if !strings.Contains(text, want) || strings.ContainsAny(text, "\r\n") {
		t.Errorf("got message %q, want one line with %q in it", text, want)
	}
}
