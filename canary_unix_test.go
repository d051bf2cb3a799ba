//go:build unix

package identity

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// inProgram tells the test binary that it is a child of TestNoSecretIsSeenInAProgram.
const inProgram = "IDENTITY_TEST_IN_PROGRAM"

// TestNoSecretIsSeenInAProgram is TestNoSecretIsSeen by the exported functions alone, in a process
// with the secret in its own environment, a host on loopback, and programs that are az and azd on
// its PATH.
func TestNoSecretIsSeenInAProgram(t *testing.T) {
	if os.Getenv(inProgram) != "" {
		driveProgram(t)
		return
	}
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := r.Header.Get("X-IDENTITY-HEADER")
		if secret != strings.TrimSpace(hostSecret) {
			t.Errorf("%s came without the header", r.URL)
		}
		if r.URL.Query().Get("resource") == "https://vault.azure.net" {
			_, _ = w.Write([]byte(grantBody(opaqueToken, time.Hour)))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"statusCode":400,"message":"you sent ` + inJSON(secret) + `"}`))
	}))
	t.Cleanup(server.Close)
	az, azd := newProgram(t, "az", "", "", 0), newProgram(t, "azd", "", "", 0)
	for _, chosen := range []string{"prod", "dev"} {
		t.Run(chosen, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNoSecretIsSeenInAProgram$",
				"-test.v")
			child.Env = append(os.Environ(), identitytest.NewAppService(nil).Env(server.URL)...)
			child.Env = append(child.Env, inProgram+"="+chosen, envTokenCredentials+"="+chosen,
				envHeader+"="+hostSecret,
				envEndpoint+"="+server.URL+"/msi/token?code="+endpointKey, "PATH="+filepath.Dir(az.path)+":"+
					filepath.Dir(azd.path))
			out, err := child.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestNoSecretIsSeenInAProgram") {
				t.Fatalf("%v\n%s", err, out)
			}
			if found := everySecret().find(string(out)); found != "" {
				t.Errorf("the program's output shows %s", found)
			}
		})
	}
}

func driveProgram(t *testing.T) {
	w, stop := watch(map[string]bool{})
	defer stop()
	options := &CredentialOptions{Logger: w.logger}
	w.loud(&options.ClientOptions)
	host, err := NewCredential(options)
	if err != nil || host.Host() != HostAppService {
		t.Fatal(host, err)
	}
	standard, err1 := NewDefaultCredential(&DefaultCredentialOptions{
		ClientOptions: options.ClientOptions, Logger: w.logger})
	az, err2 := NewAzureCLICredential(&AzureCLICredentialOptions{Logger: w.logger})
	azd, err3 := NewAzureDeveloperCLICredential(&AzureDeveloperCLICredentialOptions{Logger: w.logger})
	chain, err4 := NewChain([]azcore.TokenCredential{az, azd, host}, &ChainOptions{Logger: w.logger})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.show(Detect())
	for _, refused := range []bool{false, true} {
		for _, d := range developers {
			path, err := exec.LookPath(d.program)
			if err != nil {
				t.Fatal(err)
			}
			stderr, exit := "", 0
			if refused {
				stderr, exit = `ERROR: broken {"accessToken": "`+toolToken+`"}`, 1
			}
			program{path}.says(t, string(d.says(toolToken, time.Hour)), stderr, exit)
		}
		scope := vaultScope
		if refused {
			scope = armScope
		}
		for _, cred := range []azcore.TokenCredential{host, standard, az, azd, chain} {
			tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
			if (err != nil) != refused || err == nil && tk.Token != toolToken && tk.Token != opaqueToken {
				t.Errorf("%T, %s: error %v, want one: %t", cred, scope, err, refused)
			}
			w.showError(err)
			w.show(cred)
		}
	}
	_, _, err = host.Refresh(t.Context(), vaultScope)
	w.showError(err)
	for _, s := range []any{host.Status(), chain.Status(), standard.Status()} {
		w.show(s)
	}
	w.check(t, true)
}
