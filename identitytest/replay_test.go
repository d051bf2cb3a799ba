package identitytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// The tests of Replay aren't parallel: it sets the process's variables. The records of all hosts
// are played by examples/whoami, which writes them.

const report = "testdata/report.json" // IMDS answers 503 once, and then with a token

// recordWith writes the report with something replaced.
func recordWith(t *testing.T, oldNew ...string) string {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(oldNew...).Replace(string(text))
	if changed == string(text) {
		t.Fatalf("%s has none of %q", report, oldNew)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// askRecorded makes the credential of a record and asks it.
func askRecorded(
	t *testing.T, endpoint *identitytest.Endpoint, scope string,
) (azcore.AccessToken, error) {
	t.Helper()
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
}

const managementScope = "https://management.azure.com/.default"

// TestReplay: the token comes at the second try, and lives as long as it did.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.Replay(t, "testdata/report.json")
		token, err := askRecorded(t, endpoint, managementScope)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.ExpiresOn); left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("the token lives for %v, want a day", left)
		}
		if n := len(endpoint.Requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
		id := endpoint.Identities()[0]
		if who, err := identity.PrincipalOf(token.Token); err != nil || who.ObjectID != id.ObjectID {
			t.Errorf("the token is of %+v (%v), want %+v", who, err, id)
		}
	})
}

// TestReplayOverConnection is for code that makes its own credential.
func TestReplayOverConnection(t *testing.T) {
	identitytest.Replay(t, report).Start(t)
	credential, err := identity.NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credential.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{managementScope}}); err != nil {
		t.Fatal(err)
	}
}

// TestReplayOfAnotherRequest: what the record doesn't have is an error at once, which says why.
func TestReplayOfAnotherRequest(t *testing.T) {
	_, err := askRecorded(t, identitytest.Replay(t, report), "https://vault.azure.net/.default")
	if err == nil || !strings.Contains(err.Error(), "identitytest: Replay: the record has no answer to "+
		"GET ") || !strings.Contains(err.Error(), "resource, which is https://management.azure.com") ||
		!strings.Contains(err.Error(), "1 attempt,") {
		t.Errorf("got %v, want an error that says in what the record differs", err)
	}
}

// TestReplaySetsVariables: what the record doesn't have is not inherited.
func TestReplaySetsVariables(t *testing.T) {
	t.Setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token")
	t.Setenv("IDENTITY_HEADER", "inherited")
	t.Setenv("AZURE_CLIENT_ID", "inherited")
	identitytest.Replay(t, report)
	for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID"} {
		if value := os.Getenv(name); value != "" {
			t.Errorf("%s is %q, want it empty", name, value)
		}
	}
	if host := identity.Detect().Host; host != identity.HostIMDS {
		t.Errorf("the host is %s, want IMDS", host)
	}
}

// TestReplaySlowly: what took long takes as long, and what never came blocks.
func TestReplaySlowly(t *testing.T) {
	for name, change := range map[string][]string{
		"slow":  {`"tookMs": `, `"tookMs": 2000`},
		"hangs": {`"answer": {`, `"fault": {"kind": "waiting", "connected": true}, "answer": {`},
	} {
		t.Run(name, func(t *testing.T) {
			file := recordWith(t, change...)
			synctest.Test(t, func(t *testing.T) {
				endpoint := identitytest.Replay(t, file)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv(
					"AZURE_POD_IDENTITY_AUTHORITY_HOST")+"/metadata/identity/oauth2/token"+
					"?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Metadata", "true")
				if _, err := endpoint.Do(r); !errors.Is(err, context.DeadlineExceeded) ||
					time.Since(began) != time.Second {
					t.Errorf("%v after %v, want the end of the request's context", err, time.Since(began))
				}
			})
		})
	}
}

// failing is a test that Replay fails.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

// TestReplayRefuses what is no record, and one in which nothing was asked.
func TestReplayRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	empty := filepath.Join(t.TempDir(), "empty")
	for file, content := range map[string]string{
		text: "no record", empty: `{"format":1,"outcome":{"error":"AZURE_FEDERATED_TOKEN_FILE: no file"}}`,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"testdata/none.json": "identitytest: Replay: open testdata/none.json: ",
		text:                 "no record of whoami -record",
		empty:                "nothing was asked: AZURE_FEDERATED_TOKEN_FILE: no file",
	} {
		tb := &failing{TB: t}
		func() {
			defer func() { _ = recover() }()
			identitytest.Replay(tb, file)
		}()
		if !strings.Contains(tb.message, want) {
			t.Errorf("%s: %q, want the test to fail with %q", file, tb.message, want)
		}
	}
}
