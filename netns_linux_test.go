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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// inNamespace tells the test binary that it is the child in a network namespace of its own.
const inNamespace = "IDENTITY_TEST_IN_NETWORK_NAMESPACE"

// TestDefaultPathIgnoresProxies runs the unmodified default path, at IMDS's own address, with proxies in the environment.
// The address stands on the loopback device of a network namespace that has no other device, so that no packet can leave
// it. Where namespaces can't be made, the test is skipped.
func TestDefaultPathIgnoresProxies(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		defaultPathInNamespace(t)
		return
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDefaultPathIgnoresProxies$", "-test.v")
	child.Env = []string{
		inNamespace + "=1", "HOME=" + t.TempDir(),
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		child.Env = append(child.Env, name+"=http://127.0.0.1:3128")
	}
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := child.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("this machine makes no network namespaces: %v", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case err != nil || !strings.Contains(string(out), "--- PASS: TestDefaultPathIgnoresProxies"):
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}

func defaultPathInNamespace(t *testing.T) {
	if interfaces, err := net.Interfaces(); err != nil || len(interfaces) != 1 || interfaces[0].Name != "lo" {
		t.Fatalf("not a network namespace with nothing but loopback: %v, %v", interfaces, err)
	}
	if err := putAddressOnLoopback([4]byte{127, 0, 0, 1}, "lo"); err != nil {
		t.Skipf("can't set up loopback: %v", err)
	}
	for device, address := range map[string][4]byte{"lo:1": {169, 254, 169, 254}, "lo:2": {10, 1, 2, 3}} {
		if err := putAddressOnLoopback(address, device); err != nil {
			t.Skipf("can't add an address to loopback: %v", err)
		}
	}
	var proxied atomic.Int64
	listen(t, "127.0.0.1:3128", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	ep := identitytest.NewIMDS(nil)
	listen(t, "169.254.169.254:80", ep)

	// The proxy is there for those who look at the environment: this shows that the test can fail.
	resp, err := http.Get("http://169.254.169.254/")
	if err != nil || proxied.Load() != 1 {
		t.Fatalf("Go's default client did not use the proxy: %v, %v, %d requests", resp, err, proxied.Load())
	}
	_ = resp.Body.Close()

	cred, err := NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if cred.Host() != HostIMDS {
		t.Skipf("this machine looks like %v", cred.Host())
	}
	mustToken(t, cred)
	if got := len(ep.Requests()); got != 1 {
		t.Errorf("IMDS saw %d requests, want 1", got)
	}
	chain, err := NewDefaultCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil { // another token than that which is held
		t.Error(err)
	}
	probed, err := newDefaultCredential(newShared(), nil, processEnvironment()) // as in a process that has seen nothing of Azure yet
	if err != nil {
		t.Fatal(err)
	}
	step := firstSource(probed).(*probedHost)
	step.cred.hosted.client.Probe(t.Context())
	if !step.cred.hosted.node.Answered() {
		t.Error("the probe has found no IMDS")
	}
	if got := len(ep.Requests()); got != 3 {
		t.Errorf("IMDS saw %d requests, want one for each of two tokens and the probe", got)
	}

	// Redirects go nowhere, either: this one would be a request for the proxy.
	ep.Enqueue(identitytest.Response{Status: 302, Header: http.Header{"Location": {"http://10.9.9.9/"}, "Server": {"IMDS/1"}}, For: time.Hour})
	if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}}); err == nil {
		t.Error("got a token by a redirect")
	}

	// A host that a variable names need not look like this machine.
	app := identitytest.NewAppService(nil)
	listen(t, "10.1.2.3:80", app)
	for _, line := range app.Env("http://10.1.2.3") {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	onApp, err := NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
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

// putAddressOnLoopback does what "ip addr add" and "ip link set up" do, without needing the program.
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
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
			return fmt.Errorf("ioctl %#x on %s: %w", request, device, errno)
		}
		return nil
	}
	var sockaddr, flags [16]byte
	binary.NativeEndian.PutUint16(sockaddr[:], syscall.AF_INET) // struct sockaddr_in: family, port, address
	copy(sockaddr[4:], address[:])
	if err := ioctl(syscall.SIOCSIFADDR, sockaddr); err != nil {
		return err
	}
	binary.NativeEndian.PutUint16(flags[:], syscall.IFF_UP|syscall.IFF_RUNNING)
	return ioctl(syscall.SIOCSIFFLAGS, flags)
}
