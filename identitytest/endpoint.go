package identitytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyless-go/identity/internal/seam"
)

// defaultLifetime is what Microsoft states for managed identity tokens; it can't be configured on a
// real host.
const defaultLifetime = 24 * time.Hour

// Options says how a fake endpoint differs from the default one. Constructors copy it: later
// changes have no effect.
type Options struct {
	// Identities are those of the fake host. The zero fields of each are filled in, see [Identity].
	// None means one system-assigned identity, but with [NewWorkloadIdentity] a user-assigned one. At
	// most one may be system-assigned, and no two may share an ID. With [NewEntra], [NewGitHubActions]
	// and [NewAzurePipelines] they are applications; none means one, the same with all three.
	Identities []Identity

	// FederatedCredentials are those of [NewEntra]'s applications: which tokens of other issuers they
	// trust. The other endpoints ignore them.
	FederatedCredentials []FederatedCredential

	// Lifetime is how long a new token is valid, counted from the moment of its issue. Zero means 24
	// hours, as on Azure, 1 hour with [NewWorkloadIdentity] and [NewEntra], as Entra has it for most
	// clients, and 5 minutes with [NewGitHubActions] and [NewAzurePipelines]. The wire format has
	// whole seconds, so the end is rounded down. A negative value panics.
	Lifetime time.Duration

	// HostCache makes the endpoint answer with the same token for the same identity and resource until
	// that token has ended, as real hosts do: asking again doesn't bring a longer life. Without it
	// each answer has a new token. Service Fabric drops a token from its cache when a client says that
	// it was refused. Entra has no such cache, so this makes no difference to [NewWorkloadIdentity].
	HostCache bool

	// Issued, if not nil, is called with each new token before an answer has it: for a server of the
	// test's that has to know a token before a client brings it, such as a database whose role gets
	// it as its password. The request waits for it. It is called in the goroutine of the request,
	// without any lock, and so for several requests at once. A token that the host's cache repeats
	// isn't new.
	Issued func(Token)

	// RateLimit makes the endpoint answer 429 to a request beyond 20 in any second, or beyond 5 at
	// once (which includes the time that a [Response] spends in its Delay). These are the limits of
	// IMDS, per virtual machine. A refused request doesn't count toward either limit, and takes no
	// scripted answer.
	RateLimit bool

	// Dir is the directory that [NewArc] writes its key files into and [NewWorkloadIdentity] its token
	// file: as a rule t.TempDir(), and no two endpoints' the same. Those two panic if it is empty; the
	// others ignore it. A relative path is made absolute when the endpoint is made.
	Dir string
}

// Endpoint is a fake managed identity endpoint. It is a transport (see [Endpoint.Do], and
// [Endpoint.Client] for one with connections), an [http.Handler], and a server of its own (see
// [Endpoint.Start]); all of them share its script, its rate limit, its cache and its record of
// requests. All methods are safe for concurrent use.
type Endpoint struct {
	host        host
	nonce       string     // the first element of the path, and this endpoint's alone
	identities  []Identity // filled in; never changes
	issuer      *issuer
	certificate *certificate   // nil if the host has no TLS
	activity    *seam.Activity // requests, and acquisitions of the credentials that sent them

	// rotation is held by RotateSecret and nothing else, also while a file is written: two rotations
	// come one after the other, and no request waits for either.
	rotation sync.Mutex

	mu       sync.Mutex // guards all below; not held while an answer is delayed or sent
	script   script
	limit    *limiter // nil without Options.RateLimit
	requests []received
	started  bool
}

// host is what distinguishes one kind of endpoint from another.
type host interface {
	// env returns the variables by which the host is found at base, as "NAME=value".
	env(e *Endpoint, base string) []string
	// answer is the host's usual answer to a request for a token.
	answer(e *Endpoint, r received) answer
	// failure is the host's answer of that status, whatever the request was.
	failure(status int) answer
}

// ofPerson is a host whose tokens are a person's.
type ofPerson interface{ ofPerson() }

// answer is one response, before it is sent in memory or over a connection.
type answer struct {
	status int // 0: none is sent, err is what happens instead
	header http.Header
	body   string
	err    error // comes after body
}

// received is a request as it came in. It never changes.
type received struct {
	*http.Request // without its body, and with a context that doesn't end
	body          []byte
	context       context.Context // that of the request, which does
	scripted      Response        // what the script says of the answer
}

