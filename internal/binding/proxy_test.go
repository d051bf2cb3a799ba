package binding

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// proxyWith reads variables of which one names the file.
func proxyWith(t *testing.T, file string) *Proxy {
	t.Helper()
	p, err := New(func(name string) string {
		return map[string]string{EnvProxy: "https://127.0.0.1:1", EnvCAFile: file}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestClientIsKept: as long as the file is the same, and while it is being replaced.
func TestClientIsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := authority(t)
	write(first)
	p := proxyWith(t, file)
	client, err := p.current()
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{first, nil} {
		write(content)
		if again, err := p.current(); err != nil || again != client {
			t.Errorf("%d bytes: the client was made anew, or %v", len(content), err)
		}
	}
	write(authority(t))
	if again, err := p.current(); err != nil || again == client {
		t.Errorf("the client trusts the authority before, or %v", err)
	}
}

// TestFileThatIsAPipe: opening it would wait for somebody who writes, and no context ends that.
func TestFileThatIsAPipe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if out, err := exec.Command("mkfifo", file).CombinedOutput(); err != nil {
		t.Skipf("no mkfifo: %v %s", err, out)
	}
	p := proxyWith(t, file)
	done := make(chan error, 1)
	go func() {
		_, err := p.current()
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), EnvCAFile) {
			t.Errorf("got %v, want an error that names the variable", err)
		}
	case <-time.After(30 * time.Second): // however busy the machine
		t.Error("reading the file hangs")
		if w, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil { // ends it
			_ = w.Close()
		}
		<-done
	}
}

// authority is the certificate of a new one, in PEM.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true,
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
