package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/command"
)

// laptop is a place where az is logged in, or as said otherwise.
type laptop struct {
	variables map[string]string
	az, azd   error         // nil: logged in
	took      time.Duration // of a run
	runs      atomic.Int64
	log       lines
	shared    *shared // of developers' tokens
}

const developersToken = "the-developers-token"

var errNotLoggedIn = exits(1, "ERROR: Please run 'az login' to setup account.")

func (l *laptop) environment() environment {
	env := environmentOf(l.variables)
	env.run = func(ctx context.Context, c command.Command) ([]byte, error) {
		l.runs.Add(1)
		if err := lasts(ctx, l.took); err != nil {
			return nil, err
		}
		end := time.Now().Add(time.Hour)
		switch {
		case c.Program == "az" && l.az == nil:
			return fmt.Appendf(nil, `{"accessToken":%q,"expires_on":%d,"tokenType":"Bearer"}`,
				developersToken, end.Unix()), nil
		case c.Program == "az":
			return nil, l.az
		case l.azd == nil:
			return fmt.Appendf(nil, `{"token":%q,"expiresOn":%q}`, developersToken+"-azd",
				end.UTC().Format(time.RFC3339)), nil
		}
		return nil, l.azd
	}
	return env
}

// beSilent has the host's endpoint have answered nobody lately.
func beSilent(s *probedHost) {
	s.silence.Store(&recentSilence{
		time.Now().Add(time.Hour), &AuthenticationError{reason: ErrUnavailable}})
}

// credential is the default one there, with transport in IMDS's place.
func (l *laptop) credential(tb testing.TB, transport policy.Transporter) *Chain {
	tb.Helper()
	if l.shared == nil {
		l.shared = newShared()
	}
	if l.azd == nil {
		l.azd = command.ErrNotOnPath
	}
	chain, err := newDefaultCredential(l.shared, &DefaultCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: transport},
		Logger: slog.New(slog.NewTextHandler(&l.log,
			&slog.HandlerOptions{Level: slog.LevelDebug})),
	}, l.environment())
	if err != nil {
		tb.Fatal(err)
	}
	return chain
}

// notIMDS is what answers, or doesn't, where there is no IMDS.
var notIMDS = map[string]transportFunc{
	"gateway's 404": func(*http.Request) (*http.Response, error) {
		return respond(404, "<html><title>404 Not Found</title></html>", "Content-Type", "text/html",
			"Server", "nginx"), nil
	},
	"Docker's 403": func(*http.Request) (*http.Response, error) {
		return respond(403, "connecting to 169.254.169.254:80: connecting to 169.254.169.254:80: dial "+
			"tcp 169.254.169.254:80: connectex: A socket operation was attempted to an unreachable "+
			"network."), nil
	},
	"captive portal": func(*http.Request) (*http.Response, error) {
		return respond(200, "<html>Welcome</html>"), nil
	},
	"redirect": func(*http.Request) (*http.Response, error) {
		return respond(302, "", "Location", "https://portal.example/"), nil
	},
	"another cloud": func(*http.Request) (*http.Response, error) {
		return respond(404, `{"message":"not found"}`), nil
	},
	"dead address": func(r *http.Request) (*http.Response, error) { // as the dialer's own limit has it
		select {
		case <-time.After(time.Second):
			return nil, errors.New("dial tcp 169.254.169.254:80: i/o timeout")
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	},
	"refused": func(*http.Request) (*http.Response, error) {
		return nil, errors.New("dial tcp 169.254.169.254:80: connect: connection refused")
	},
	"silence": func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	},
}

// slowAtFirst is an IMDS whose first byte takes a while, or that isn't there for one.
type slowAtFirst struct {
	ep    *identitytest.Endpoint
	delay time.Duration // of each answer
	until time.Time     // refuses connections before
}

func (s *slowAtFirst) Do(r *http.Request) (*http.Response, error) {
	if time.Now().Before(s.until) {
		return nil, errors.New("connection refused")
	}
	if err := lasts(r.Context(), s.delay); err != nil {
		return nil, err
	}
	return s.ep.Do(r)
}

// breaksOff is an answer whose body breaks off at once.
func breaksOff(answer *http.Response) transportFunc {
	return func(*http.Request) (*http.Response, error) {
		broken := *answer
		broken.Header, broken.Body = answer.Header.Clone(),
			io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
		return &broken, nil
	}
}

