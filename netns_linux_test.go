package identity

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/keyless-go/identity/identitytest"
)

// inNamespace tells the test binary that it is the child in a network namespace of its own.
const inNamespace = "IDENTITY_TEST_IN_NETWORK_NAMESPACE"

// inNamespaceOfItsOwn runs a test of this binary once more, as a child in a network namespace that
// has nothing but loopback, so that no packet can leave it. Where namespaces can't be made, the
// test is skipped.
func inNamespaceOfItsOwn(t *testing.T, name string, variables ...string) {
	t.Helper()
	startInNamespace(t, name, variables...)(t)
}

// startInNamespace only starts it. What it returns waits for the child, and judges it.
func startInNamespace(t *testing.T, name string, variables ...string) (wait func(*testing.T)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+name+"$", "-test.v")
	child.Env = append(variables, inNamespace+"=1", "HOME="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out []byte
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		out, err = child.CombinedOutput()
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func(t *testing.T) {
		t.Helper()
		<-ended
		switch {
		case err != nil && len(out) == 0:
			t.Skipf("this machine makes no network namespaces: %v", err)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		case err != nil || !strings.Contains(string(out), "--- PASS: "+name):
			t.Errorf("in the namespace: %v\n%s", err, out)
		}
	}
}

// putOnLoopback gives the loopback device addresses, with which it then works, or skips the test.
func putOnLoopback(t *testing.T, addresses ...[4]byte) {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) != 1 || interfaces[0].Name != "lo" {
		t.Fatalf("not a network namespace with nothing but loopback: %v, %v", interfaces, err)
	}
	for i, address := range append([][4]byte{{127, 0, 0, 1}}, addresses...) {
		device := "lo"
		if i > 0 {
			device = fmt.Sprint("lo:", i)
		}
		if err := putAddressOnLoopback(address, device); err != nil {
			t.Skipf("can't add an address to loopback: %v", err)
		}
	}
}

// TestDefaultPathIgnoresProxies runs the unmodified default path, at IMDS's own address, with
// proxies in the environment.
func TestDefaultPathIgnoresProxies(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		defaultPathInNamespace(t)
		return
	}
	t.Parallel()
	var variables []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		for _, name := range []string{name, strings.ToLower(name)} {
			variables = append(variables, name+"=http://127.0.0.1:3128")
		}
	}
	inNamespaceOfItsOwn(t, "TestDefaultPathIgnoresProxies", variables...)
}

func defaultPathInNamespace(t *testing.T) {
	putOnLoopback(t, [4]byte{169, 254, 169, 254}, [4]byte{10, 1, 2, 3})
	var proxied atomic.Int64
	listen(t, "127.0.0.1:3128", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		proxied.Add(1)
	}))
	ep := identitytest.NewIMDS(nil)
	listen(t, "169.254.169.254:80", ep)

	// The proxy is there for those who look at the environment: this shows that the test can fail.
	resp, err := http.Get("http://169.254.169.254/")
	if err != nil || proxied.Load() != 1 {
		t.Fatalf("Go's default client did not use the proxy: %v, %v, %d requests", resp, err,
			proxied.Load())
	}
	_ = resp.Body.Close()

	cred := must(NewCredential(nil))(t)
	if cred.Host() != HostIMDS {
		t.Skipf("this machine looks like %v", cred.Host())
	}
	mustToken(t, cred)
	if got := len(ep.Requests()); got != 1 {
		t.Errorf("IMDS saw %d requests, want 1", got)
	}
	chain := must(NewDefaultCredential(nil))(t)
	if _, err := tokenFor(t.Context(), chain, armScope); err != nil { // which is held by nobody
		t.Error(err)
	}
	// As in a process that has seen nothing of Azure yet.
	probed := must(newDefaultCredential(newShared(), nil, processEnvironment()))(t)
	step := firstSource(probed).(*probedHost)
	step.cred.hosted.client.Probe(t.Context())
	if !step.cred.hosted.node.Answered() {
		t.Error("the probe has found no IMDS")
	}
	if got := len(ep.Requests()); got != 3 {
		t.Errorf("IMDS saw %d requests, want one for each of two tokens and the probe", got)
	}

	// Redirects go nowhere, either: this one would be a request for the proxy.
	ep.Enqueue(identitytest.Response{Status: 302, For: time.Hour,
		Header: http.Header{"Location": {"http://10.9.9.9/"}, "Server": {"IMDS/1"}}})
	if _, err := tokenFor(t.Context(), cred, "https://storage.azure.com/.default"); err == nil {
		t.Error("got a token by a redirect")
	}

	// A host that a variable names need not look like this machine.
	app := identitytest.NewAppService(nil)
	listen(t, "10.1.2.3:80", app)
	for name, value := range variablesAt(app, "http://10.1.2.3") {
		t.Setenv(name, value)
	}
	onApp := must(NewCredential(nil))(t)
	if mustToken(t, onApp); onApp.Host() != HostAppService || len(app.Requests()) != 1 {
		t.Errorf("%v saw %d requests, want App Service and 1", onApp.Host(), len(app.Requests()))
	}
	if got := proxied.Load() - 1; got != 0 {
		t.Errorf("the proxy saw %d requests, want 0", got)
	}
}

func listen(t *testing.T, address string, handler http.Handler) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// putAddressOnLoopback does what "ip addr add" and "ip link set up" do, without needing the
// program.
func putAddressOnLoopback(address [4]byte, device string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	ioctl := func(request uintptr, payload [16]byte) error {
		var ifreq struct { // struct ifreq of <net/if.h>
			name    [16]byte
			payload [16]byte
			_       [8]byte
		}
		copy(ifreq.name[:], device)
		ifreq.payload = payload
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request,
			uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
			return fmt.Errorf("ioctl %#x on %s: %w", request, device, errno)
		}
		return nil
	}
	var sockaddr, flags [16]byte
	// struct sockaddr_in: family, port, address
	binary.NativeEndian.PutUint16(sockaddr[:], syscall.AF_INET)
	copy(sockaddr[4:], address[:])
	if err := ioctl(syscall.SIOCSIFADDR, sockaddr); err != nil {
		return err
	}
	binary.NativeEndian.PutUint16(flags[:], syscall.IFF_UP|syscall.IFF_RUNNING)
	return ioctl(syscall.SIOCSIFFLAGS, flags)
}
