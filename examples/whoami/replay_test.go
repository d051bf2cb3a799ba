package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/record"
)

// recorded are what each host is recorded with.
var recorded = map[string]struct {
	script []identitytest.Response
	args   []string
	fails  bool
}{
	"token":   {},
	"refusal": {args: byNobody, fails: true},
	"throttled": {script: []identitytest.Response{{Status: http.StatusTooManyRequests, For: time.Hour}},
		fails: true},
	"recovers": {script: []identitytest.Response{{Status: http.StatusServiceUnavailable}}},
	"stranger": {script: []identitytest.Response{{Status: http.StatusBadGateway, For: time.Hour,
		Body: "<html><body>Bad Gateway at proxy-7.contoso.example</body></html>"}}, fails: true},
	"cut": {script: []identitytest.Response{{Status: http.StatusOK, Err: io.ErrUnexpectedEOF,
		For: time.Hour}}, fails: true},
	"reset": {script: []identitytest.Response{{Err: syscall.ECONNRESET, For: time.Hour}}, fails: true},
	"hangs": {script: []identitytest.Response{{Delay: time.Hour, For: time.Hour}},
		args: []string{"-timeout", "100ms"}, fails: true},
}

// recordFile is where the record of a host is.
func recordFile(host, kind string) string {
	return filepath.Join("testdata", "records", host+"-"+kind+".json")
}

// selectsByClientID reports whether a host lets an identity be selected by its client ID.
func selectsByClientID(host string) bool {
	return !slices.Contains([]string{standins.ServiceFabric, standins.ContainerInstances,
		standins.CloudShell}, host)
}

// TestRecord writes the record of each host in each state: with -update into testdata.
func TestRecord(t *testing.T) {
	for _, h := range standins.Hosts() {
		for kind, of := range recorded {
			if kind == "refusal" && !selectsByClientID(h.Name) {
				continue
			}
			t.Run(h.Name+" "+kind, func(t *testing.T) {
				onHost(t, h.Name, of.script...)
				writeRecord(t, recordFile(h.Name, kind), of.fails, of.args...)
			})
		}
	}
	t.Run("closed", func(t *testing.T) {
		t.Setenv(movesIMDS, "http://"+commandlinetest.Closed(t))
		writeRecord(t, recordFile(standins.IMDS, "closed"), true)
	})
	for kind, fails := range map[string]bool{"application": false, "distrusted": true} {
		t.Run(kind, func(t *testing.T) {
			host := onHost(t, standins.IMDS)
			trusted := host.FederatedCredentials()
			if fails {
				trusted = nil
			}
			identitytest.NewEntra(&identitytest.Options{
				Identities:           []identitytest.Identity{{ClientID: someApplication, TenantID: someTenant}},
				FederatedCredentials: trusted,
			}).Start(t)
			writeRecord(t, recordFile(standins.IMDS, kind), fails, asApplication...)
		})
	}
}

