package identitytest_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// childVariable makes this test binary the program under test: a process of its own, which knows
// nothing of the fake.
const childVariable = "IDENTITYTEST_CHILD"

// TestChildProgram is that program. It prints the host that it found, and its secret.
func TestChildProgram(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("run by TestChildProcess")
	}
	credential, err := identity.NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := service{credential}.readSecret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("on %s: %s\n", credential.Host(), secret)
}

// A program in a process of its own gets its tokens from an Endpoint that this process serves.
func TestChildProcess(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for host, endpoint := range map[identity.Host]*identitytest.Endpoint{
		identity.HostIMDS:       identitytest.NewIMDS(nil),
		identity.HostAppService: identitytest.NewAppService(nil),
	} {
		t.Run(string(host), func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: endpoint, ReadHeaderTimeout: 10 * time.Second}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			t.Cleanup(func() {
				server.Close()
				<-served
			})

			command := exec.CommandContext(t.Context(), program, "-test.run=^TestChildProgram$", "-test.v")
			command.Env = append(os.Environ(), endpoint.Env("http://"+listener.Addr().String())...)
			command.Env = append(command.Env, childVariable+"=1")
			output, err := command.CombinedOutput()
			if want := fmt.Sprintf("on %s: the secret\n", host); err != nil ||
				!strings.Contains(string(output), want) {
				t.Errorf("got error %v and output %q, want output with %q", err, output, want)
			}
			if n := len(endpoint.Requests()); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
}
