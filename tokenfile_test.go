package identity

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
)

// expired is Entra's answer to an assertion that was replaced.
const expired = `{"error":"invalid_client","error_description":"AADSTS700024: Client assertion is ` +
	`not within its valid time range.","error_codes":[700024]}`

// assertionFile is a projected token's file with that content.
func assertionFile(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "azure-identity-token")
	write(tb, path, content)
	return path
}

func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Error(err)
	}
}

func TestWorkloadReadsItsFileAtEveryExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := atEntra(t)
		cred := s.credential(t)
		for range 5 { // the fake refuses an assertion that was replaced
			mustToken(t, cred)
			s.ep.RotateSecret()
			time.Sleep(25 * time.Hour)
		}
		seen := map[string]bool{}
		for _, r := range s.ep.Requests() {
			seen[r.FormValue("client_assertion")] = true
		}
		if len(seen) != 5 || s.sent() != 5 {
			t.Errorf("%d assertions in %d requests, want 5 and that none was refused", len(seen), s.sent())
		}
	})
}

func TestWorkloadReadsItsFileAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, "first")
		entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
			if n == 3 {
				return nil
			}
			write(t, file, []string{"", "another", "third"}[n]) // of other lengths
			return respond(503, "")
		}}
		mustToken(t, credentialAt(t, inPod(t, envTokenFile, file), entra))
		entra.wantField(t, "client_assertion", "first", "another", "third")
	})
}

// TestWorkloadFollowsTheKubeletsLinks: a projected file is a symbolic link through another one,
// ..data, that the kubelet exchanges in one step.
func TestWorkloadFollowsTheKubeletsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	project := func(version, content string) {
		t.Helper()
		if err := os.Mkdir(in(version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, in(version, "token"), content)
		if err := os.Symlink(version, in("..data_tmp")); err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
		if err := os.Rename(in("..data_tmp"), in("..data")); err != nil {
			t.Fatal(err)
		}
	}
	project("..1", "first")
	if err := os.Symlink(filepath.Join("..data", "token"), in("token")); err != nil {
		t.Fatal(err)
	}
	entra := &entraStub{}
	cred := credentialAt(t, inPod(t, envTokenFile, in("token")), entra)
	mustToken(t, cred)
	project("..2", "second")
	if err := anotherToken(cred); err != nil {
		t.Fatal(err)
	}
	entra.wantField(t, "client_assertion", "first", "second")
}

// TestWorkloadFileThatIsNoToken: the token may be projected, or written by a sidecar, after the
// program has started. GetToken says at once what is missing, Ready waits. What nobody will put
// right by itself it doesn't wait for.
func TestWorkloadFileThatIsNoToken(t *testing.T) {
	content := func(s string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(s), 0o600) }
	}
	const noToken, tooLarge = "characters that no token has", "larger than 65536 bytes"
	for _, tt := range []struct {
		name  string
		begin func(path string) error // an error where the system has no such thing
		want  string
		waits bool
	}{
		{name: "missing", begin: func(string) error { return nil }, want: "no such file", waits: true},
		{name: "missing directory", want: "no such file", waits: true},
		{name: "a dangling link", begin: func(path string) error {
			return os.Symlink(path+".later", path)
		}, want: "no such file", waits: true},
		{name: "empty", begin: content(""), want: "empty", waits: true},
		{name: "white space", begin: content(" \r\n\t\n"), want: "empty", waits: true},
		{name: "a directory", begin: func(path string) error { return os.Mkdir(path, 0o700) },
			want: "not a file"},
		// opening it would wait for somebody who writes
		{name: "a pipe", begin: func(path string) error { return exec.Command("mkfifo", path).Run() },
			want: "not a file"},
		{name: "a device", begin: func(path string) error {
			_, err := os.Stat("/dev/zero")
			return errors.Join(err, os.Symlink("/dev/zero", path))
		}, want: "not a file"},
		{name: "a link to itself", begin: func(path string) error { return os.Symlink(path, path) }},
		{name: "too large", begin: content(canary + strings.Repeat("a", 64<<10)), want: tooLarge},
		{name: "far too large", begin: content(canary + strings.Repeat("a", 4<<20)), want: tooLarge},
		// FuzzSecretFile has the other characters
		{name: "two lines", begin: content(canary + "\n" + canary), want: noToken},
		{name: "header injection", begin: content(canary + "\r\nX-Evil: 1"), want: noToken},
		{name: "beyond ASCII", begin: content(canary + "größe"), want: noToken},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "azure-identity-token")
			if tt.begin == nil {
				path = filepath.Join(path, "below")
			} else if err := tt.begin(path); err != nil {
				t.Skip(err)
			}
			entra := &entraStub{}
			var log bytes.Buffer
			cred := credentialAt(t, inPod(t, envTokenFile, path), entra, func(o *CredentialOptions) {
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			e, took := mustFail(t, cred)
			wantErrorText(t, e, "workload identity: AZURE_FEDERATED_TOKEN_FILE: "+strconv.Quote(path)+": ",
				tt.want, "https://vault.azure.net")
			synctest.Wait()
			if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, log.String()); strings.Contains(text, canary) ||
				strings.Contains(text, "größe") {
				t.Errorf("the file's content is shown: %s", text)
			}
			if n := len(entra.got()); n != 0 || e.Attempts != 0 || took != 0 {
				t.Errorf("%d requests, %d attempts, error after %v, want none, at once", n, e.Attempts, took)
			}
			for _, s := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled} {
				if errors.Is(e, s) {
					t.Errorf("the file's fault is taken for %v", s)
				}
			}
			readyOnceRight(t, cred, path, tt.waits)
		})
	}
}