// TestDefaultSelection: by AZURE_TOKEN_CREDENTIALS, which is named as the reason where it is one.
func TestDefaultSelection(t *testing.T) {
	t.Parallel()
	const managed, workload, az, azd = "managed identity", "workload identity", "Azure CLI",
		"Azure Developer CLI"
	pod := map[string]string{envTokenFile: "/file", envClientID: "c", envTenantID: "t"}
	const detected, byFile = "no other host's variables are set", "AZURE_FEDERATED_TOKEN_FILE, "
	for _, tt := range []struct {
		name      string
		value     string
		variables map[string]string
		want      []string // the sources
		reason    string   // why this host
		fails     string
	}{
		{name: "unset", want: []string{managed, az, azd}, reason: detected},
		{name: "blank", value: " ", want: []string{managed, az, azd}, reason: detected},
		{name: "in a pod", variables: pod, want: []string{workload, az, azd}, reason: byFile},
		{name: "prod", value: "prod", want: []string{managed}, reason: detected},
		{name: "prod in a pod", value: "prod", variables: pod, want: []string{workload}, reason: byFile},
		{name: "dev", value: "dev", variables: pod, want: []string{az, azd}},
		{name: "in capitals", value: "DEV", want: []string{az, azd}},
		{name: "az", value: "AzureCLICredential", want: []string{az}},
		{name: "az, in JavaScript's spelling", value: "azureclicredential", want: []string{az}},
		{name: "azd", value: "AzureDeveloperCLICredential", want: []string{azd}},
		{name: "managed", value: "ManagedIdentityCredential", want: []string{managed},
			reason: detected},
		{name: "managed in a pod", value: "ManagedIdentityCredential", variables: pod,
			want: []string{managed}, reason: detected},
		{name: "workload", value: "WorkloadIdentityCredential", variables: pod,
			want:   []string{workload},
			reason: "AZURE_TOKEN_CREDENTIALS is WorkloadIdentityCredential"},
		{name: "workload without", value: "WorkloadIdentityCredential",
			fails: "identity: AZURE_TOKEN_CREDENTIALS is WorkloadIdentityCredential: AZURE_"},
		{name: "unknown", value: "EnvironmentCredential",
			fails: `identity: AZURE_TOKEN_CREDENTIALS: "EnvironmentCredential" is none of prod, dev, ` +
				`WorkloadIdentityCredential, ManagedIdentityCredential, AzureCLICredential, ` +
				`AzureDeveloperCLICredential`},
		{name: "a token by mistake", value: "eyJhbGciOiJub25lIn0.canary",
			fails: `identity: AZURE_TOKEN_CREDENTIALS: "REDACTED" is none of`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chain, err := newDefaultCredential(newShared(), nil, environmentOf(
				merged(tt.variables, map[string]string{envTokenCredentials: tt.value})))
			if tt.fails != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.fails) {
					t.Errorf("error is %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range chain.Status().Sources {
				got = append(got, s.Name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("sources are %v, want %v", got, tt.want)
			}
			if cred := chain.Status().Sources[0].Credential; tt.reason != "" &&
				!strings.HasPrefix(cred.Reason, tt.reason) {
				t.Errorf("the reason is %q, want %q", cred.Reason, tt.reason)
			}
		})
	}
}

// TestDefaultSelectedAlone: a source that is selected alone is as patient as any Credential, and
// the developer that is selected is used on Azure, too.
func TestDefaultSelectedAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{variables: map[string]string{envTokenCredentials: "prod"}}
		if tk, took := mustToken(t, l.credential(t, &slowAtFirst{ep: identitytest.NewIMDS(nil),
			delay: 20 * time.Second})); took != 20*time.Second || tk.Token == developersToken {
			t.Errorf("prod: got %q after %v, want the managed identity's after 20 s", tk.Token, took)
		}
		l = &laptop{variables: map[string]string{envTokenCredentials: "dev",
			envEndpoint: "http://localhost:4141/msi/token", envHeader: "s"}}
		if tk, took := mustToken(t,
			l.credential(t, identitytest.NewAppService(nil))); tk.Token != developersToken || took > 0 {
			t.Errorf("dev on App Service: got %q after %v, want the developer's at once", tk.Token, took)
		}
	})
}

func TestDefaultIdentity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		variables map[string]string
		id        ID
		want      string // in Status
	}{
		{name: "unset"},
		{name: "empty", variables: map[string]string{envClientID: ""}},
		{name: "the variable's", variables: map[string]string{envClientID: guid},
			want: "client ID " + guid},
		{name: "the option's", variables: map[string]string{envClientID: guid}, id: ObjectID("o"),
			want: "object ID o"},
	} {
		chain, err := newDefaultCredential(newShared(), &DefaultCredentialOptions{ID: tt.id},
			environmentOf(tt.variables))
		if err != nil {
			t.Fatal(err)
		}
		if got := chain.Status().Sources[0].Credential.Identity; got != tt.want {
			t.Errorf("%s: identity is %q, want %q", tt.name, got, tt.want)
		}
	}
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

