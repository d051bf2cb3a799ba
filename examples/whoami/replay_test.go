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

// refusesByNobody are the hosts that let a client ID be selected, and say that they don't have it.
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
				file := filepath.Join(t.TempDir(), "record.json")
				status := 0
				if of.fails {
					status = 1
				}
				execute(t, status, append(slices.Clone(of.args), "-record", file)...)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				r, err := record.Read(text)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Exchanges) == 0 || (r.Outcome.Error != "") != of.fails {
					t.Errorf("%d exchanges, outcome %+v", len(r.Exchanges), r.Outcome)
				}
				if *update {
					target := recordFile(h.Name, kind)
					if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(target, text, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// changing is what may differ between two runs of the same.
var changing = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(https?://)[^/ "]+((/NAME-\d+|/[0-9a-f]{8})*)`), "${1}HOST"},
	{regexp.MustCompile(`\d+(\.\d+)?(µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`read (tcp|pipe)[^,;]*: connection reset`), "connection reset"},
	{regexp.MustCompile(`(\d{1,3}\.){3}\d{1,3}:\d+(->(\d{1,3}\.){3}\d{1,3}:\d+)?`), "ADDRESS"},
}

func constant(text string) string {
	for _, c := range changing {
		text = c.find.ReplaceAllString(text, c.replace)
	}
	return text
}

// replayed plays a record to the credential that it is of, with the program's retries.
func replayed(t *testing.T, file string, timeout time.Duration) (azcore.AccessToken, *record.Record, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := identitytest.Replay(t, file)
	options := azcore.ClientOptions{Transport: endpoint, Retry: retries}
	if os.Getenv("IDENTITY_SERVER_THUMBPRINT") != "" && strings.HasPrefix(os.Getenv("IDENTITY_ENDPOINT"), "https://") {
		options.Transport = endpoint.Client()
	}
	own := &identity.DefaultCredentialOptions{ClientOptions: options}
	if id := endpoint.Identities()[0]; r.Selector == "client ID" {
		own.ID = identity.ClientID(id.ClientID)
	}
	credential, err := identity.NewDefaultCredential(own)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	got, err := credential.GetToken(ctx,
		policy.TokenRequestOptions{Scopes: []string{r.Scope}, EnableCAE: true})
	if err := endpoint.Settle(t.Context()); err != nil { // what the caller has left
		t.Error(err)
	}
	return got, r, err
}

// TestReplay: each record brings the same error, or a token with the same claims that lives as long.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob(recordFile("*", "*"))
	if err != nil || len(files) < 60 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			host, _, _ := strings.Cut(filepath.Base(file), "-")
			commandlinetest.SkipWithout(t, host)
			synctest.Test(t, func(t *testing.T) {
				timeout := defaultTimeout
				if strings.Contains(file, "hangs") {
					timeout = 100 * time.Millisecond
				}
				began := time.Now()
				got, r, err := replayed(t, file, timeout)
				if err != nil {
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
					return
				}
				if r.Outcome.Error != "" {
					t.Fatalf("got a token, want %s", r.Outcome.Error)
				}
				claims, _ := readClaims(got.Token)
				moved := time.Duration(0)
				for _, name := range []string{"exp", "nbf", "iat"} {
					was, _ := r.Outcome.Claims[name].(float64)
					is, _ := claims[name].(float64)
					moved = time.Duration(is-was) * time.Second
					if d := moved - began.Sub(r.Began); d < -2*time.Second || d > 2*time.Second {
						t.Errorf("%s is moved by %v, want by %v", name, moved, began.Sub(r.Began))
					}
					delete(claims, name)
					delete(r.Outcome.Claims, name)
				}
				if !reflect.DeepEqual(map[string]any(claims), r.Outcome.Claims) {
					t.Errorf("claims\n got %v\nwant %v", claims, r.Outcome.Claims)
				}
			})
		})
	}
}
