package interop

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// inNamespaces tells the test binary that it is the child in namespaces of its own.
const inNamespaces = "INTEROP_TEST_IN_NAMESPACES"

// arcKeys is where the agent has its keys, and arcAgent is the agent: azidentity can't be told
// another place.
const (
	arcKeys  = "/var/opt/azcmagent/tokens"
	arcAgent = "/opt/azcmagent/bin/himds"
)

// TestArc runs in a child process, which has the directories of the agent to itself, and a network
// with nothing but loopback, on which the agent's port is free. Where namespaces can't be made, it
// is skipped.
func TestArc(t *testing.T) {
	if os.Getenv(inNamespaces) != "" {
		furnish(t)
		t.Run("Tokens", arcTokens)
		t.Run("Refusals", arcRefusals)
		t.Run("Echoes", arcEchoes)
		t.Run("Challenges", arcChallenges)
		t.Run("Retries", arcRetries)
		t.Run("RetryOfTheSecond", arcRetryOfTheSecond)
		return
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestArc$", "-test.v")
	child.Env = []string{inNamespaces + "=1", "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("this machine makes no namespaces: %v", err)
	case strings.Contains(string(out), "--- SKIP: TestArc ("):
		t.Skipf("%s", out)
	case err != nil || !strings.Contains(string(out), "--- PASS: TestArc ("):
		t.Errorf("in the namespaces: %v\n%s", err, out)
	}
}

// furnish makes the namespaces look like a server with the agent.
func furnish(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("can't make mounts private: %v", err)
	}
	for _, directory := range []string{filepath.Dir(arcKeys), filepath.Dir(arcAgent)} {
		over := directory
		for _, err := os.Stat(over); err != nil; _, err = os.Stat(over) {
			over = filepath.Dir(over)
		}
		if over == "/" {
			t.Skipf("this machine has none of the directories above %s", directory)
		}
		if err := syscall.Mount("tmpfs", over, "tmpfs", 0, "mode=0755"); err != nil {
			t.Skipf("can't mount a tmpfs at %s: %v", over, err)
		}
	}
	if err := os.MkdirAll(arcKeys, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := loopbackUp(); err != nil {
		t.Skipf("can't set up loopback: %v", err)
	}
}

// loopbackUp does what "ip link set lo up" does, without needing the program. The kernel adds the
// addresses.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	ifreq := struct { // struct ifreq of <net/if.h>
		name  [16]byte
		flags uint16
		_     [22]byte
	}{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return errno
	}
	return nil
}

var arc = host{name: "Azure Arc", make: func(o *identitytest.Options) *identitytest.Endpoint {
	o.Dir = arcKeys
	return identitytest.NewArc(o)
}}

const basic = `Basic [0-9A-Za-z+/]{43}=`

// ownKey: it is good for one request.
var ownKey = difference{"header Authorization", basic, basic, "each challenge has a key of its own"}

// arcPlaces are the ways in which a server's programs find the agent.
var arcPlaces = []struct {
	name  string
	start func(*testing.T, ...identitytest.Identity) *identitytest.Endpoint
}{
	{"by the fake's variables", arc.start},
	// The path doesn't name the fake, so that nothing but the agent's own directory tells where keys
	// are.
	{"by the agent's variables",
		func(t *testing.T, identities ...identitytest.Identity) *identitytest.Endpoint {
			ep := arc.start(t, identities...)
			base := "http://" + serve(t, ep, "127.0.0.1:0")
			t.Setenv("IDENTITY_ENDPOINT", base+"/metadata/identity/oauth2/token")
			t.Setenv("IMDS_ENDPOINT", base)
			return ep
		}},
	// As a daemon does, which has no variables.
	{"by the agent's file",
		func(t *testing.T, identities ...identitytest.Identity) *identitytest.Endpoint {
			ep := arc.make(&identitytest.Options{Identities: identities, HostCache: true})
			serve(t, ep, "127.0.0.1:40342")
			if err := os.MkdirAll(filepath.Dir(arcAgent), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(arcAgent, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(arcAgent) })
			return ep
		}},
}