// TestDefaultOptionsAreNamed: an error names the field or the variable that the user has set, and
// repeats the value as it is.
func TestDefaultOptionsAreNamed(t *testing.T) {
	t.Parallel()
	const field = "identity: DefaultCredentialOptions."
	workload := map[string]string{envTokenFile: "/file", envClientID: "c", envTenantID: "t"}
	fabric := map[string]string{envEndpoint: "https://localhost:2377/metadata/identity/oauth2/token",
		envHeader: "s", envThumbprint: strings.Repeat("a", 40)}
	client := func(id string) map[string]string { return map[string]string{envClientID: id} }
	for _, tt := range []struct {
		name      string
		options   DefaultCredentialOptions
		client    azcore.ClientOptions // of options
		variables map[string]string
		want      string
	}{
		{name: "tenant", options: DefaultCredentialOptions{TenantID: "a/b"},
			want: field + "TenantID: is no tenant"},
		{name: "allowed tenants",
			options: DefaultCredentialOptions{AdditionallyAllowedTenants: []string{"a b"}},
			want:    field + "AdditionallyAllowedTenants: is no tenant"},
		{name: "retries", client: azcore.ClientOptions{Retry: policy.RetryOptions{TryTimeout: -1}},
			want: field + "Retry.TryTimeout: "},
		{name: "Transport", client: azcore.ClientOptions{Transport: (*http.Client)(nil)},
			want: field + "Transport: nil *http.Client"},
		{name: "cloud", variables: workload, client: azcore.ClientOptions{
			Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "http://a"}},
			want: field + "Cloud.ActiveDirectoryAuthorityHost: is not https"},
		{name: "cloud, by variables",
			variables: merged(workload, map[string]string{envAuthorityHost: "http://a"}),
			want:      "identity: " + envAuthorityHost + ": is not https"},
		{name: "an empty ID", options: DefaultCredentialOptions{ID: ClientID("")},
			want: field + "ID: empty ClientID"},
		{name: "a blank variable", variables: client(" "),
			want: "identity: AZURE_CLIENT_ID: empty ClientID"},
		{name: "an impossible variable", variables: client("/subscriptions/s"),
			want: "identity: AZURE_CLIENT_ID: ClientID"},
		{name: "a variable where none can be selected", variables: merged(fabric, client("c")),
			want: "identity: AZURE_CLIENT_ID: Service Fabric can't select"},
		{name: "an option where none can be selected", variables: fabric,
			options: DefaultCredentialOptions{ID: ClientID("c")},
			want:    field + "ID: Service Fabric can't select"},
		{name: "a value with the options' name in it",
			options: DefaultCredentialOptions{ID: ClientID("my/CredentialOptions")},
			want:    field + `ID: ClientID "my/CredentialOptions" looks like a resource ID`},
		{name: "a variable's value with the field's name in it",
			variables: client("my/CredentialOptions.ID"),
			want: `identity: AZURE_CLIENT_ID: ClientID "my/CredentialOptions.ID" looks like a ` +
				`resource ID`},
		{name: "a host that the variable names", variables: map[string]string{
			envTokenCredentials: "WorkloadIdentityCredential",
			envClientID:         "c", envTenantID: `CredentialOptions.Host is "workload-identity"`},
			want: "identity: AZURE_TOKEN_CREDENTIALS is WorkloadIdentityCredential: " + envTenantID +
				": is no tenant"},
	} {
		tt.options.ClientOptions = tt.client
		_, err := newDefaultCredential(newShared(), &tt.options, environmentOf(tt.variables))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestDefaultTenants: the tenants that workload identity may ask for beside its own don't shut out
// the developer's own, which Key Vault's clients ask for by its ID, and nobody has named.
func TestDefaultTenants(t *testing.T) {
	for _, tt := range []struct {
		name, tenant string
		allowed      []string
		refused      bool
	}{
		{name: "none named"},
		{name: "others allowed", allowed: []string{homeTenant}},
		{name: "another named", tenant: homeTenant, refused: true},
		{name: "another named, and it allowed", tenant: homeTenant, allowed: []string{otherTenant}},
		{name: "another named, and another allowed", tenant: homeTenant, allowed: []string{"x.example"},
			refused: true},
	} {
		for _, d := range developers {
			t.Run(tt.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				tool := granting(d.says)
				env := tool.env(envTokenCredentials,
					map[string]string{"az": "AzureCLICredential", "azd": "AzureDeveloperCLICredential"}[d.program])
				chain, err := newDefaultCredential(newShared(),
					&DefaultCredentialOptions{TenantID: tt.tenant, AdditionallyAllowedTenants: tt.allowed}, env)
				if err != nil {
					t.Fatal(err)
				}
				_, err = ofTenant(chain, otherTenant)
				if !tt.refused {
					if err != nil || !slices.Contains(tool.runs[0], otherTenant) {
						t.Errorf("error is %v, want a token of the tenant asked for", err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(),
					"DefaultCredentialOptions.AdditionallyAllowedTenants") || len(tool.runs) > 0 {
					t.Errorf("error is %v after %d runs, want one that names the option, and none", err,
						len(tool.runs))
				}
			})
		}
	}
}
