package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// TestMain lets a test run the program as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("KEYVAULT_TEST_RUN_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestRealVault runs the program as on Azure: -vault and -secret, the client's own transport, no
// stand-in of the program's. The way to the vault is a proxy of the test's, and the vault's
// certificate and that of the host, if it has one, are the only ones that the system trusts. Azure
// Arc is missing: another process reads no key but in the agent's own directory.
func TestRealVault(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE is for Linux")
	}
	for name, want := range told {
		if name == standins.Arc {
			continue
		}
		t.Run(name, func(t *testing.T) {
			endpoint := commandlinetest.StandIn(t, name)
			host, _ := standins.Find(name)
			v := startVaultFor(t, "example.vault.azure.net", readers(host, endpoint))
			read := realProgram(t, v, endpoint)
			stdout, stderr := read("database-password")
			commandlinetest.WantAll(t, "stdout", stdout,
				"Host      "+want.detected, "Identity  "+want.identity+"\n",
				"Vault     https://example.vault.azure.net\n",
				"Secret    database-password: a secret's value\n",
				"Token     for https://vault.azure.net\n", "Expires   ", "Renewal   ")
			if stderr != "" {
				t.Errorf("stderr %q, want none", stderr)
			}
			_, stderr = read("nothing")
			if want := "keyvault: https://example.vault.azure.net/secrets/nothing answers 404 Not Found " +
				"SecretNotFound: " +
				"A secret with (name/id) nothing was not found in this key vault.\n"; stderr != want {
				t.Errorf("stderr %q, want %q", stderr, want)
			}
		})
	}
}

// TestCtrlC: the program ends in its own way, which is how it comes to remove files.
func TestCtrlC(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process can't be sent an interrupt on Windows")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "-vault", "https://"+silent.Addr().String(),
		"-secret", "a")
	command.Env, command.Stdout, command.Stderr = append(os.Environ(), "KEYVAULT_TEST_RUN_MAIN=1"),
		&stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	connection, err := silent.Accept() // so that it has come to wait for an answer
	if err == nil {
		defer connection.Close()
		err = command.Process.Signal(os.Interrupt)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if got := command.ProcessState.ExitCode(); got != 1 {
		t.Errorf("exit status %d, want 1", got)
	}
	if want := "keyvault: interrupt signal received\n"; stderr.String() != want {
		t.Errorf("stderr %q, want %q; stdout:\n%s", &stderr, want, &stdout)
	}
}

// realProgram returns how to run the program as a process of its own, which sends one request to
// the endpoint.
func realProgram(
	t *testing.T, v *standins.Vault, endpoint *identitytest.Endpoint,
) (read func(secret string) (stdout, stderr string)) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewUnstartedServer(endpoint)
	trusted := certificateOf(t, v)
	if config := endpoint.TLSConfig(); config != nil {
		host.TLS = config
		host.StartTLS()
		trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: config.Certificates[0].Certificate[0]})...)
	} else {
		host.Start()
	}
	t.Cleanup(host.Close)
	proxy := httptest.NewServer(proxyTo(v))
	t.Cleanup(proxy.Close)
	file := filepath.Join(t.TempDir(), "trusted.pem")
	if err := os.WriteFile(file, trusted, 0o600); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), endpoint.Env(host.URL)...)
	environment = append(environment, "KEYVAULT_TEST_RUN_MAIN=1", "HTTPS_PROXY="+proxy.URL,
		"https_proxy=", "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir())

	return func(secret string) (string, string) {
		t.Helper()
		before := len(endpoint.Requests())
		var stdout, stderr bytes.Buffer
		command := exec.CommandContext(t.Context(), program, "-vault", "https://example.vault.azure.net/",
			"-secret", secret)
		command.Env, command.Stdout, command.Stderr = environment, &stdout, &stderr
		if err := command.Run(); (err != nil) != (stderr.Len() > 0) {
			t.Errorf("%v, stderr %q, want an exit status other than 0 with it, and no other", err, &stderr)
		}
		if got := len(endpoint.Requests()) - before; got != 1 {
			t.Errorf("%d requests to the identity endpoint, want 1", got)
		}
		return stdout.String(), stderr.String()
	}
}

// certificateOf returns what the vault presents.
func certificateOf(t *testing.T, v *standins.Vault) []byte {
	t.Helper()
	resp, err := v.Client.Get(v.URL())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: resp.TLS.PeerCertificates[0].Raw})
}

// proxyTo is an HTTP proxy that knows the way to one vault.
func proxyTo(v *standins.Vault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != strings.TrimPrefix(v.URL(), "https://")+":443" {
			http.Error(w, "no way to "+r.Host, http.StatusBadGateway)
			return
		}
		there, err := v.Client.Transport.(*http.Transport).DialContext(r.Context(), "tcp", r.Host)
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