func newEndpoint(options *Options, host host, hostID string) *Endpoint {
	o := options.copied()
	if o.Lifetime < 0 {
		panic(fmt.Sprintf("identitytest: Options.Lifetime: negative duration %v", o.Lifetime))
	}
	if o.Lifetime == 0 {
		o.Lifetime = defaultLifetime
	}
	e := &Endpoint{
		host:       host,
		nonce:      randomHex(4),
		identities: fill(o.Identities, hostID),
		issuer:     newIssuer(o.Lifetime, o.HostCache, hostID),
		activity:   new(seam.Activity),
	}
	e.issuer.issued = o.Issued
	if _, ok := host.(ofPerson); !ok {
		onlyMachines(e.identities)
	}
	runtime.AddCleanup(e, func(unwatch func()) { unwatch() }, seam.Watch(e.nonce, e.activity))
	if o.RateLimit {
		e.limit = new(limiter)
	}
	return e
}

// copied returns a copy, which for nil is the zero value.
func (o *Options) copied() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// directory returns Options.Dir as an absolute path, to the constructor of that name, which can't
// do without.
func (o *Options) directory(constructor string) string {
	dir := o.copied().Dir
	if dir == "" {
		panic(fmt.Sprintf("identitytest: %s: Options.Dir is empty: set it to t.TempDir()", constructor))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		panic(fmt.Sprintf("identitytest: %s: Options.Dir: %v", constructor, err))
	}
	return dir
}

// standIn makes p the place of whoever asks e, for as long as e is in use. Nothing in p may lead to
// e.
func (e *Endpoint) standIn(p seam.Place) {
	runtime.AddCleanup(e, func(unregister func()) { unregister() }, seam.Register(e.nonce, p))
}

// Identities returns the identities of the endpoint, with the values that were filled in.
func (e *Endpoint) Identities() []Identity { return slices.Clone(e.identities) }

// Requests returns all requests received so far, in the order of their arrival, including those
// that were refused, throttled or met by a scripted failure. They are copies: reading their bodies
// or changing them affects nothing. Whichever way a request came, its URL is absolute, its Host is
// set, and its context is [context.Background].
func (e *Endpoint) Requests() []*http.Request {
	e.mu.Lock()
	all := slices.Clone(e.requests)
	e.mu.Unlock()

	requests := make([]*http.Request, len(all))
	for i, got := range all {
		requests[i] = got.Clone(context.Background())
		requests[i].Body = io.NopCloser(bytes.NewReader(got.body))
	}
	return requests
}

// handle records r and returns the answer to it, after the delay that the script asks for.
// Its error says that r ended before that.
func (e *Endpoint) handle(r *http.Request) (answer, error) {
	e.activity.Add(1)
	defer e.activity.Add(-1)
	seam.Meet(r.Context(), e.activity)
	got, err := receive(r)
	if err != nil {
		return answer{}, err
	}
	response, admitted := e.next(got)
	if !admitted {
		return e.host.failure(http.StatusTooManyRequests), nil
	}
	defer e.leave()
	if err := pause(r.Context(), response.Delay); err != nil {
		return answer{}, err
	}
	return response.answer(e, got), nil
}

// next is all that must happen in the order of arrival: the record, the rate limit, the script.
func (e *Endpoint) next(got received) (response Response, admitted bool) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, got)
	if e.limit != nil && !e.limit.enter(now) {
		return Response{}, false
	}
	return e.script.take(now), true
}

func (e *Endpoint) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.limit != nil {
		e.limit.leave()
	}
}

// receive copies r, and brings the forms that a client and a server give a request into one.
func receive(r *http.Request) (received, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // a transport closes it, even if reading failed
		if err != nil {
			return received{}, err
		}
	}
	request := r.Clone(context.Background())
	request.Body, request.GetBody = http.NoBody, nil
	request.ContentLength = int64(len(body))
	request.RequestURI = ""
	if request.Method == "" {
		request.Method = http.MethodGet
	}
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	if request.Host == "" {
		request.Host = request.URL.Host
	}
	if request.URL.Host == "" {
		request.URL.Scheme, request.URL.Host = "http", request.Host
		if r.TLS != nil {
			request.URL.Scheme = "https"
		}
	}
	return received{Request: request, body: body, context: r.Context()}, nil
}

// isAt reports whether r is for path, whatever the case of its letters, and with or without a slash
// at its end: MSAL for JavaScript puts one there.
func (e *Endpoint) isAt(r received, path string) bool {
	return strings.EqualFold(strings.TrimSuffix(e.pathOf(r), "/"), path)
}

// pathOf is the path of r without the nonce that Env puts in front, if it is there.
func (e *Endpoint) pathOf(r received) string { return strings.TrimPrefix(r.URL.Path, "/"+e.nonce) }

// form is the body of r if its type says that it is a form.
func (r received) form() (raw string, ok bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return "", false
	}
	return string(r.body), true
}

// pause waits for d or for the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