func serve(t *testing.T, handler http.Handler, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func arcTokens(t *testing.T) {
	for _, place := range arcPlaces {
		for _, by := range []selector{noSelector, byClientID, byObjectID, byResourceID} {
			t.Run(place.name+"/"+by.name, func(t *testing.T) {
				ep := place.start(t, three...)
				if got := identity.Detect().Host; got != identity.HostArc {
					t.Fatalf("got host %v, want %v", got, identity.HostArc)
				}
				want := ep.Identities()[0]
				if by.name != noSelector.name {
					want = ep.Identities()[1]
				}
				peer, ours := arc.credentials(t, ep, by, want)
				theirs, own := both(t, ep, peer, ours)
				compare(t, theirs.requests, own.requests, arc.differences(), arc.differences(ownKey))
				if n := len(own.requests); n != 2 {
					t.Errorf("got %d requests, want a challenge and its answer", n)
				}
				sameToken(t, theirs, own)
				if got := claimsOf(t, own).ObjectID; own.err == nil && got != want.ObjectID {
					t.Errorf("got a token of object ID %s, want %s", got, want.ObjectID)
				}
				if left, err := os.ReadDir(arcKeys); err != nil || len(left) > 0 {
					t.Errorf("left behind %v (%v), want no key", left, err)
				}
			})
		}
	}
}

// arcRefusals: the agent refuses an identity in place of its challenge. MSAL for Go then says no
// more than that it expected another status.
func arcRefusals(t *testing.T) {
	for _, by := range []selector{byClientID, byObjectID, byResourceID} {
		t.Run(by.name+" of a stranger", func(t *testing.T) {
			ep := arc.start(t, three...)
			peer, ours := arc.credentials(t, ep, by, nobody)
			theirs, own := both(t, ep, peer, ours)
			compare(t, theirs.requests, own.requests, arc.differences())
			if theirs.err == nil || !strings.Contains(theirs.err.Error(), "received 404") {
				t.Errorf("the peer: got %v, want that it received 404", theirs.err)
			}
			var refused *identity.AuthenticationError
			if !errors.As(own.err, &refused) || refused.StatusCode != http.StatusNotFound ||
				refused.Code != "identity_not_found" ||
				!errors.Is(refused, identity.ErrIdentityNotFound) {
				t.Errorf("got %v, want 404 identity_not_found, ErrIdentityNotFound", own.err)
			}
		})
	}
}

// arcEchoes: an agent that doesn't know selectors ignores them, so that both want to be told whose
// token it is.
func arcEchoes(t *testing.T) {
	for _, test := range []struct {
		by     selector
		echoes map[string]bool // in the answer, and whether the token is taken
	}{
		{byClientID, map[string]bool{
			"": false, `"client_id": "", `: false, `"client_id": null, `: false,
			`"client_id": "another", `: false, `"object_id": "OBJECT", `: false,
			`"client_id": "CLIENT", `: true, `"client_id": "UPPER", `: true}},
		{byObjectID, map[string]bool{"": false, `"object_id": "OBJECT", `: true}},
		{byResourceID, map[string]bool{"": false, `"msi_res_id": "RESOURCE", `: true,
			`"mi_res_id": "RESOURCE", `: true}},
	} {
		for echo, taken := range test.echoes {
			t.Run(test.by.name+"/"+echo, func(t *testing.T) {
				ep := arc.start(t, three...)
				id := ep.Identities()[1]
				peer, ours := arc.credentials(t, ep, test.by, id)
				options := anew()
				echo := strings.NewReplacer("CLIENT", id.ClientID, "OBJECT", id.ObjectID, "RESOURCE",
					id.ResourceID, "UPPER", strings.ToUpper(id.ClientID)).Replace(echo)
				get := func(cred azcore.TokenCredential) exchange {
					ep.Enqueue(identitytest.Response{}, identitytest.Response{Body: `{` + echo +
						`"access_token": "opaque", "expires_in": "3600", "token_type": "Bearer"}`})
					return ask(t, ep, cred, options)
				}
				theirs, own := get(peer), get(ours)
				compare(t, theirs.requests, own.requests, arc.differences(), arc.differences(ownKey))
				if got := theirs.err == nil; got != taken {
					t.Errorf("the peer takes the token: %v, want %v: %v", got, taken, theirs.err)
				}
				if got := own.err == nil; got != taken || !got &&
					!errors.Is(own.err, identity.ErrIdentityMismatch) {
					t.Errorf("took the token: %v, want %v: %v", got, taken, own.err)
				}
				ep.RotateSecret() // the keys weren't used
			})
		}
	}
}

// arcChallenge is an answer to the first request, and a file: what is in it, and where.
type arcChallenge struct {
	path, key  string // none without a path
	answer     identitytest.Response
	peer, ours bool // sends it
	why        string
}

// challenges is an answer with these.
func challenges(values ...string) identitytest.Response {
	return identitytest.Response{Status: http.StatusUnauthorized,
		Header: http.Header{"Www-Authenticate": values}}
}

func realm(path string) identitytest.Response { return challenges("Basic realm=" + path) }

const (
	arcKey  = "bm90IHRoZSBmYWtlJ3Mga2V5"
	arcTrap = arcKeys + "/trap.key"
	above   = "/var/opt/azcmagent/trap.key"
)

var arcAnswers = map[string]arcChallenge{
	"key":               {arcTrap, arcKey, realm(arcTrap), true, true, ""},
	"key of 4096 bytes": {arcTrap, strings.Repeat("k", 4096), realm(arcTrap), true, true, ""},
	"key of 4097 bytes": {path: arcTrap, key: strings.Repeat("k", 4097), answer: realm(arcTrap)},
	"no file":           {answer: realm(arcTrap)},
	"directory above":   {path: above, key: arcKey, answer: realm(above)},
	"directory above, by dots": {path: above, key: arcKey,
		answer: realm(arcKeys + "/../trap.key")},
	"other extension": {path: arcKeys + "/trap.txt", key: arcKey,
		answer: realm(arcKeys + "/trap.txt")},
	"relative path": {answer: realm("trap.key")},
	"no challenge":  {answer: challenges()},
	"other scheme":  {answer: challenges("Bearer realm=" + arcTrap)},
	"no realm":      {answer: challenges("Basic")},
	"forbidden":     {answer: identitytest.Response{Status: http.StatusForbidden}},
	"token without a challenge": {answer: identitytest.Response{
		Body: `{"access_token": "t", "expires_in": "3600", "token_type": "Bearer"}`}},
	"directory, and dots": {arcTrap, arcKey, realm(arcKeys + "/../tokens/trap.key"), true, false,
		"the agent names its files plainly, and dots can lead through links"},
	"nothing but the extension": {arcKeys + "/.key", arcKey, realm(arcKeys + "/.key"), true, false,
		"that is a hidden file without an extension"},
	"empty key": {arcTrap, "", realm(arcTrap), true, false, "the peer's second request has no key " +
		"at all; there may be one in a moment, and we ask anew"},
	"quoted realm": {arcTrap, arcKey, realm(`"` + arcTrap + `"`), false, true,
		"that is how a realm is written: RFC 7617"},
	"scheme in other letters": {arcTrap, arcKey, challenges("basic Realm=" + arcTrap), false, true,
		"their case has no meaning: RFC 9110"},
	"second of two challenges": {arcTrap, arcKey, challenges("Negotiate", "Basic realm="+arcTrap),
		false, true, "a client takes the one that it can answer: RFC 9110"},
}

// arcChallenges: which answers to the first request make azidentity and us read a file and send
// what is in it?
func arcChallenges(t *testing.T) {
	for name, test := range arcAnswers {
		t.Run(name, func(t *testing.T) {
			if test.path != "" {
				holds(t, test.path, test.key)
			}
			sendsKey(t, test)
		})
	}
	outside := filepath.Join(t.TempDir(), "trap.key")
	t.Run("other directory", func(t *testing.T) {
		holds(t, outside, arcKey)
		sendsKey(t, arcChallenge{answer: realm(outside)})
	})
	t.Run("symbolic link out of the directory", func(t *testing.T) {
		holds(t, outside, arcKey)
		if err := os.Symlink(outside, arcTrap); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(arcTrap) })
		sendsKey(t, arcChallenge{answer: realm(arcTrap), peer: true,
			why: "what is sent would be a file from elsewhere"})
	})
}

