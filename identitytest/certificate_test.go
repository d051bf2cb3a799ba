package identitytest

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

// sha1Of works with GODEBUG=fips140=only, too.
func sha1Of(b []byte) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(b) })
	return fmt.Sprintf("%X", sum)
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	fabric, pod := NewServiceFabric(nil), NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	for _, test := range []struct {
		name           string
		e              *Endpoint
		valid, invalid []string
	}{
		{"ServiceFabric", fabric, []string{"localhost", "127.0.0.1", "::1"},
			[]string{"login.microsoftonline.com", "127.0.0.2"}},
		{"WorkloadIdentity", pod, []string{
			"localhost", "127.0.0.1", "::1",
			"login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn",
		}, []string{"login.windows.net", "sts.windows.net"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := test.e.TLSConfig()
			leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AddCert(leaf)
			for _, name := range test.valid {
				for _, at := range []time.Time{time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Now(), time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)} {
					if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name,
						CurrentTime: at}); err != nil {
						t.Errorf("%s in %d: %v", name, at.Year(), err)
					}
				}
			}
			for _, name := range test.invalid {
				if leaf.VerifyHostname(name) == nil {
					t.Errorf("%s: the certificate is for it, too", name)
				}
			}
			if config == test.e.TLSConfig() {
				t.Error("got the same configuration twice: one could change the other's")
			}
		})
	}

	thumbprint := inMemory(fabric)("IDENTITY_SERVER_THUMBPRINT")
	if want := sha1Of(fabric.TLSConfig().Certificates[0].Certificate[0]); thumbprint != want {
		t.Errorf("got thumbprint %s, want %s", thumbprint, want)
	}
	if !regexp.MustCompile(`^[0-9A-F]{40}$`).MatchString(thumbprint) {
		t.Errorf("got thumbprint %q, want 40 digits in upper case", thumbprint)
	}
	if other := inMemory(NewServiceFabric(nil))("IDENTITY_SERVER_THUMBPRINT"); other == thumbprint {
		t.Error("got the same certificate twice")
	}
	for _, e := range []*Endpoint{
		NewIMDS(nil), NewAppService(nil), NewAppService2017(nil), NewAzureML(nil), NewCloudShell(nil),
		NewArc(&Options{Dir: t.TempDir()}),
	} {
		if e.TLSConfig() != nil {
			t.Errorf("%T: got a TLS configuration, want nil", e.host)
		}
	}
}

func TestCertificateMadeInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewServiceFabric(nil)
		tokenOf(t, throughClient(e.Client())(t, fabricRequest(t, inMemory(e), "")))
	})
}

// A server of one's own, of which the client expects HTTP/2.
func TestTLSConfigServes(t *testing.T) {
	t.Parallel()
	e := NewServiceFabric(nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e, TLSConfig: e.TLSConfig(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	defer func() {
		server.Close()
		<-served
	}()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.certificate.pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	env := environment(e, "https://"+listener.Addr().String())
	r := fabricRequest(t, func(name string) string { return env[name] }, "")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	tokenOf(t, read(t, response))
	if response.ProtoMajor != 2 {
		t.Errorf("got %s, want HTTP/2", response.Proto)
	}

	e.Enqueue(Response{Err: errScripted, For: time.Minute})
	if response, err := client.Do(r); err == nil {
		t.Errorf("got status %d, want the stream reset", response.StatusCode)
		response.Body.Close()
	}
}
