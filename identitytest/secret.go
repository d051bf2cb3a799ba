package identitytest

import (
	"crypto/subtle"
	"fmt"
	"os"
	"sync"
)

// headerSecret is what a client repeats in a header of each request, to prove that it can read the
// host's environment.
type headerSecret struct {
	variable string // that has it

	mu     sync.Mutex
	secret string
}

func newHeaderSecret(variable string) *headerSecret {
	return &headerSecret{variable: variable, secret: randomGUID()}
}

func (s *headerSecret) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret
}

// line is the variable and its value, as Env returns them.
func (s *headerSecret) line() string { return s.variable + "=" + s.current() }

func (s *headerSecret) is(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.current())) == 1
}

func (s *headerSecret) rotate() (changed []string, err error) {
	s.mu.Lock()
	s.secret = randomGUID()
	s.mu.Unlock()
	return []string{s.line()}, nil
}

// rotator is a host with a secret. RotateSecret calls rotate once at a time.
type rotator interface {
	// rotate makes the secret worthless and puts another in its place. It returns the variables of Env
	// that have changed by it.
	rotate() (changed []string, err error)
}

// RotateSecret replaces the secret of an endpoint, as the platform does at times. What a client has
// read before is refused from now on:
//
//   - App Service, Service Fabric and Container Instances on Windows have it in IDENTITY_HEADER,
//     Azure ML and the legacy App Service in MSI_SECRET. If the endpoint is running by
//     [Endpoint.Start], the variable gets the new one, and a client has to notice; otherwise
//     [Endpoint.Env] returns it.
//   - GitHub Actions has it in ACTIONS_ID_TOKEN_REQUEST_TOKEN and Azure Pipelines in
//     SYSTEM_ACCESSTOKEN, with the same consequence.
//   - Azure Arc has a key file per request. Those which were handed out and not used yet are
//     removed.
//   - Workload identity has a token file, which is replaced in one step.
//
// It panics on an endpoint that has no secret, and if the token file can't be written.
func (e *Endpoint) RotateSecret() {
	h, ok := e.host.(rotator)
	if !ok {
		panic("identitytest: RotateSecret: only App Service, Azure Arc, Azure ML, Azure Pipelines, " +
			"Container Instances on Windows, GitHub Actions, Service Fabric and workload identity endpoints " +
			"have a secret")
	}
	e.rotation.Lock()
	// so that two rotations can't leave one's secret here and the other's in the environment
	defer e.rotation.Unlock()
	changed, err := h.rotate()
	if err != nil {
		panic(fmt.Sprintf("identitytest: RotateSecret: %v", err))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		for _, v := range variables(changed) {
			_ = os.Setenv(v.name, v.value) // can't fail: Start has set it; the end of the test restores it
		}
	}
}
