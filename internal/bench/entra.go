package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
)

// fakeEntra is a token endpoint with TLS, which this process is made to trust, and the environment
// of a pod that has a workload identity there. It works where Go takes its authorities from
// SSL_CERT_FILE, as on Linux, and only in a process that has not asked for them before.
func fakeEntra(f *fake) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	server := httptest.NewTLSServer(http.HandlerFunc(f.ServeHTTP))
	stop = func() { server.Close(); _ = os.RemoveAll(dir) }
	cert, token := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "token")
	for path, content := range map[string][]byte{
		cert:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		token: []byte("eyJhbGciOiJub25lIn0.eyJzdWIiOiJiZW5jaCJ9.c2lnbmF0dXJl"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			stop()
			return nil, err
		}
	}
	_ = os.Setenv("SSL_CERT_FILE", cert)
	setHost("AZURE_FEDERATED_TOKEN_FILE", token, "AZURE_CLIENT_ID",
		"b2f5a3c0-0000-4000-8000-000000000001",
		"AZURE_TENANT_ID", "b2f5a3c0-0000-4000-8000-000000000002", "AZURE_AUTHORITY_HOST", server.URL)
	return stop, nil
}
