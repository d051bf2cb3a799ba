package identitytest

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// jobRequest is a right request to GitHub Actions or Azure Pipelines.
func jobRequest(t *testing.T, e *Endpoint) *http.Request {
	t.Helper()
	env := inMemory(e)
	if u := env("ACTIONS_ID_TOKEN_REQUEST_URL"); u != "" {
		r := request(t, "GET", u+"&audience="+exchangeAudience, "")
		r.Header.Set("Authorization", "bearer "+env("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
		return r
	}
	r := request(t, "POST", env("SYSTEM_OIDCREQUESTURI")+"?api-version=7.1&serviceConnectionId="+
		env("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"), "")
	r.Header.Set("Authorization", "Bearer "+env("SYSTEM_ACCESSTOKEN"))
	r.Header.Set("X-TFS-FedAuthRedirect", "Suppress")
	return r
}

func jobToken(t *testing.T, e *Endpoint, send transport) string {
	t.Helper()
	got := send(t, jobRequest(t, e))
	raw, _ := members(t, got.Body)["value"].(string)
	if raw == "" {
		raw, _ = members(t, got.Body)["oidcToken"].(string)
	}
	if got.Status != http.StatusOK || raw == "" {
		t.Fatalf("got %d %s, want a token", got.Status, got.Body)
	}
	return raw
}

// both applies two spoilers.
func both(a, b func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) { a(r); b(r) }
}

func TestJobsAreRefused(t *testing.T) {
	t.Parallel()
	const noMethod = "The requested resource does not support http method 'GET'."
	for _, test := range []struct {
		name   string
		new    func(*Options) *Endpoint
		spoil  func(*http.Request)
		status int
		text   string // within the body; "" for none at all
	}{
		{"GitHub: path", NewGitHubActions, path("/other"), 404, "Not Found"},
		{"GitHub: post", NewGitHubActions, method("POST"), 405, "Method Not Allowed"},
		{"GitHub: no token", NewGitHubActions, header("Authorization"), 401, ""},
		{"GitHub: wrong token", NewGitHubActions, header("Authorization", "bearer x"), 401, ""},
		{"GitHub: basic", NewGitHubActions, header("Authorization", "Basic x"), 401, ""},
		{"GitHub: no version", NewGitHubActions, query("api-version"), 400, "api-version"},
		{"GitHub: a query begun twice", NewGitHubActions, func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "&", "?", 1)
		}, 400, "api-version"},
		{"GitHub: two audiences", NewGitHubActions, query("audience", "a", "b"), 400, "more than once"},

		{"Pipelines: path", NewAzurePipelines, path("/other"), 404, ""},
		{"Pipelines: get", NewAzurePipelines, method("GET"), 405, noMethod},
		{"Pipelines: no token", NewAzurePipelines, header("Authorization"), 401, ""},
		{"Pipelines: wrong token", NewAzurePipelines, header("Authorization", "Bearer x"), 401, ""},
		{"Pipelines: wrong token, redirected", NewAzurePipelines,
			both(header("Authorization", "Bearer x"), header("X-TFS-FedAuthRedirect")), 302, ""},
		{"Pipelines: no version", NewAzurePipelines, query("api-version"), 400, "No api-version"},
		{"Pipelines: another version", NewAzurePipelines, query("api-version", "1.0"), 400,
			"api-version"},
		{"Pipelines: two versions", NewAzurePipelines, query("api-version", "7.1", "7.1"), 400,
			"more than once"},
		{"Pipelines: another connection", NewAzurePipelines, query("serviceConnectionId", "x"), 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := test.new(nil)
			r := jobRequest(t, e)
			test.spoil(r)
			got := do(t, e, r)
			if got.Status != test.status || !strings.Contains(got.Body, test.text) ||
				(test.text == "") != (got.Body == "") {
				t.Errorf("got %d %s, want %d with %q", got.Status, got.Body, test.status, test.text)
			}
			if trace := got.Header.Get("X-Vss-E2eid") + got.Header.Get("X-Msedge-Ref"); (trace != "") !=
				strings.HasPrefix(test.name, "Pipelines") {
				t.Errorf("got header %v", got.Header)
			}
			if to := got.Header.Get("Location"); (to != "") != (test.status == 302) {
				t.Errorf("got Location %q", to)
			}
		})
	}
}

func TestJobsGetTokens(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		new   func(*Options) *Endpoint
		spoil func(*http.Request)
		want  assertionClaims
	}{
		{"GitHub", NewGitHubActions, method("GET"),
			assertionClaims{Audience: audience{exchangeAudience}, Issuer: gitHubIssuer,
				Subject: gitHubSubject}},
		{"GitHub, no audience", NewGitHubActions, query("audience"), assertionClaims{
			Audience: audience{"https://github.com/octo-org"}, Issuer: gitHubIssuer,
			Subject: gitHubSubject}},
		{"GitHub, another audience", NewGitHubActions, query("audience", "a b"),
			assertionClaims{Audience: audience{"a b"}, Issuer: gitHubIssuer, Subject: gitHubSubject}},
		{"Pipelines", NewAzurePipelines, query("serviceConnectionId", strings.ToUpper(serviceConnection)),
			assertionClaims{Audience: audience{exchangeAudience}, Issuer: pipelinesIssuer,
				Subject: connectionSubject}},
		{"Pipelines, no connection", NewAzurePipelines, query("serviceConnectionId"),
			assertionClaims{Audience: audience{exchangeAudience}, Issuer: pipelinesIssuer,
				Subject: pipelineSubject}},
		{"Pipelines, a right token needs no header", NewAzurePipelines, header("X-TFS-FedAuthRedirect"),
			assertionClaims{Audience: audience{exchangeAudience}, Issuer: pipelinesIssuer,
				Subject: connectionSubject}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := test.new(nil)
				raw := jobToken(t, e, func(t *testing.T, r *http.Request) reply {
					test.spoil(r)
					return do(t, e, r)
				})
				got, err := readAssertion(raw)
				want := test.want
				want.Expires = time.Now().Add(5 * time.Minute).Unix()
				want.NotBefore = time.Now().Add(-10 * time.Minute).Unix()
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("error %v, claims (-want +got):\n%s", err, diff)
				}
				if again := jobToken(t, e, throughDo(e)); again == raw {
					t.Error("got the same token twice")
				}
			})
		})
	}
}

func TestJobsRotateSecret(t *testing.T) {
	for _, constructor := range []func(*Options) *Endpoint{NewGitHubActions, NewAzurePipelines} {
		e := constructor(nil)
		r := jobRequest(t, e)
		e.RotateSecret()
		if got := do(t, e, r); got.Status != http.StatusUnauthorized {
			t.Errorf("got status %d for the old secret, want 401", got.Status)
		}
		jobToken(t, e, throughDo(e))
		e.Enqueue(Response{Status: 503}, Response{Status: 401}, Response{Status: 204})
		for _, want := range []int{503, 401, 204} {
			if got := do(t, e, jobRequest(t, e)); got.Status != want || (got.Body == "") != (want != 503) {
				t.Errorf("got %d %q, want status %d", got.Status, got.Body, want)
			}
		}
	}
}