// holds makes a file for the test.
func holds(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
}

// sendsKey gives both the answer, and looks whether they send what is in the file.
func sendsKey(t *testing.T, test arcChallenge) {
	t.Helper()
	h := arc
	h.retry.MaxRetries = -1 // the file won't come
	ep := h.start(t, three...)
	peer, ours := h.credentials(t, ep, noSelector, identitytest.Identity{})
	options := anew()
	ep.Enqueue(test.answer)
	theirs := ask(t, ep, peer, options)
	ep.Enqueue(test.answer)
	own := ask(t, ep, ours, options)
	if got := len(theirs.requests) == 2; got != test.peer || theirs.err == nil {
		t.Errorf("the peer sent it: %v, want %v; its error is %v", got, test.peer, theirs.err)
	}
	if got := len(own.requests) == 2; got != test.ours || own.err == nil {
		t.Errorf("sent it: %v, want %v %s; our error is %v", got, test.ours, test.why, own.err)
	}
	if own.err != nil && strings.Contains(own.err.Error(), arcKey) {
		t.Errorf("the key is in the error: %v", own.err)
	}
	if test.peer && test.ours { // the same key for both, this time
		compare(t, theirs.requests, own.requests, arc.differences())
		sameRefusal(t, theirs, own, http.StatusUnauthorized, nil)
	}
	ep.RotateSecret() // leaves no key of the fake's behind
}