// readyOnceRight is told to be ready, for which it waits or not. The file is put right after five
// minutes.
func readyOnceRight(t *testing.T, cred *Credential, path string, waits bool) {
	t.Helper()
	start := time.Now()
	time.AfterFunc(5*time.Minute, func() {
		if waits {
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
			write(t, path, podAssertion)
		}
	})
	err := cred.Ready(t.Context(), vaultScope)
	if took := time.Since(start); waits && (err != nil || took < 5*time.Minute ||
		took > 5*time.Minute+15*time.Second) || !waits && (err == nil || took > 2*time.Second) {
		t.Errorf("Ready returned %v after %v, want it to wait: %v", err, took, waits)
	}
	time.Sleep(5 * time.Minute)
}

// TestWorkloadFileThatIsAToken: white space around it is not sent, and 64 KiB are allowed.
func TestWorkloadFileThatIsAToken(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		podAssertion, " \t" + podAssertion + "\r\n\r\n", "\n" + podAssertion, strings.Repeat("a", 64<<10),
	} {
		entra := &entraStub{}
		mustToken(t, credentialAt(t, inPod(t, envTokenFile, assertionFile(t, content)), entra))
		entra.wantField(t, "client_assertion", strings.TrimSpace(content))
	}
}

// TestWorkloadFileVanishes: a token that is held is served to its end whatever becomes of the file,
// and the first exchange after it is back succeeds.
func TestWorkloadFileVanishes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t, envTokenFile, file), entra)
		mustToken(t, cred)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); time.Since(start) < time.Hour-time.Second; time.Sleep(time.Minute) {
			if _, took := mustToken(t, cred); took > 0 {
				t.Errorf("a caller waited %v for a token that was held", took)
			}
		}
		time.Sleep(2 * time.Minute)
		e, took := mustFail(t, cred)
		wantErrorText(t, e, envTokenFile+": "+strconv.Quote(file))
		if took != 0 || len(entra.got()) != 1 {
			t.Errorf("%d requests, error after %v", len(entra.got()), took)
		}
		write(t, file, podAssertion)
		time.Sleep(maxColdCoolDown)
		mustToken(t, cred)
	})
}

// TestWorkloadFileOfAnotherUser: the token is readable for root and the pod's fsGroup.
func TestWorkloadFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, canary)
		if err := os.Chmod(file, 0); err != nil {
			t.Fatal(err)
		}
		cred := credentialAt(t, inPod(t, envTokenFile, file), &entraStub{})
		e, took := mustFail(t, cred)
		wantErrorText(t, e, strconv.Quote(file), "permission denied", "securityContext.runAsUser",
			"fsGroup")
		if strings.Contains(e.Error(), "azure.workload.identity/use") || took != 0 ||
			strings.Contains(e.Error(), canary) {
			t.Errorf("the pod's label is blamed, or it took %v: %v", took, e)
		}
		readyOnceRight(t, cred, file, false)
	})
}

