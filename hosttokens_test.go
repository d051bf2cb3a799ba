package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

// TestHostTokens: a token of the right identity, and a request as the host's page has it.
func TestHostTokens(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		s := p.open(t)
		sel := s.selection(name)
		cred := s.credential(t, withID(sel.id))
		tk, took := mustToken(t, cred)
		if took != 0 {
			t.Errorf("took %v", took)
		}
		if got := string(token.ClaimsOf(tk.Token).OID); got != sel.want.ObjectID {
			t.Errorf("the token is that of object ID %s, want %s", got, sel.want.ObjectID)
		}
		if got := time.Until(tk.ExpiresOn); got > 24*time.Hour || got < 24*time.Hour-time.Second {
			t.Errorf("the token ends in %v, want 24h", got)
		}
		if got := time.Until(tk.RefreshOn); got < 10*time.Hour || got > 14*time.Hour {
			t.Errorf("the token is renewed in %v, want at half of its life", got)
		}
		mustToken(t, cred) // a hit
		requests := s.ep.Requests()
		if len(requests) != s.steps || s.sent() != s.steps {
			t.Fatalf("%d requests arrived, %d were sent, want %d", len(requests), s.sent(), s.steps)
		}
		s.checkRequests(t, requests, sel)
	})
}

// TestHostDefaultPath is the whole of it as a user's test has it: the fake is started, and the
// program knows nothing. Not parallel: Start sets the process's variables.
func TestHostDefaultPath(t *testing.T) {
	for _, p := range places {
		passed := t.Run(p.name, func(t *testing.T) {
			ep := p.fake(&identitytest.Options{Identities: p.identities, Dir: t.TempDir()})
			ep.Start(t)
			fresh := func() *Credential {
				cred, err := NewCredential(nil)
				if err != nil || cred.Host() != p.host {
					t.Fatalf("host is %v, error %v", cred.Host(), err)
				}
				return cred
			}
			for range 50 {
				mustToken(t, fresh()) // they share it
			}
			requests := ep.Requests()
			if len(requests) != p.steps {
				t.Fatalf("%d requests by 50 credentials, want %d", len(requests), p.steps)
			}
			s := &site{place: p, ep: ep, env: environment{getenv: os.Getenv}}
			s.base = requests[0].URL.Scheme + "://" + requests[0].URL.Host
			s.checkRequests(t, requests, s.selection("default"))
			for _, r := range requests {
				packed := p.host != HostWorkloadIdentity && r.Header.Get("Accept-Encoding") != ""
				if !r.Close || r.ProtoMajor != 1 || packed {
					t.Errorf("the request is of %s, kept %v (a pooled connection poisons a later call), "+
						"with %v", r.Proto, !r.Close, r.Header)
				}
			}
			if p.secret != "" || p.steps > 1 || p.host == HostWorkloadIdentity {
				ep.RotateSecret()
			}
			if err := anotherToken(fresh()); err != nil {
				t.Errorf("after the secret was rotated: %v", err)
			}
		})
		if !passed {
			return // a server waits for connections that are kept
		}
	}
}

