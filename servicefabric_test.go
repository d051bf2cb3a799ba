package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/transport"
)

// onServiceFabric is a credential whose host is a fake that is asked over TLS, in memory.
func onServiceFabric(
	tb testing.TB, ep *identitytest.Endpoint, adjust ...func(*CredentialOptions),
) *Credential {
	tb.Helper()
	return credentialAt(tb, environmentAt(ep, fabricBase), ep.Client(), adjust...)
}

// fabricVariables are a node's variables that never change, with the thumbprint of a fake. The fake
// refuses this secret, so that its answers have to be scripted.
func fabricVariables(ep *identitytest.Endpoint) map[string]string {
	return and(atFabric, envThumbprint, environmentAt(ep, fabricBase).getenv(envThumbprint))
}

// capable asks for the vault's token as Azure SDK clients do.
func capable(ctx context.Context, cred azcore.TokenCredential) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope},
		EnableCAE: true})
}

func TestServiceFabricConstructor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, variable, value, want string }{
		{name: "as it should be"},
		{name: "http", variable: envEndpoint, value: "http://localhost:2377/x",
			want: "is not https, which Service Fabric's is: want a URL such as https://localhost:2377/"},
		{name: "no thumbprint", variable: envThumbprint, value: thumbprint[:39],
			want: "40 hexadecimal digits"},
		{name: "a later version", variable: envAPIVersion, value: "2030-01-01-preview"},
		{name: "version of two words", variable: envAPIVersion, value: "2020-05-01 ", want: "blank"},
		{name: "endless version", variable: envAPIVersion, value: strings.Repeat("2", 5000),
			want: "5000 characters"},
	} {
		_, err := newCredential(&CredentialOptions{Host: HostServiceFabric},
			environmentOf(and(atFabric, tt.variable, tt.value)))
		if tt.want != "" {
			wantErrorText(t, err, "identity: ", tt.variable+": ", tt.want)
		} else if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestServiceFabricBackoff: waits of up to 1, 2, 4, 8 and 16 s, as Microsoft's page has it, random
// below that.
func TestServiceFabricBackoff(t *testing.T) {
	t.Parallel()
	const runs = 50
	limits := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	sums := make([]time.Duration, len(limits)) // of the fifth too many are cut to the budget
	for range runs {
		schedule, elapsed := retry.NewSchedule((&serviceFabric{}).Rules().Rules), time.Duration(0)
		for i, limit := range limits {
			wait := schedule.Next(retry.Past{Status: 503, Tried: elapsed, Elapsed: elapsed})
			if wait > limit || wait < 0 {
				t.Errorf("wait %d is %v, want at most %v", i+1, wait, limit)
			}
			sums[i] += wait
			elapsed += wait
		}
	}
	for i, sum := range sums {
		if mean, want := sum/runs, limits[i]/2; mean < want*3/5 || mean > want*3/2 {
			t.Errorf("mean wait %d is %v, want about %v", i+1, mean, want)
		}
	}
}

// TestServiceFabricPatience: what the body of a 429 asks for. What isn't understood wholly must not
// become a shorter wait than was asked for; 0 leaves it to the back-off.
func TestServiceFabricPatience(t *testing.T) {
	t.Parallel()
	const most = 5 * time.Minute
	for body, want := range map[string]time.Duration{
		fabricLimit: 4 * time.Second, // as seen
		`{"error":{"message":"Request was throttled. Retry after 3 seconds."}}`: 3 * time.Second,
		"Retry-After: 3": 3 * time.Second,
		"429 Too Many Requests\r\nRetry-After: 7\r\nServer: Kestrel\r\n": 7 * time.Second,
		"retry after 4": 4 * time.Second, "retry after 4.": 4 * time.Second,
		"RETRY AFTER 5 SECONDS": 5 * time.Second, "retry after 1 second": time.Second,
		"retry after 6 sec": 6 * time.Second, "retry after: 4s": 4 * time.Second,
		"retry after 1500ms":             1500 * time.Millisecond,
		"retry after 1500 milliseconds.": 1500 * time.Millisecond,
		"retry after 1 millisecond":      time.Millisecond,
		"retry after 1.5s":               1500 * time.Millisecond,
		"retry after 2 minutes":          2 * time.Minute, "Retry after 1 minute.": time.Minute,
		"retry after 2 min": 2 * time.Minute, "retry after 2m": 2 * time.Minute,
		"retry after 2 mins":                2 * time.Minute,
		"retry\u00a0after; retry after\n4s": 4 * time.Second,
		"retry after 5 minutes":             most, "retry after 6 minutes": most,
		"retry after 1 hour":     most,
		"retry after 999999999s": most, "retry after 999999999ms": most,
		"retry after 99999999999999999999999999": most, "retry after 12345678901 ms": most,
		"retry after 0s": 0, "retry after -4s": 0, "retry after a while": 0,
		"the service allows 30 requests per 10s": 0, "noretry after 4s": 0, "retry after 4x": 0,
		"retry after 1m30s": 0, "retry after 2 fortnights": 0, "retry after 00:00:04": 0, "": 0,
	} {
		if got := (&serviceFabric{}).Patience(429, body); got != want {
			t.Errorf("%q: got %v, want %v", body, got, want)
		}
		for _, status := range []int{0, 200, 400, 404, 408, 500, 503} {
			if got := (&serviceFabric{}).Patience(status, body); got != 0 {
				t.Errorf("%q, status %d: got %v, want 0: only a 429 says for how long", body, status, got)
			}
		}
	}
	// A wait of less than nothing is a flood of requests, and one of years a dead service.
	for _, digits := range []int{0, 1, 5, 9, 18, 19, 20, 30, 100, 308, 309, 310, 400, 1000} {
		for _, unit := range []string{"", "s", "ms", " minutes", "m", "h", " hours", ".5", ".5s"} {
			body := "retry after 9" + strings.Repeat("7", digits) + unit
			if got := (&serviceFabric{}).Patience(429, body); got < 0 || got > most {
				t.Errorf("%d digits with the unit %q: got %v, want 0 to 5m", digits+1, unit, got)
			}
		}
	}
}

func TestServiceFabricThrottling(t *testing.T) {
	const first = time.Second // the jitter of the first wait, at most, goes on top
	for _, tt := range []struct {
		name   string
		status int // 0 for 429
		body   string
		header []string
		low    time.Duration
	}{
		{name: "text", body: fabricLimit, low: 4 * time.Second},
		{name: "a header wins", body: fabricLimit, header: []string{"Retry-After", "2"},
			low: 2 * time.Second},
		{name: "a header of nothing", body: fabricLimit, header: []string{"Retry-After", "0"},
			low: 4 * time.Second},
		{name: "a 503 with the text", status: 503, body: fabricLimit},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			for range 20 { // the waits are random
				var sent []posted
				_, took := mustToken(t, answering(t, environmentOf(atFabric), &sent,
					func(n int) *http.Response {
						if n == 1 {
							return respond(max(tt.status, 429), tt.body, tt.header...)
						}
						return grants(n)
					}))
				if took < tt.low || took > tt.low+first {
					t.Fatalf("a token after %v, want %v to %v", took, tt.low, tt.low+first)
				}
			}
		})
	}
	bubbleIn(t, "each time", func(t *testing.T) {
		var sent []posted
		_, took := mustToken(t, answering(t, environmentOf(atFabric), &sent, func(n int) *http.Response {
			if n < 4 {
				return respond(429, fabricLimit)
			}
			return grants(n)
		}))
		if took < 12*time.Second {
			t.Errorf("a token after %v, want three waits of 4 s", took)
		}
	})
	bubbleIn(t, "longer than anybody waits", func(t *testing.T) {
		var sent []posted
		reply := func(n int) *http.Response {
			if n == 1 {
				return respond(429, "retry after 2 minutes")
			}
			return grants(n)
		}
		cred := answering(t, environmentOf(atFabric), &sent, reply)
		if e, took := mustFail(t, cred); !errors.Is(e, ErrThrottled) || e.Attempts != 1 || took != 0 {
			t.Errorf("got %v after %v, want ErrThrottled at once: waiting can't help", e, took)
		}
		time.Sleep(119 * time.Second)
		if e, _ := mustFail(t, cred); !errors.Is(e, ErrThrottled) || len(sent) != 1 {
			t.Errorf("got %v and %d requests within the two minutes, want ErrThrottled", e, len(sent))
		}
		time.Sleep(2 * time.Second)
		mustToken(t, cred)
	})
}