// AADSTS700024: the assertion had expired.

func TestWorkloadReadsAnExpiredAssertionAgain(t *testing.T) {
	for status, body := range map[int]string{400: expired, 401: expired,
		403: `{"error":"invalid_client","error_codes":[700024]}`} {
		bubbleIn(t, fmt.Sprint(status), func(t *testing.T) {
			file := assertionFile(t, "first")
			entra := &entraStub{reply: func(n int, p tokenPost) *http.Response {
				write(t, file, "second")
				return firstly(status, body)(n, p)
			}}
			cred := credentialAt(t, inPod(t, envTokenFile, file), entra, allowing("*"))
			start := time.Now()
			askFor(t, cred, policy.TokenRequestOptions{TenantID: otherTenant, EnableCAE: true,
				Claims: `{"a":{}}`})
			entra.wantField(t, "client_assertion", "first", "second")
			got := entra.got()
			got[0].form.Set("client_assertion", "second")
			if diff := cmp.Diff(got[0].form, got[1].form); diff != "" || time.Since(start) != 0 ||
				got[1].Method != "POST" || got[0].URL.String() != got[1].URL.String() {
				t.Errorf("the second request, after %v, is another one (-first +second): %s\n%s",
					time.Since(start), got[1].URL, diff)
			}
		})
	}
	bubbleIn(t, "as the fake rotates", func(t *testing.T) {
		s := atEntra(t)
		var once sync.Once
		cred := credentialAt(t, s.env, transportFunc(func(r *http.Request) (*http.Response, error) {
			once.Do(s.ep.RotateSecret) // between the reading and the arrival
			return s.Do(r)
		}))
		if _, took := mustToken(t, cred); took != 0 || s.sent() != 2 {
			t.Errorf("%d requests in %v, want 2 at once", s.sent(), took)
		}
	})
}

// TestWorkloadReadsAnExpiredAssertionOnce: once per try, and the 401 itself is no reason for
// another try.
func TestWorkloadReadsAnExpiredAssertionOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		e, took := mustFail(t, credentialAt(t, inPod(t, envTokenFile, file), always(401, expired)))
		if e.Attempts != 2 || took != 0 {
			t.Errorf("%d attempts in %v, want 2 at once", e.Attempts, took)
		}
		wantErrorText(t, e, "401 invalid_client", "AADSTS700024", "2 attempts", file, "clock",
			"2000-01-01T00:00:00Z")
		if e.StatusCode != 401 || e.Code != "invalid_client" || errors.Is(e, ErrIdentityNotFound) {
			t.Errorf("got %+v", e)
		}
		entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
			if n == 1 || n == 3 {
				return respond(503, entraRefusal("temporarily_unavailable", 90033, "A transient error."))
			}
			return respond(401, expired)
		}}
		mustFail(t, credentialAt(t, inPod(t), entra))
		var atOnce []bool
		got := entra.got()
		for i := range got[1:] {
			atOnce = append(atOnce, got[i+1].at.Equal(got[i].at))
		}
		if diff := cmp.Diff([]bool{false, true, false, true}, atOnce); diff != "" {
			t.Errorf("want two tries after the first, each with one repetition (-want +got):\n%s", diff)
		}
	})
}

