package identity

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// manyRuns is the variable that says how often TestDefaultOnAnAzureVM runs each of its cases: once
// without it, 100 times to be sure.
const manyRuns = "IDENTITY_TEST_RUNS"

// TestDefaultOnAnAzureVM asks for several resources at once, on the real scheduler and at IMDS's
// own address, in a network namespace that has nothing but loopback. IMDS refuses the probe at once
// and takes over a second for a token. Nobody is the developer, and no call fails, with and without
// az.
func TestDefaultOnAnAzureVM(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		onAzureVMInNamespace(t)
		return
	}
	t.Parallel()
	// All at once: they wait most of the time.
	children := map[string]func(*testing.T){}
	for _, processors := range []int{1, 2, 4} {
		for _, tool := range []bool{true, false} {
			path := t.TempDir()
			if tool {
				script := "#!/bin/sh\necho '{\"accessToken\":\"" + developersToken +
					"\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}'\n"
				if err := os.WriteFile(filepath.Join(path, "az"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			children[fmt.Sprintf("processors %d, az %v", processors, tool)] = startInNamespace(t,
				"TestDefaultOnAnAzureVM", "PATH="+path, "GOMAXPROCS="+strconv.Itoa(processors),
				manyRuns+"="+os.Getenv(manyRuns))
		}
	}
	for name, wait := range children {
		t.Run(name, wait)
	}
}

func onAzureVMInNamespace(t *testing.T) {
	putOnLoopback(t, [4]byte{169, 254, 169, 254})
	ep := identitytest.NewIMDS(nil)
	listen(t, "169.254.169.254:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "" {
			time.Sleep(1300 * time.Millisecond) // it has to ask Entra
		}
		ep.ServeHTTP(w, r)
	}))
	runs, _ := strconv.Atoi(os.Getenv(manyRuns))
	for run := range max(runs, 1) {
		for _, n := range []int{1, 5, 10} {
			// as in a new process
			chain, err := newDefaultCredential(newShared(), nil, processEnvironment())
			if err != nil {
				t.Fatal(err)
			}
			if got := allAtOnce(t, chain, scopesOf(n)); got["token"] != n {
				t.Fatalf("run %d: %d resources at once: %v", run, n, got)
			}
		}
	}
}
