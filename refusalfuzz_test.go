package identity

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
)

// FuzzRefusal: what any host's answer without a token says becomes an error of one line of
// printable text, bounded, without the secret that was sent and without a token.
func FuzzRefusal(f *testing.F) {
	statuses := []uint16{200, 202, 204, 301, 404, 405, 410, 429, 500, 503, 600, 0}
	for i, body := range append(recorded(f), imdsError, appServiceError, "<html>\xff\n", "", " ",
		"Required metadata header not specified or not correct", `{"Code":"AKV10000","Message":"m"}`,
		"connecting to 169.254.169.254:80: dial tcp 169.254.169.254:80: connectex: A socket operation",
		`{"error":"bad_request_102","error_description":"Required metadata header not specified"}`,
		"AADSTS"+strings.Repeat("7", 2000), strings.Repeat("世", 200), `{"error":"`+jwtOf("{}")+`"}`,
		`{"error":"e","error_codes":[`+strings.Repeat("7", 2000)+`]}`,
		`{"error":{"code":"c","message":"m\u2028\u0085"}}`, `{"access_token":"t","expires_in":3600}`,
		`{"access_token":"eyJ0eXAi.eyJhdWQi.c2ln","expires_in":"86399","token_type":"Bearer"}`,
		`{"error_description":"AADSTS700016: x Trace ID: y"}`, `{"error":"temporarily_unavailable"}`,
		"POST https://x\nRESPONSE 400\n{\"error\":\"e\",\"error_description\":\"AADSTS700038: x\"}\nTo",
		`x {"error":{"message":"AADSTS1"}} {`, `{{{{AADSTS700213\r\n`,
	) {
		f.Add(body, "c", uint16(400+i%4), byte(i), uint16(i), byte(i))
		f.Add(body, "a\r\nb", statuses[i%12], byte(i/7), uint16(len(body)/2), byte(i))
	}
	var answered *http.Response // by a policy, so that it is read in each host's way
	options := &CredentialOptions{}
	options.PerCallPolicies = []policy.Policy{policyFunc(
		func(*policy.Request) (*http.Response, error) { return answered, nil })}
	secret := "QJX7canary<VBK2/+=" + randomText("the host's secret", 24)
	var search secretSearch
	search.add("the secret", secret)
	var hosts []*Credential
	for _, env := range everyHost(f, secret) {
		cred, err := newCredentialIn(newShared(), options, env)
		if err != nil {
			f.Fatal(err)
		}
		r, err := cred.hosted.host.Call(context.Background(),
			acquire.Request{Resource: "https://vault.azure.net"})
		if err != nil {
			f.Fatal(err)
		}
		if r.Secret == secret { // the others have none to show
			hosts = append(hosts, cred)
		}
	}
	f.Fuzz(func(t *testing.T, body, header string, status uint16, which byte, at uint16, escape byte) {
		h, e := hosts[int(which)%len(hosts)], echoedForms[int(escape)%len(echoedForms)]
		if search.find(body) != "" || search.find(header) != "" || len(body) > redact.MaxText {
			t.Skip()
		}
		cut := min(int(at), len(body))
		echo := body[:cut] + e.write(secret) + body[cut:]
		answered = &http.Response{
			StatusCode: int(status),
			Header: http.Header{
				"X-Correlation-Id": {header + e.write(secret)}, "Server": {"IMDS/1" + secret},
				"Retry-After": {header},
			},
			Body: io.NopCloser(strings.NewReader(echo)),
			Request: &http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "h",
				RawQuery: "resource=r&sig=" + url.QueryEscape(secret)}},
		}
		client := h.hosted.client
		granted, failed := client.Acquire(t.Context(),
			acquire.Request{Resource: "https://vault.azure.net"}, ignored{})
		if failed == nil && (granted.Value == "" || status != 200 && status != 202) {
			t.Fatalf("%s: %d %q: granted %v", h.Host(), status, echo, granted)
		}
		if failed == nil {
			return
		}
		err := publicError(failed, &h.hosted, "")
		texts := map[string]string{"Error": err.Error(), "%+v": fmt.Sprintf("%+v %+v", err, *err),
			"Code": err.Code, "Message": err.Message, "CorrelationID": err.CorrelationID}
		if err.RawResponse != nil {
			raw, _ := io.ReadAll(err.RawResponse.Body)
			texts["body"] = string(raw)
			texts["header"] = fmt.Sprint(err.RawResponse.Header, err.RawResponse.Request.URL,
				err.RawResponse.Status)
			if len(raw) > 16<<10 || status >= 200 && status < 300 && len(raw) > 0 {
				t.Errorf("%d bytes of the answer are kept after a %d", len(raw), status)
			}
		}
		limits := map[string]int{"Error": 2000, "Code": 300, "Message": 300, "CorrelationID": 300}
		for name, text := range texts {
			if found := search.find(text); found != "" || showsToken(text) {
				t.Errorf("%s: %s shows %s or a token: %q", h.Host(), name, found, text)
			}
			if limit := limits[name]; limit > 0 && (len(text) > limit || text != redact.Printable(text)) {
				t.Errorf("%s: %s is not one printable line of at most %d bytes: %d bytes %q", h.Host(),
					name, limit, len(text), text)
			}
		}
		if err.StatusCode != int(status) || failed.RetryAfter < 0 || failed.RetryAfter > retry.MaxAfter {
			t.Errorf("%d became %d, to be asked again in %v", status, err.StatusCode, failed.RetryAfter)
		}
	})
}

// everyHost are environments of all hosts, with one secret in the variable or the file for one.
func everyHost(tb testing.TB, secret string) []environment {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		tb.Fatal(err)
	}
	const thumbprint = "0123456789ABCDEF0123456789abcdef01234567"
	const fabric, container = "https://localhost:2377/", "http://10.0.0.2:2377/"
	const path = "metadata/identity/oauth2/token"
	var list []environment
	for _, variables := range []map[string]string{
		nil,
		{envEndpoint: "http://localhost:4141/msi/token", envHeader: secret},
		{envEndpoint: fabric + path, envHeader: secret, envThumbprint: thumbprint},
		{envEndpoint: container + path + "?api-version=1.0", envHeader: secret,
			envThumbprint: thumbprint},
		{envMSI: "http://localhost:4141/msi/token", envMSISecret: secret},
		{envMSI: "http://localhost:50342/oauth2/token"},
		{envEndpoint: detect.ArcEndpoint, envIMDS: "http://localhost:40342"},
		{envTokenFile: file, envClientID: guid, envTenantID: otherTenant},
	} {
		list = append(list, environmentOf(variables))
	}
	hosts := []Host{}
	for _, env := range list {
		hosts = append(hosts, Host(detect.On(env.machine()).Host))
	}
	slices.Sort(hosts)
	if len(slices.Compact(hosts)) != len(makers) {
		tb.Fatalf("the environments are of %q", hosts)
	}
	return list
}

// ignored is Progress that nobody waits for.
type ignored struct{}

func (ignored) Sent()                   {}
func (ignored) Throttled()              {}
func (ignored) Failed(*failure.Failure) {}
