package identitytest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newServer serves e and returns a function that sends a request, prepared for Do, there.
func newServer(t *testing.T, e *Endpoint) func(*http.Request) (*http.Response, error) {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return func(r *http.Request) (*http.Response, error) {
		r.URL.Host, r.Host = strings.TrimPrefix(server.URL, "http://"), ""
		return server.Client().Do(r)
	}
}

// What Do answers, ServeHTTP answers too, and no header more, save what the framing of HTTP needs.
func TestServeHTTPAnswersAsDo(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]Response{
		"own":             {Status: 429},
		"unknown":         {Status: 999},
		"no body allowed": {Status: 204},
		"foreign":         {Status: 502, Body: "<html>"},
		"empty":           {Status: 200, Header: http.Header{}},
		"header": {Status: 429, Header: http.Header{"retry-after": {"3"},
			"Content-Length": {"7"}, "X": {"1", "2"}}, Body: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := NewIMDS(nil)
			e.Enqueue(response, response)
			want := do(t, e, imdsRequest(t, ""))
			sent, err := newServer(t, e)(imdsRequest(t, ""))
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, sent)
			got.Header.Del("Content-Length")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-Do +ServeHTTP):\n%s", diff)
			}
		})
	}
}

func TestServeHTTPConnectionError(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	// for a client that would try again by itself
	e.Enqueue(Response{Err: errScripted, For: time.Hour})
	_, err := newServer(t, e)(imdsRequest(t, ""))
	if !errors.Is(err, errReset) && !errors.Is(err, io.EOF) {
		t.Errorf("got error %v, want a connection that ends without an answer", err)
	}
}

func TestServeHTTPWithoutConnection(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Err: errScripted})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got panic %v, want %v", got, http.ErrAbortHandler)
		}
	}()
	e.ServeHTTP(httptest.NewRecorder(), imdsRequest(t, ""))
}

func TestServeHTTPCutShort(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 200, Body: "partial", Err: errScripted})
	response, err := newServer(t, e)(imdsRequest(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	checkPartial(t, response)
}

// checkPartial reads "partial", behind which the connection breaks.
func checkPartial(t *testing.T, response *http.Response) {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if string(body) != "partial" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, then %v; want %q, then %v", body, err, "partial", io.ErrUnexpectedEOF)
	}
}

func TestServeHTTPInformational(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	e.Enqueue(Response{Status: 103, For: time.Hour})
	if response, err := newServer(t, e)(imdsRequest(t, "")); err == nil {
		t.Errorf("got status %d, want an error: there is no final answer", response.StatusCode)
		response.Body.Close()
	}
}