// secretNow is what stands for SECRET in the requests of this moment. Azure Arc's comes with the
// challenge.
func (s *site) secretNow(tb testing.TB) string {
	tb.Helper()
	if s.host != HostWorkloadIdentity {
		return s.env.getenv(s.secret)
	}
	content, err := os.ReadFile(s.env.getenv("AZURE_FEDERATED_TOKEN_FILE"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// checkRequests compares requests for the vault's token with the host's page. Of two steps, every
// second one has the key.
func (s *site) checkRequests(t *testing.T, requests []*http.Request, sel selection) {
	t.Helper()
	parameters, secret := url.Values{}, s.secretNow(t)
	for name, values := range s.parameters {
		for _, value := range values {
			parameters.Add(name, strings.NewReplacer("CLIENT", sel.want.ClientID, "SECRET",
				secret).Replace(value))
		}
	}
	switch sel.name {
	case "client ID":
		parameters.Set(s.client, sel.want.ClientID)
	case "object ID":
		parameters.Set(s.object, sel.want.ObjectID)
	case "resource ID":
		parameters.Set(s.resource, sel.want.ResourceID)
	}
	for step, r := range requests {
		header := s.header.Clone()
		if (step+1)%s.steps != 0 {
			header.Del("Authorization") // Arc's first request
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		query, form := parameters, ""
		if s.posts {
			query, form = url.Values{}, parameters.Encode()
		}
		if string(body) != form {
			t.Errorf("step %d: body is %q, want %q", step+1, body, form)
		}
		checkQuery(t, r, query)
		if r.Method != s.method || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != s.endpoint() {
			t.Errorf("step %d: request is %s %s, want %s %s", step+1, r.Method, r.URL, s.method,
				s.endpoint())
		}
		if !strings.HasPrefix(r.URL.String(), s.base+"/") || !strings.HasSuffix(r.URL.Path, s.path) {
			t.Errorf("step %d: request went to %s", step+1, r.URL)
		}
		for _, values := range header {
			if values[0] == "Basic SECRET" {
				// the fake has checked it
				if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic "); ok &&
					len(key) >= 32 {
					secret = key
				}
			}
			values[0] = strings.NewReplacer("SECRET", secret, "LENGTH",
				fmt.Sprint(len(form))).Replace(values[0])
		}
		got := r.Header.Clone()
		for _, name := range []string{"User-Agent", "Accept-Encoding", "Connection"} { // of net/http
			got.Del(name)
		}
		if diff := cmp.Diff(header, got); diff != "" {
			t.Errorf("step %d: header (-want +got):\n%s", step+1, diff)
		}
	}
}

// grantOf is a token of an identity, in no host's shape and every host's.
func grantOf(id identitytest.Identity, opaque bool, echo ...string) string {
	fields := map[string]string{"expires_in": "86400", "token_type": "Bearer"}
	fields["access_token"] = "TOPSECRET-opaque"
	if !opaque {
		fields["access_token"] = jwtOf(fmt.Sprintf(
			`{"appid":%q,"oid":%q,"sub":%[2]q,"xms_mirid":%q,"jti":"TOPSECRET"}`,
			id.ClientID, id.ObjectID, id.ResourceID))
	}
	for i := 0; i+1 < len(echo); i += 2 {
		fields[echo[i]] = echo[i+1]
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// TestHostReturnsAnotherIdentity: for every way to ask for one. The default identity is whatever
// the host says it is, save with workload identity, where the pod says it.
func TestHostReturnsAnotherIdentity(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		another := identitytest.Identity{
			ClientID:   "99999999-2222-4333-8444-555555555555",
			ObjectID:   "88888888-2222-4333-8444-555555555555",
			ResourceID: "/subscriptions/s/resourcegroups/g/providers/x/y/another",
		}
		s := p.open(t)
		sel := s.selection(name)
		echo := func(id identitytest.Identity) []string {
			return []string{"client_id", id.ClientID, "object_id", id.ObjectID, "msi_res_id", id.ResourceID}
		}
		// Arc has to repeat what selects, or it hasn't understood.
		repeat := []string(nil)
		if s.host == HostArc {
			repeat = echo(sel.want)
		}
		asked := sel.id
		if asked == nil && s.namesItsDefault() {
			asked = ClientID(sel.want.ClientID)
		}
		two := s.ep.Identities()
		cases := map[string]string{
			"token of another": grantOf(another, false, repeat...),
			"token of the other one here": grantOf(two[1-slices.Index(two, sel.want)], false,
				repeat...),
			"opaque token, another named beside":   grantOf(another, true, echo(another)...),
			"the right token, but another beside":  grantOf(sel.want, false, echo(another)...),
			"another token, the right name beside": grantOf(another, false, echo(sel.want)...),
		}
		if s.host == HostArc && sel.id != nil {
			cases["the right token, and nothing beside"] = grantOf(sel.want, false)
			cases["opaque token, nothing beside"] = grantOf(sel.want, true)
		}
		for what, body := range cases {
			s := p.open(t) // the certificate, the secret and the directory of its own
			s.answer(s.own(200, body))
			cred := s.credential(t, withID(sel.id))
			if asked == nil {
				if _, err := getToken(t.Context(), cred); err != nil {
					t.Errorf("%s: %v, but nobody asked for an identity", what, err)
				}
				continue
			}
			e, took := mustFail(t, cred)
			if !errors.Is(e, ErrIdentityMismatch) || errors.Is(e, ErrIdentityNotFound) ||
				errors.Is(e, ErrUnavailable) {
				t.Errorf("%s: got %v, want ErrIdentityMismatch", what, e)
			}
			if took != 0 || s.sent() != s.steps {
				t.Errorf("%s: %d requests in %v, want %d at once", what, s.sent(), took, s.steps)
			}
			if e.ID != asked || e.RawResponse != nil || e.StatusCode != 200 {
				t.Errorf("%s: fields are off: %+v", what, e)
			}
			wantErrorText(t, e, inWords(asked))
			if strings.Contains(fmt.Sprintf("%v %+v", e, *e), "TOPSECRET") ||
				strings.Contains(e.Error(), "eyJ") {
				t.Errorf("%s: the token is shown: %v", what, e)
			}
			if _, took := mustFail(t, cred); took != 0 {
				t.Errorf("%s: the next caller took %v", what, took)
			}
			time.Sleep(time.Minute)
			tk, _ := mustToken(t, cred) // of the fake itself
			if got := string(token.ClaimsOf(tk.Token).OID); got != sel.want.ObjectID ||
				s.sent() != 2*s.steps {
				t.Errorf("%s: later got the token of %s after %d requests, want that of %s after %d", what,
					got, s.sent(), sel.want.ObjectID, 2*s.steps)
			}
		}
	})
}

// TestHostRenewsWithAnotherIdentity: the held token stays.
func TestHostRenewsWithAnotherIdentity(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		s := p.open(t)
		if name == "default" && !s.namesItsDefault() {
			t.Skip("nobody asked for an identity")
		}
		sel := s.selection(name)
		cred := s.credential(t, withID(sel.id))
		first, _ := mustToken(t, cred)
		other := s.own(200, grantOf(identitytest.Identity{ClientID: "x", ObjectID: "y", ResourceID: "/z"},
			false))
		other.For = 48 * time.Hour
		s.answer(other)
		time.Sleep(14 * time.Hour)
		for range 50 {
			if tk, took := mustToken(t, cred); tk.Token != first.Token || took != 0 {
				t.Fatalf("another identity's token was handed out, or a caller waited %v", took)
			}
			time.Sleep(10 * time.Second)
		}
		if s.sent() == s.steps {
			t.Fatal("no renewal was tried: this test sees nothing")
		}
		time.Sleep(11 * time.Hour)
		if e, _ := mustFail(t, cred); !errors.Is(e, ErrIdentityMismatch) {
			t.Errorf("after the end of the held token: got %v", e)
		}
	})
}

// TestHostNamesItself: Host, Detect and errors agree on who is asked where.
func TestHostNamesItself(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		d := detectIn(s.env)
		if d.Host != s.host || d.Endpoint != s.endpoint() {
			t.Errorf("detected %s at %s, want %s at %s", d.Host, d.Endpoint, s.host, s.endpoint())
		}
		if s.secret != "" && strings.Contains(fmt.Sprint(d), s.env.getenv(s.secret)) {
			t.Errorf("detection shows the secret: %+v", d)
		}
		cred := s.credential(t)
		if got := cred.Host(); got != s.host {
			t.Errorf("Host() is %q, want %q", got, s.host)
		}
		s.answer(s.own(403, s.problem("some_error", "some text")))
		refusal, _ := mustFail(t, cred)
		time.Sleep(time.Minute)
		s.down.Store(true)
		silence, _ := mustFail(t, cred)
		s.down.Store(false)
		time.Sleep(time.Minute)
		s.answer(s.own(200, `{"access_token":"t"}`))
		noToken, _ := mustFail(t, cred)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cred.GetToken(ended, policy.TokenRequestOptions{Scopes: []string{vaultScope}})
		var left *AuthenticationError
		if !errors.As(err, &left) || !errors.Is(err, context.Canceled) {
			t.Fatalf("with an ended context: %v", err)
		}
		for what, e := range map[string]*AuthenticationError{
			"refusal": refusal, "silence": silence, "no token": noToken, "left": left,
		} {
			if e.Host != s.host || e.Endpoint != d.Endpoint || e.Resource != "https://vault.azure.net" {
				t.Errorf("%s: error is of %s at %s for %s, want %s at %s", what, e.Host, e.Endpoint, e.Resource,
					s.host, d.Endpoint)
			}
		}
		// The same host when it is demanded instead of detected.
		if got := s.credential(t, func(o *CredentialOptions) { o.Host = s.host }).Host(); got != s.host {
			t.Errorf("demanded %q, got %q", s.host, got)
		}
	})
}

