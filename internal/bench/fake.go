package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// fake is an App Service, or an IMDS, that can be slow, short-lived or down. It is one for all
// peers. It listens on loopback; as a Transport it answers without a socket, for what has none in
// it.
type fake struct {
	life     time.Duration // of tokens; 0 is a day
	refresh  time.Duration // refresh_in, 0 to send none
	length   int           // of tokens; 0 is a few characters
	delay    time.Duration
	slow     atomic.Bool // delay applies
	down     atomic.Bool
	requests atomic.Int64
}

func (f *fake) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	status, body := f.answer()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Do implements azcore's policy.Transporter, MSAL's HTTP client has the same method.
func (f *fake) Do(req *http.Request) (*http.Response, error) {
	status, body := f.answer()
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}, nil
}

// CloseIdleConnections is what MSAL wants of an HTTP client.
func (f *fake) CloseIdleConnections() {}

func (f *fake) answer() (status int, body string) {
	n := f.requests.Add(1)
	if f.slow.Load() {
		time.Sleep(f.delay)
	}
	if f.down.Load() {
		return http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`
	}
	life := f.life
	if life == 0 {
		life = 24 * time.Hour
	}
	token := fmt.Sprintf("token-%d-", n)
	if pad := f.length - len(token); pad > 0 {
		token += strings.Repeat("x", pad)
	}
	refresh := ""
	if f.refresh > 0 {
		refresh = fmt.Sprintf(`"refresh_in":"%d",`, int(f.refresh.Seconds()))
	}
	return http.StatusOK,
		fmt.Sprintf(`{"access_token":"%s",%s"expires_on":"%d","expires_in":"%d","resource":"r","token_type":"Bearer"}`,
			token, refresh, time.Now().Add(life).Unix(), int(life.Seconds()))
}

// listen serves the fake on loopback, and returns its URL and how to stop it.
func (f *fake) listen() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}

// hostVariables are those by which hosts are recognised.
var hostVariables = []string{
	"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT", "MSI_SECRET",
	"IMDS_ENDPOINT",
	"AZURE_POD_IDENTITY_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID",
	"AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST",
}

// setHost makes the environment that of one host: pairs of variables and values, and none of the
// others.
func setHost(pairs ...string) {
	for _, name := range hostVariables {
		_ = os.Unsetenv(name)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = os.Setenv(pairs[i], pairs[i+1])
	}
}

// setAppService makes it App Service at a URL. Nothing answers at the one that in-memory runs name.
func setAppService(url string) {
	setHost("IDENTITY_ENDPOINT", url+"/msi/token", "IDENTITY_HEADER", "header")
}

const nowhere = "http://127.0.0.1:9"