// TestHostVariables: a process in one of these places must not find it in the place of a fake.
func TestHostVariables(t *testing.T) {
	t.Parallel()
	want := []string{
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "AZURE_FEDERATED_TOKEN_FILE",
		"AZURE_POD_IDENTITY_AUTHORITY_HOST", "DEFAULT_IDENTITY_CLIENT_ID", "IDENTITY_API_VERSION",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT",
		"MSI_ENDPOINT", "MSI_SECRET", "SYSTEM_OIDCREQUESTURI",
	}
	if diff := cmp.Diff(want, hostVariables[:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for name, test := range environments {
		dir := t.TempDir()
		e := test.new(&Options{Dir: dir})
		id := e.Identities()
		if len(id) == 0 {
			id = NewEntra(nil).Identities()
		}
		if seen[e.nonce] || len(e.nonce) != 8 {
			t.Errorf("%s: nonce %q, want one of its own, of 8 digits", name, e.nonce)
		}
		seen[e.nonce] = true
		scheme, thumbprint := "http", ""
		if e.certificate != nil {
			scheme, thumbprint = "https", e.certificate.thumbprint()
		}
		for _, base := range []string{scheme + "://127.0.0.1:1", scheme + "://127.0.0.1:1/"} {
			want, got := map[string]string{}, environment(e, base)
			for _, variable := range hostVariables {
				want[variable] = ""
			}
			for _, line := range test.lines {
				variable, value, _ := strings.Cut(strings.NewReplacer("BASE",
					scheme+"://127.0.0.1:1/"+e.nonce, "CLIENT_ID=CLIENT", "CLIENT_ID="+id[0].ClientID,
					"TENANT_ID=TENANT", "TENANT_ID="+id[0].TenantID, "=THUMBPRINT", "="+thumbprint,
					"DIR/", dir+string(filepath.Separator)).Replace(line), "=")
				if want[variable] = value; value == "SECRET" && got[variable] != "" {
					got[variable] = value
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: Env(%q) (-want +got):\n%s", name, base, diff)
			}
			if got := len(e.Env(base)); got != len(want) {
				t.Errorf("%s: got %d lines, want %d", name, got, len(want))
			}
		}
	}
	of := NewAzureML(&Options{Identities: []Identity{{ClientID: "first"}, {}}})
	if got := inMemory(of)("DEFAULT_IDENTITY_CLIENT_ID"); got != "first" {
		t.Errorf("Azure ML's default of two user-assigned identities is %q", got)
	}
	behindTLS := environment(NewIMDS(nil), "https://127.0.0.1:1")
	if got := behindTLS["AZURE_POD_IDENTITY_AUTHORITY_HOST"]; !strings.HasPrefix(got, "https://") {
		t.Errorf("IMDS behind TLS is at %s", got)
	}
}

func TestEnvPanics(t *testing.T) {
	t.Parallel()
	vm, fabric, entra := NewIMDS(nil), NewServiceFabric(nil), NewEntra(nil)
	for _, base := range []string{"", "127.0.0.1:1", "ftp://127.0.0.1"} {
		mustPanic(t, "Env: base URL", func() { vm.Env(base) })
	}
	for _, e := range []*Endpoint{fabric, entra} {
		mustPanic(t, `Env: base URL "http://127.0.0.1" doesn't begin with https://`, func() {
			e.Env("http://127.0.0.1")
		})
	}
}

// startedRequest is what a client makes of the environment.
func startedRequest(t *testing.T) *http.Request {
	t.Helper()
	if base := os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"); base != "" {
		r := request(t, "GET",
			base+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://r", "")
		r.Header.Set("Metadata", "true")
		return r
	}
	r := request(t, "GET", os.Getenv("IDENTITY_ENDPOINT")+appQuery, "")
	r.Header.Set("X-IDENTITY-HEADER", os.Getenv("IDENTITY_HEADER"))
	return r
}

func send(t *testing.T, r *http.Request) reply {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func TestStart(t *testing.T) {
	for name, e := range map[string]*Endpoint{"IMDS": NewIMDS(nil), "AppService": NewAppService(nil)} {
		t.Setenv("MSI_SECRET", "from another host")
		t.Setenv("IDENTITY_HEADER", "as before")
		var address string
		t.Run(name, func(t *testing.T) {
			e.Start(t)
			r := startedRequest(t)
			address = r.URL.Host
			accessToken(t, send(t, r))
			if got := os.Getenv("MSI_SECRET"); got != "" {
				t.Errorf("MSI_SECRET: got %q, want it empty", got)
			}
			if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
				t.Errorf("got address %s, want one of 127.0.0.1", address)
			}
		})
		if got := os.Getenv("MSI_SECRET"); got != "from another host" {
			t.Errorf("%s: MSI_SECRET afterwards: got %q, want it restored", name, got)
		}
		if got := os.Getenv("IDENTITY_HEADER"); got != "as before" {
			t.Errorf("%s: IDENTITY_HEADER afterwards: got %q, want it restored", name, got)
		}
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			t.Errorf("%s: the server still listens", name)
		}
		t.Run(name+" again", func(t *testing.T) {
			e.Start(t)
			accessToken(t, send(t, startedRequest(t)))
		})
	}
}

func TestStartRotateSecret(t *testing.T) {
	t.Setenv("IDENTITY_HEADER", "as before")
	e := NewAppService(nil)
	t.Run("started", func(t *testing.T) {
		e.Start(t)
		old := startedRequest(t)
		accessToken(t, send(t, old))
		e.RotateSecret()
		if got := send(t, old).Status; got != 403 {
			t.Errorf("old secret: got status %d, want 403", got)
		}
		accessToken(t, send(t, startedRequest(t)))
	})
	e.RotateSecret()
	if got := os.Getenv("IDENTITY_HEADER"); got != "as before" {
		t.Errorf("IDENTITY_HEADER after the end: got %q, want it left alone", got)
	}
}

// A server that waited for its slowest answer would hang the test that is about slowness.
func TestStartStopsSlowAnswers(t *testing.T) {
	e := NewIMDS(nil)
	failed := make(chan error, 1)
	t.Run("started", func(t *testing.T) {
		e.Start(t)
		e.Enqueue(Response{Delay: 24 * time.Hour})
		r := startedRequest(t).WithContext(context.Background()) // t's ends before the server does
		go func() {
			response, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				response.Body.Close()
			}
			failed <- err
		}()
		for len(e.Requests()) == 0 { // until it has arrived
			select {
			case err := <-failed:
				t.Fatalf("got error %v before the request arrived", err)
			default:
				runtime.Gosched()
			}
		}
	})
	if err := <-failed; err == nil {
		t.Error("got an answer, want the connection closed")
	}
}

func TestStartTwice(t *testing.T) {
	e := NewIMDS(nil)
	e.Start(t)
	tb := &fatalTB{TB: t}
	func() {
		defer func() { _ = recover() }()
		e.Start(tb)
	}()
	if !strings.Contains(tb.message, "started already") {
		t.Errorf("got %q, want the test to fail", tb.message)
	}
	accessToken(t, send(t, startedRequest(t))) // the first goes on
}

type fatalTB struct {
	testing.TB
	message string
}

func (tb *fatalTB) Helper() {}

func (tb *fatalTB) Fatal(args ...any) {
	tb.message, _ = args[0].(string)
	panic(tb)
}

// environments are what each host sets. BASE is its address, SECRET stands for anything: that a
// secret is right is seen when it is used. CLIENT and TENANT are of the first identity.
var environments = map[string]struct {
	new   func(*Options) *Endpoint
	lines []string
}{
	"IMDS": {NewIMDS, []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST=BASE"}},
	"AppService": {NewAppService, []string{"IDENTITY_ENDPOINT=BASE/msi/token",
		"IDENTITY_HEADER=SECRET"}},
	"AppService2017": {NewAppService2017, []string{"MSI_ENDPOINT=BASE/msi/token",
		"MSI_SECRET=SECRET"}},
	"AzureML": {NewAzureML, []string{"MSI_ENDPOINT=BASE/msi/token", "MSI_SECRET=SECRET",
		"DEFAULT_IDENTITY_CLIENT_ID=CLIENT"}},
	"CloudShell": {NewCloudShell, []string{"MSI_ENDPOINT=BASE/oauth2/token"}},
	"ServiceFabric": {NewServiceFabric, []string{"IDENTITY_HEADER=SECRET",
		"IDENTITY_ENDPOINT=BASE/metadata/identity/oauth2/token",
		"IDENTITY_SERVER_THUMBPRINT=THUMBPRINT", "IDENTITY_API_VERSION=2019-07-01-preview"}},
	"Arc": {NewArc, []string{"IDENTITY_ENDPOINT=BASE/metadata/identity/oauth2/token",
		"IMDS_ENDPOINT=BASE"}},
	"WorkloadIdentity": {NewWorkloadIdentity, []string{"AZURE_CLIENT_ID=CLIENT",
		"AZURE_TENANT_ID=TENANT", "AZURE_FEDERATED_TOKEN_FILE=DIR/azure-identity-token",
		"AZURE_AUTHORITY_HOST=BASE/", "AZURE_KUBERNETES_TOKEN_PROXY=", "AZURE_KUBERNETES_CA_FILE=",
		"AZURE_KUBERNETES_CA_DATA=", "AZURE_KUBERNETES_SNI_NAME="}},
	"GitHubActions": {NewGitHubActions, []string{
		"ACTIONS_ID_TOKEN_REQUEST_URL=BASE" + gitHubPath + "?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN=SECRET", "AZURE_CLIENT_ID=CLIENT", "AZURE_TENANT_ID=TENANT"}},
	"AzurePipelines": {NewAzurePipelines, []string{"SYSTEM_OIDCREQUESTURI=BASE" + pipelinesPath,
		"SYSTEM_ACCESSTOKEN=SECRET", "AZURESUBSCRIPTION_CLIENT_ID=CLIENT",
		"AZURESUBSCRIPTION_TENANT_ID=TENANT",
		"AZURESUBSCRIPTION_SERVICE_CONNECTION_ID=" + serviceConnection}},
}