// hashOf is the hash by which Service Fabric is told of a token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// hashes are the token_sha256_to_refresh of the requests that an endpoint got, "" where absent.
func hashes(ep *identitytest.Endpoint) (got []string) {
	for _, r := range ep.Requests() {
		got = append(got, r.URL.Query().Get("token_sha256_to_refresh"))
	}
	return got
}

// challengedWorld is a node of Service Fabric with one credential, whose tokens a resource rejects.
type challengedWorld struct {
	t    *testing.T
	ep   *identitytest.Endpoint
	cred *Credential
	log  *bytes.Buffer
}

func (w challengedWorld) must(tk azcore.AccessToken, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return tk.Token
}

func (w challengedWorld) get() string {
	w.t.Helper()
	return w.must(capable(w.t.Context(), w.cred))
}

func (w challengedWorld) challenge() string {
	w.t.Helper()
	return w.must(challenged(w.t.Context(), w.cred))
}

// serviceFabricClaims return the hashes of rejected tokens that the requests must have had. When a
// challenge is a request at all, internal/tokencache tests.
var serviceFabricClaims = []struct {
	name    string
	caching bool // the host repeats its tokens
	run     func(t *testing.T, w challengedWorld) []string
}{
	{name: "get past the host's cache", caching: true,
		run: func(t *testing.T, w challengedWorld) []string {
			first := w.get()
			// The host does repeat itself: another credential gets the same token.
			if got := w.must(capable(t.Context(), onServiceFabric(t, w.ep))); got != first {
				t.Fatal("the fake has no cache: this test would see nothing")
			}
			second := w.challenge()
			if second == first {
				t.Error("a challenge got the rejected token again")
			}
			if got := w.get(); got != second {
				t.Error("the new token is not the one that is held now")
			}
			return []string{"", "", hashOf(first)}
		}},
	{name: "a renewal has no hash", run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		time.Sleep(14 * time.Hour)
		w.get() // starts it
		synctest.Wait()
		if got := w.get(); got == first {
			t.Fatal("no renewal")
		}
		time.Sleep(30 * time.Hour)
		w.get() // after the end of the token
		return []string{"", "", ""}
	}},
	{name: "with a token that has ended", caching: true,
		run: func(t *testing.T, w challengedWorld) []string {
			w.get()
			time.Sleep(25 * time.Hour)
			w.challenge()
			return []string{"", ""}
		}},
	{name: "are retried with the same hash", caching: true,
		run: func(t *testing.T, w challengedWorld) []string {
			first := w.get()
			w.ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 429})
			if w.challenge() == first {
				t.Error("the rejected token again")
			}
			return []string{"", hashOf(first), hashOf(first), hashOf(first)}
		}},
	{name: "are logged as heeded", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		synctest.Wait()
		w.log.Reset()
		w.challenge()
		synctest.Wait()
		got := w.log.String()
		for _, want := range []string{
			"level=INFO", "after a claims challenge", "changed=true", "host=servicefabric",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("log is %q, want %q in it", got, want)
			}
		}
		if strings.Contains(got, "takes no claims") || strings.Contains(got, first) {
			t.Errorf("log is %q", got)
		}
		return []string{"", hashOf(first)}
	}},
}