// TestLostHeaders: a policy that takes out what a host wants is named, and the identity isn't
// blamed. Most hosts don't say in a code of theirs what they miss, so that it is noticed on the way
// out.
func TestLostHeaders(t *testing.T) {
	for _, p := range places {
		for name := range p.header {
			if name == "Accept" || strings.HasPrefix(name, "Content-") ||
				name == "Metadata" && p.header.Get("Metadata") != "" && p.secret != "" {
				continue // no host wants these
			}
			for how, spoil := range map[string]func(http.Header){
				"removed": func(h http.Header) { h.Del(name) },
				"changed": func(h http.Header) { h.Set(name, "another") },
			} {
				bubbleIn(t, p.name+"/"+name+" "+how, func(t *testing.T) {
					s := p.open(t)
					e, _ := mustFail(t, s.credential(t, once, func(o *CredentialOptions) {
						o.PerRetryPolicies = append(o.PerRetryPolicies,
							policyFunc(func(r *policy.Request) (*http.Response, error) {
								if r.Raw().Header.Get(name) != "" {
									spoil(r.Raw().Header)
								}
								return r.Next()
							}))
					}))
					wantErrorText(t, e,
						"the request came without the header "+name+" that it was made with",
						"a policy or the Transport in CredentialOptions")
					if errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
						t.Errorf("it blames the identity or the host: %v", e)
					}
				})
			}
		}
	}
}