func writeRecord(t *testing.T, target string, fails bool, args ...string) {
	t.Helper()
	file, status := filepath.Join(t.TempDir(), "record.json"), 0
	if fails {
		status = 1
	}
	execute(t, status, append(slices.Clone(args), "-record", file)...)
	r, text := readRecord(t, file)
	if len(r.Exchanges) == 0 || (r.Outcome.Error != "") != fails {
		t.Errorf("%d exchanges, outcome %+v", len(r.Exchanges), r.Outcome)
	}
	if !*update {
		return
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func readRecord(t *testing.T, file string) (*record.Record, []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

// TestRecordRefuses a file that is there, and leaves it as it is; and no name.
func TestRecordRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record.json")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := execute(t, 1, "-fake", "imds", "-record", file)
	commandlinetest.WantOneLine(t, "whoami", stderr, "-record: open "+file+": ")
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file has %q, %v", text, err)
	}
	_, stderr = execute(t, 1, "-record", "")
	commandlinetest.WantOneLine(t, "whoami", stderr, "-record is empty")
}

// changing is what may differ between two runs of the same.
var changing = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(https?://)[^/ "]+((/NAME-\d+|/[0-9a-f]{8})*)`), "${1}HOST"},
	{regexp.MustCompile(`\d+(\.\d+)?(µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`read (tcp|pipe)[^,;]*: connection reset`), "connection reset"},
	{regexp.MustCompile(`127(\.\d{1,3}){3}:\d+`), "ADDRESS"},
}

func constant(text string) string {
	for _, c := range changing {
		text = c.find.ReplaceAllString(text, c.replace)
	}
	return text
}

// credentialOf is what a record is of, on its replay, with the program's retries.
func credentialOf(
	t *testing.T, r *record.Record, endpoint *identitytest.Endpoint,
) identity.Reporter {
	t.Helper()
	options := azcore.ClientOptions{Transport: endpoint, Retry: retries}
	if identity.Detect().Host == identity.HostServiceFabric {
		options.Transport = endpoint.Client()
	}
	id := endpoint.Identities()[0]
	own := &identity.DefaultCredentialOptions{ClientOptions: options}
	if r.Selector == "client ID" {
		own.ID = identity.ClientID(id.ClientID)
	}
	if r.Constructor == "NewDefaultCredential" {
		c, err := identity.NewDefaultCredential(own)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	vouches, err := identity.NewCredential(&identity.CredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	c, err := identity.NewFederatedCredential(id.TenantID, identity.ClientID(id.ClientID),
		identity.CredentialAssertion(vouches),
		&identity.FederatedCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReplay: each record brings the same error, or a token with the same claims that lives as
// long.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob(recordFile("*", "*"))
	if err != nil || len(files) < 72 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			host, kind, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
			commandlinetest.SkipWithout(t, host)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r, _ := readRecord(t, file)
				endpoint := identitytest.Replay(t, file)
				credential, timeout := credentialOf(t, r, endpoint), defaultTimeout
				if kind == "hangs" {
					timeout = 100 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				got, err := credential.GetToken(ctx,
					policy.TokenRequestOptions{Scopes: []string{r.Scope}, EnableCAE: true})
				if settled := endpoint.Settle(t.Context()); settled != nil { // what the caller has left
					t.Error(settled)
				}
				if err != nil {
					wantRecordedError(t, err, r)
					return
				}
				wantRecordedToken(t, got, r, began.Sub(r.Began))
			})
		})
	}
}

func wantRecordedError(t *testing.T, err error, r *record.Record) {
	t.Helper()
	var summarized interface{ Summary() string }
	if !errors.As(err, &summarized) {
		t.Fatalf("got %v, want %s", err, r.Outcome.Summary)
	}
	if got, want := constant(summarized.Summary()), constant(r.Outcome.Summary); got != want {
		t.Errorf("summary\n got %s\nwant %s", got, want)
	}
	if got, want := constant(err.Error()), constant(r.Outcome.Error); got != want {
		t.Errorf("error\n got %s\nwant %s", got, want)
	}
}

// wantRecordedToken: later is how much later than the record this is.
func wantRecordedToken(
	t *testing.T, got azcore.AccessToken, r *record.Record, later time.Duration,
) {
	t.Helper()
	if r.Outcome.Error != "" {
		t.Fatalf("got a token, want %s", r.Outcome.Error)
	}
	claims, _ := readClaims(got.Token)
	for _, name := range []string{"exp", "nbf", "iat"} {
		was, _ := r.Outcome.Claims[name].(float64)
		is, _ := claims[name].(float64)
		if moved := time.Duration(is-was) * time.Second; (moved - later).Abs() > 2*time.Second {
			t.Errorf("%s is moved by %v, want by %v", name, moved, later)
		}
		delete(claims, name)
		delete(r.Outcome.Claims, name)
	}
	if !reflect.DeepEqual(map[string]any(claims), r.Outcome.Claims) {
		t.Errorf("claims\n got %v\nwant %v", claims, r.Outcome.Claims)
	}
}
