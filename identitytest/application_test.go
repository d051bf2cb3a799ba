package identitytest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// applicationRequest is a right request of an application with that assertion, but for what change
// does to it.
func applicationRequest(
	t *testing.T, e *Endpoint, app Identity, assertion string, change url.Values,
) *http.Request {
	t.Helper()
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {app.ClientID},
		"scope":                 {vault + "/.default"},
		"client_assertion_type": {assertionType},
		"client_assertion":      {assertion},
	}
	maps.Copy(form, change)
	r := request(t, "POST", inMemory(e)("AZURE_AUTHORITY_HOST")+app.TenantID+tokenPath, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// theirs is another issuer's token, with the claims of a good one but for what is changed.
func theirs(change map[string]any) string {
	c := map[string]any{
		"iss": "https://issuer.example", "sub": "workload", "aud": exchangeAudience,
		"nbf": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(c, change)
	return jwt(c)
}

var trusting = []FederatedCredential{
	{Issuer: "https://issuer.example", Subject: "workload"},
	{Issuer: "https://issuer.example", Subject: "Another", Audience: "mine"},
	{Issuer: "https://other.example/", Subject: "workload"},
}

func TestEntraJudgesAssertions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		assertion string
		code      int // 0: it is good
		text      string
	}{
		{"good", theirs(nil), 0, ""},
		{"in a list of audiences", theirs(map[string]any{"aud": []string{"x", exchangeAudience}}), 0, ""},
		{"Entra's own name of the audience", theirs(map[string]any{"aud": exchangeID}), 0, ""},
		{"another audience, as registered", theirs(map[string]any{"aud": "mine", "sub": "Another"}), 0,
			""},
		{"another issuer, as registered", theirs(map[string]any{"iss": "https://other.example/"}), 0, ""},
		{"issuer", theirs(map[string]any{"iss": "https://issuer.example/"}), 700211,
			"presented assertion issuer 'https://issuer.example/'."},
		{"audience", theirs(map[string]any{"aud": vault}), 700212,
			"presented assertion audience '" + vault + "'."},
		{"audience of another subject", theirs(map[string]any{"aud": "mine"}), 700213,
			"presented assertion subject 'workload'."},
		{"subject", theirs(map[string]any{"sub": "nobody"}), 700213,
			"presented assertion subject 'nobody'."},
		{"subject in other letters", theirs(map[string]any{"sub": "WorkLoad"}), 7002138,
			"presented assertion subject 'WorkLoad'. The subject matches with case-insensitive comparison"},
		{"ended", theirs(map[string]any{"exp": 1}), 700024, "not within its valid time range"},
		{"yet to begin", theirs(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 700024,
			"not within its valid time range"},
		{"no JWT", "secret", 50027, "JWT token is invalid or malformed."},
		{"no JSON", "a.b.c", 50027, "JWT token is invalid or malformed."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewEntra(&Options{FederatedCredentials: trusting})
			got := do(t, e, applicationRequest(t, e, e.Identities()[0], test.assertion, nil))
			if test.code != 0 {
				checkEntra(t, got, entraRefusal{401, "invalid_client", test.code, test.text})
				return
			}
			tokenOf(t, got)
		})
	}
	e := NewEntra(nil)
	checkEntra(t, do(t, e, applicationRequest(t, e, e.Identities()[0], theirs(nil), nil)),
		entraRefusal{401, "invalid_client", 70025, "has no configured federated identity credentials."})
}

// An application may be in several tenants, and has its own object ID in each. What it trusts is
// the same everywhere, and nothing to another application.
func TestEntraKnowsApplications(t *testing.T) {
	t.Parallel()
	home, guest := Identity{ClientID: guidOf("multi"), TenantID: guidOf("home")},
		Identity{ClientID: guidOf("multi"), TenantID: guidOf("customer")}
	other := Identity{ClientID: guidOf("other"), TenantID: home.TenantID}
	e := NewEntra(&Options{
		Identities: []Identity{home, guest, other},
		FederatedCredentials: []FederatedCredential{
			{ClientID: home.ClientID, Issuer: "https://issuer.example", Subject: "workload"},
		},
	})
	for i, app := range []Identity{home, guest} {
		c := readClaims(t, tokenOf(t, do(t, e, applicationRequest(t, e, app, theirs(nil), nil))))
		want := e.Identities()[i]
		if c.AppID != want.ClientID || c.ObjectID != want.ObjectID || c.TenantID != want.TenantID ||
			c.Issuer != "https://sts.windows.net/"+want.TenantID+"/" || c.ResourceID != "" {
			t.Errorf("got %+v, want it of %+v", c, want)
		}
	}
	checkEntra(t, do(t, e, applicationRequest(t, e, other, theirs(nil), nil)),
		entraRefusal{401, "invalid_client", 70025, other.ClientID})
	other.TenantID = guest.TenantID
	checkEntra(t, do(t, e, applicationRequest(t, e, other, theirs(nil), nil)),
		entraRefusal{400, "unauthorized_client", 700016, "not found in the directory"})
	checkEntra(t, do(t, e, applicationRequest(t, e, home, theirs(nil),
		url.Values{"client_assertion_type": {"saml"}})),
		entraRefusal{400, "invalid_request", 900144, "'client_assertion_type'"})
}