func arcRetries(t *testing.T) {
	h := arc
	ep := h.start(t)
	h.inMemory = true // there are waits, for a bubble
	synctest.Test(t, func(t *testing.T) {
		retries(t, ep, 2, azcoreStatuses, otherServerErrors,
			func(policy.TokenRequestOptions) (peer, ours azcore.TokenCredential, meant [][]difference) {
				peer, ours = h.credentials(t, ep, noSelector, identitytest.Identity{})
				return peer, ours, [][]difference{h.differences(), h.differences(), h.differences(ownKey)}
			})
	})
}

// arcRetryOfTheSecond: azcore repeats the request that failed, with a key that the agent may have
// taken back. We begin anew.
func arcRetryOfTheSecond(t *testing.T) {
	h := arc
	h.retry = policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond}
	ep := h.start(t)
	peer, ours := h.credentials(t, ep, noSelector, identitytest.Identity{})
	options := anew()
	keys := func(e exchange) (sent []bool) {
		for _, r := range e.requests {
			sent = append(sent, r.Header.Get("Authorization") != "")
		}
		return sent
	}
	for _, test := range []struct {
		who  string
		cred azcore.TokenCredential
		want []bool // requests that have a key
	}{
		{"the peer", peer, []bool{false, true, true}},
		{"we", ours, []bool{false, true, false, true}},
	} {
		ep.Enqueue(identitytest.Response{}, identitytest.Response{Status: http.StatusServiceUnavailable})
		e := ask(t, ep, test.cred, options)
		if got := keys(e); !slices.Equal(got, test.want) || e.err != nil {
			t.Errorf("%s sent requests with keys: %v, want %v; error %v", test.who, got, test.want, e.err)
		}
	}
}