func TestServiceFabricClaims(t *testing.T) {
	for _, tt := range serviceFabricClaims {
		bubbleIn(t, tt.name, func(t *testing.T) {
			w := challengedWorld{t: t, log: &bytes.Buffer{}}
			w.ep = identitytest.NewServiceFabric(&identitytest.Options{HostCache: tt.caching})
			w.cred = onServiceFabric(t, w.ep, func(o *CredentialOptions) {
				debug := &slog.HandlerOptions{Level: slog.LevelDebug}
				o.Logger = slog.New(slog.NewTextHandler(w.log, debug))
			})
			if diff := cmp.Diff(tt.run(t, w), hashes(w.ep)); diff != "" {
				t.Errorf("hashes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServiceFabricRevokedToken is the whole way: a resource that has revoked a token, and azcore's
// policy above the credential.
func TestServiceFabricRevokedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(&identitytest.Options{HostCache: true})
		cred := onServiceFabric(t, ep)
		revoked := map[string]bool{}
		challenge := base64.StdEncoding.EncodeToString([]byte(rejectedClaims))
		var seen []string
		resource := transportFunc(func(r *http.Request) (*http.Response, error) {
			bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			seen = append(seen, bearer)
			resp := respond(200, "")
			if revoked[bearer] {
				resp = respond(401, "", "WWW-Authenticate",
					`Bearer realm="", error="insufficient_claims", claims="`+challenge+`"`)
			}
			resp.Request = r
			return resp, nil
		})
		pipeline := azruntime.NewPipeline("m", "v1.0.0", azruntime.PipelineOptions{
			PerRetry: []policy.Policy{azruntime.NewBearerTokenPolicy(cred, []string{vaultScope}, nil)},
		}, &policy.ClientOptions{Transport: resource, Retry: policy.RetryOptions{MaxRetries: -1}})
		get := func() int {
			t.Helper()
			req, err := azruntime.NewRequest(t.Context(), http.MethodGet, "https://vault.example/")
			if err != nil {
				t.Fatal(err)
			}
			resp, err := pipeline.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode
		}
		if got := get(); got != 200 {
			t.Fatalf("got %d, want 200", got)
		}
		revoked[seen[0]] = true
		if got := get(); got != 200 {
			t.Errorf("after the revocation: got %d, want 200", got)
		}
		if diff := cmp.Diff([]string{"", hashOf(seen[0])}, hashes(ep)); diff != "" {
			t.Errorf("hashes (-want +got):\n%s", diff)
		}
		for _, r := range ep.Requests() {
			if got := r.URL.Query()["xms_cc"]; len(got) != 1 || got[0] != "cp1" {
				t.Errorf("xms_cc is %q, want cp1: azcore's clients understand challenges", got)
			}
		}
	})
}

// TestServiceFabricReadyWarmsWhatClientsUse: a token without cp1 would leave the first request of a
// client cold.
func TestServiceFabricReadyWarmsWhatClientsUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		cred := onServiceFabric(t, ep)
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"", guid} { // Key Vault's clients name a tenant
			if _, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true,
					TenantID: tenant}); err != nil {
				t.Fatal(err)
			}
		}
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		if got := ep.Requests(); len(got) != 1 || got[0].URL.Query().Get("xms_cc") != "cp1" {
			t.Errorf("%d requests, want 1, with cp1", len(got))
		}
	})
}