func TestNewEntraPanics(t *testing.T) {
	t.Parallel()
	good := FederatedCredential{Issuer: "i", Subject: "s"}
	for want, o := range map[string]*Options{
		"NewEntra: Options.Identities: 0 is system-assigned": {Identities: []Identity{{System: true}}},
		"FederatedCredentials: 0 has no Issuer or no Subject": {
			FederatedCredentials: []FederatedCredential{{Issuer: "i"}},
		},
		"FederatedCredentials: 1 is of none of Options.Identities: ClientID x": {
			FederatedCredentials: []FederatedCredential{good, {ClientID: "x", Issuer: "i", Subject: "t"}},
		},
		"FederatedCredentials: 1 has the Issuer and the Subject of 0": {
			FederatedCredentials: []FederatedCredential{good, {Issuer: "i", Subject: "s", Audience: "a"}},
		},
	} {
		mustPanic(t, want, func() { NewEntra(o) })
	}
	mustPanic(t, "NewGitHubActions: Options.Identities: 0 is system-assigned", func() {
		NewGitHubActions(&Options{Identities: []Identity{{System: true}}})
	})
}

// Each fake's tokens are assertions that an application with its federated credentials takes, and
// one without them doesn't.
func TestTokensAreAssertions(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			e := host.new(&Options{Dir: t.TempDir()})
			env := inMemory(e)
			assertion := tokenOf(t, host.ask(t, env, askingFor(t, exchangeAudience, throughDo(e))))
			credentials := e.FederatedCredentials()
			switch host.name {
			case "CloudShell":
				if credentials != nil {
					t.Errorf("got %+v, want none: its tokens are a person's", credentials)
				}
				return
			case "WorkloadIdentity": // what is in the file
				r := workloadRequest(t, env, nil)
				if err := r.ParseForm(); err != nil {
					t.Fatal(err)
				}
				assertion = r.PostForm.Get("client_assertion")
			}
			checkTrust(t, credentials, assertion)
		})
	}
	for _, e := range []*Endpoint{NewGitHubActions(nil), NewAzurePipelines(nil)} {
		checkTrust(t, e.FederatedCredentials(), jobToken(t, e, throughDo(e)))
	}
	if got := NewEntra(nil).FederatedCredentials(); got != nil {
		t.Errorf("Entra: got %+v, want none", got)
	}
}

func checkTrust(t *testing.T, credentials []FederatedCredential, assertion string) {
	t.Helper()
	entra := NewEntra(&Options{FederatedCredentials: credentials})
	tokenOf(t, do(t, entra, applicationRequest(t, entra, entra.Identities()[0], assertion, nil)))
	stranger := NewEntra(&Options{FederatedCredentials: trusting})
	checkEntra(t, do(t, stranger, applicationRequest(t, stranger, stranger.Identities()[0], assertion,
		nil)), entraRefusal{401, "invalid_client", 700211, "presented assertion issuer"})
}

// Entra issues tokens for the exchange as version 2.0, and the application's ID is their audience.
func TestAssertionClaims(t *testing.T) {
	t.Parallel()
	e := NewIMDS(&Options{Identities: []Identity{{ClientID: "c", ObjectID: "o", TenantID: "t"}}})
	for _, resource := range []string{exchangeAudience, exchangeID} {
		r := imdsRequest(t, "")
		r.URL.RawQuery = url.Values{"api-version": {"2018-02-01"}, "resource": {resource}}.Encode()
		got := do(t, e, r)
		c := readClaims(t, accessToken(t, got))
		c.IssuedAt, c.NotBefore, c.Expires = 0, 0, 0
		c.UniqueID, c.ResourceID, c.HostResourceID = "", "", ""
		want := claims{
			Audience: exchangeID, Issuer: "https://login.microsoftonline.com/t/v2.0", AZP: "c", AZPACR: "2",
			IDType: "app", ObjectID: "o", Subject: "o", TenantID: "t", Version: "2.0",
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", resource, diff)
		}
		if got := fields(t, got.Body)["resource"]; got != resource {
			t.Errorf("got resource %q, want %q", got, resource)
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	vm, github := NewIMDS(nil), NewGitHubActions(nil)
	entra := NewEntra(nil)
	joined := Endpoints{entra, vm, github}
	for _, r := range []*http.Request{
		imdsRequest(t, ""),
		jobRequest(t, github),
		applicationRequest(t, entra, entra.Identities()[0], "x", nil),
		request(t, "POST", "https://login.microsoftonline.com/common/OAuth2/v2.0/token", ""),
	} {
		response, err := joined.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
	}
	got := []int{len(vm.Requests()), len(github.Requests()), len(entra.Requests())}
	if !slices.Equal(got, []int{1, 1, 2}) {
		t.Errorf("got %v requests at IMDS, GitHub and Entra, want 1, 1, 2", got)
	}
	if _, err := (Endpoints{entra}).Do(imdsRequest(t, "")); err == nil {
		t.Error("got no error for a request to nobody")
	}
}

// A token that Entra has issued lives for an hour, and the client's clock alone is the endpoint's.
func TestEntraOverConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewEntra(&Options{FederatedCredentials: trusting})
		r := applicationRequest(t, e, e.Identities()[0], theirs(nil), nil)
		c := readClaims(t, tokenOf(t, throughClient(e.Client())(t, r)))
		if want := time.Now().Add(time.Hour).Unix(); c.Expires != want {
			t.Errorf("got exp %d, want %d", c.Expires, want)
		}
	})
	if got := NewEntra(nil).Env("https://127.0.0.1:1"); len(got) != 1 {
		t.Errorf("got %q, want AZURE_AUTHORITY_HOST alone", got)
	}
}
