package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMain lets a test run the program as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("KEYVAULT_TEST_RUN_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestRealVault runs the program as on Azure: -vault and -secret, the client's own transport, no stand-in of the program's.
// The way to the vault is a proxy of the test's, and the vault's certificate is the only one that the system trusts.
func TestRealVault(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE is for Linux")
	}
	v := startVault(t, "example.vault.azure.net")
	endpoint, err := newEndpoint(hostAppService)
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(endpoint)
	t.Cleanup(host.Close)
	proxy := httptest.NewServer(proxyTo(v))
	t.Cleanup(proxy.Close)

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), endpoint.Env(host.URL)...)
	environment = append(environment, "KEYVAULT_TEST_RUN_MAIN=1", "HTTPS_PROXY="+proxy.URL, "https_proxy=", "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE="+certificateFile(t, v), "SSL_CERT_DIR="+t.TempDir())

	for _, test := range []struct {
		name, secret string
		stdout       []string
		stderr       string
	}{
		{"secret", "database-password", []string{
			"Host      App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set\n",
			"Vault     https://example.vault.azure.net\n",
			"Secret    database-password: a secret's value\n",
			"Token     for https://vault.azure.net\n",
			"Expires   ", "Renewal   ",
		}, ""},
		{"no such secret", "nothing", nil,
			"keyvault: https://example.vault.azure.net/secrets/nothing answers 404 Not Found SecretNotFound: " +
				"A secret with (name/id) nothing was not found in this key vault.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(endpoint.Requests())
			var stdout, stderr bytes.Buffer
			command := exec.CommandContext(t.Context(), program, "-vault", "https://example.vault.azure.net/", "-secret", test.secret)
			command.Env, command.Stdout, command.Stderr = environment, &stdout, &stderr
			err := command.Run()
			if (err != nil) != (test.stderr != "") || stderr.String() != test.stderr {
				t.Errorf("%v, stderr %q, want %q", err, &stderr, test.stderr)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout has no %q:\n%s", want, &stdout)
				}
			}
			if got := len(endpoint.Requests()) - before; got != 1 {
				t.Errorf("%d requests to the identity endpoint, want 1", got)
			}
		})
	}
}

// certificateFile writes what the vault presents.
func certificateFile(t *testing.T, v *vault) string {
	t.Helper()
	resp, err := v.client.Get(v.url())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	path := filepath.Join(t.TempDir(), "vault.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: resp.TLS.PeerCertificates[0].Raw}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// proxyTo is an HTTP proxy that knows the way to one vault.
func proxyTo(v *vault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != v.name+":443" {
			http.Error(w, "no way to "+r.Host, http.StatusBadGateway)
			return
		}
		there, err := v.client.Transport.(*http.Transport).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = there.Close() }()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = here.Close() }()
		_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
	})
}