// TestWorkloadReadsAgainByTheNumber: the number decides, whatever it comes in and whichever status
// that has.
func TestWorkloadReadsAgainByTheNumber(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		atOnce  int // requests in the first instant
		retried bool
	}{
		{name: "another", status: 401, body: entraRefusal("invalid_client", 700212, "No."), atOnce: 1},
		{name: "longer", status: 401, body: entraRefusal("invalid_client", 7000241, "No."), atOnce: 1},
		{name: "shorter", status: 401, body: entraRefusal("invalid_client", 70002, "No."), atOnce: 1},
		{name: "none", status: 401, atOnce: 1, body: `{"error":"invalid_client",` +
			`"error_description":"Client assertion is not within its valid time range."}`},
		{name: "another first, that one in the text", status: 400, atOnce: 1,
			body: entraRefusal("invalid_request", 900144, "See also AADSTS700024.")},
		{name: "500", status: 500, body: expired, atOnce: 2},
		{name: "503", status: 503, body: expired, atOnce: 2},
		{name: "200", status: 200, body: expired, atOnce: 1},
		{name: "302", status: 302, body: expired, atOnce: 1},
		{name: "a page", status: 403, body: "<html>AADSTS700024</html>", atOnce: 2},
		{name: "text", status: 401, body: "AADSTS700024", atOnce: 2},
		{name: "JSON of another", status: 401, body: `{"message":"AADSTS700024: No."}`, atOnce: 2},
		{name: "a number of something", status: 403, body: "<html>700024</html>", atOnce: 1,
			retried: true},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			start := time.Now()
			entra := &entraStub{reply: func(int, tokenPost) *http.Response {
				return respond(tt.status, tt.body)
			}}
			e, _ := mustFail(t, credentialAt(t, inPod(t), entra))
			atOnce := 0
			for _, p := range entra.got() {
				if p.at.Equal(start) {
					atOnce++
				}
			}
			if atOnce != tt.atOnce || (e.Attempts > atOnce) != tt.retried {
				t.Errorf("%d requests at once, %d in all, want %d and retries %v: %v", atOnce, e.Attempts,
					tt.atOnce, tt.retried, e)
			}
		})
	}
}

// TestWorkloadFileVanishesBeforeItIsReadAgain: what matters then is the file.
func TestWorkloadFileVanishesBeforeItIsReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		e, took := mustFail(t, credentialAt(t, inPod(t, envTokenFile, file),
			transportFunc(func(*http.Request) (*http.Response, error) {
				_ = os.Remove(file)
				return respond(401, expired), nil
			})))
		wantErrorText(t, e, envTokenFile+": "+strconv.Quote(file), "no such file")
		if e.Attempts != 1 || took != 0 || e.StatusCode != 401 {
			t.Errorf("%d attempts in %v, status %d, want 1 at once, 401", e.Attempts, took, e.StatusCode)
		}
	})
}

// TestWorkloadExpiredAssertionIsWaitedFor: the kubelet may be late with the next one.
func TestWorkloadExpiredAssertionIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, "old")
		entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
			if p.form.Get("client_assertion") == "old" {
				return respond(401, expired)
			}
			return nil
		}}
		readyOnceRight(t, credentialAt(t, inPod(t, envTokenFile, file), entra), file, true)
	})
}

// What the file says of itself.

// TestAudienceOfTheCloud: each cloud has an audience of its own, and the token says which one it
// has.
func TestAudienceOfTheCloud(t *testing.T) {
	for authority, audience := range map[string]string{
		"https://login.microsoftonline.com":              "api://AzureADTokenExchange?",
		"https://LOGIN.microsoftonline.us/":              "api://AzureADTokenExchangeUSGov?",
		"https://login.chinacloudapi.cn":                 "api://AzureADTokenExchangeChina?",
		"https://login.partner.microsoftonline.cn":       "api://AzureADTokenExchangeChina?",
		"https://login.microsoftonline.eaglex.ic.gov":    "api://AzureADTokenExchangeUSNat?",
		"https://login.microsoftonline.microsoft.scloud": "api://AzureADTokenExchangeUSSec?",
		"https://login.example":                          "api://AzureADTokenExchange?",
	} {
		bubbleIn(t, authority, func(t *testing.T) {
			file := assertionFile(t, jwtOf(`{"iss":"https://oidc.example/1/","sub":"orders",`+
				`"aud":["api://AzureADTokenExchange","other"]}`))
			e, took := mustFail(t, credentialAt(t, inPod(t, envAuthorityHost, authority, envTokenFile, file),
				always(401, entraRefusal("invalid_client", 700212, "No matching record found."))))
			wantErrorText(t, e, "the audience "+audience, "The token in "+strconv.Quote(file)+
				` has iss "https://oidc.example/1/", sub "orders", aud "api://AzureADTokenExchange other"`)
			if took != 0 || e.Attempts != 1 {
				t.Errorf("%d attempts in %v, want 1 at once", e.Attempts, took)
			}
		})
	}
}