// FuzzThumbprint: a thumbprint is 40 hexadecimal digits in any of the tools' spellings, and no
// other value is one.
func FuzzThumbprint(f *testing.F) {
	const thumbprint = "0123456789ABCDEF0123456789abcdef01234567"
	for _, value := range []string{
		thumbprint, strings.ToLower(thumbprint), strings.ToUpper(thumbprint), thumbprint[:39],
		thumbprint + "0", thumbprint + thumbprint[:24], "", " ", ":",
		"01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67",
		"01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67", " " + thumbprint + "\r\n",
		"01\u00a02" + thumbprint[3:],
		"\u200e" + thumbprint, "0x" + thumbprint[2:], strings.Replace(thumbprint, "0", "O", 1),
		strings.Replace(thumbprint, "1", "١", 1), thumbprint[:38] + "\xff\xff",
		strings.ReplaceAll(thumbprint, "0", "-"),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var want []byte
		isOne, high := value != "", true
		for _, r := range value {
			if r == ':' || unicode.IsSpace(r) {
				continue
			}
			digit := strings.IndexRune("0123456789abcdef", unicode.ToLower(r))
			if digit < 0 || r > unicode.MaxASCII {
				isOne = false
				break
			}
			if high {
				want = append(want, byte(digit)<<4)
			} else {
				want[len(want)-1] |= byte(digit)
			}
			high = !high
		}
		isOne = isOne && high && len(want) == 20
		got, err := transport.ParseThumbprint(envThumbprint, value)
		if isOne != (err == nil) || isOne && !bytes.Equal(got, want) {
			t.Fatalf("%q is %x, %v, want %x, %v", value, got, err, want, isOne)
		}
		if err != nil {
			wantErrorText(t, ours(err), "IDENTITY_SERVER_THUMBPRINT: is ", ": want 40 hexadecimal digits")
			if len(err.Error()) > 120 || len(value) > 8 && strings.Contains(err.Error(), value) {
				t.Errorf("the error repeats the value: %q", err)
			}
		}
		var digits string // what tools show of these bytes
		for i := range 20 {
			digits += string("0123456789abcdef"[(len(value)+i)%16])
		}
		digits += digits
		for _, spelling := range []string{
			digits, strings.ToUpper(digits), digits + " ", digits[:2] + ":" + digits[2:],
		} {
			sum, err := transport.ParseThumbprint(envThumbprint, spelling)
			if err != nil || fmt.Sprintf("%x", sum) != digits {
				t.Errorf("%q is read as %x, %v", spelling, sum, err)
			}
		}
	})
}
