package identitytest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/record"
	"github.com/keyless-go/identity/internal/seam"
)

// replay is a host that answers as a record says.
type replay struct {
	record    *record.Record
	player    *record.Player
	key       string               // Azure Arc's, the file of one
	tokenFile string               // workload identity's
	later     func() time.Duration // how much later than the record this is
}

// Replay returns an endpoint that answers as a host did of which examples/whoami has written a
// record, with -record FILE. So a report from somewhere else becomes a test:
//
//	endpoint := identitytest.Replay(t, "testdata/report.json")
//	credential, err := identity.NewDefaultCredential(&identity.DefaultCredentialOptions{
//		ClientOptions: azcore.ClientOptions{Transport: endpoint},
//	})
//	_, err = credential.GetToken(ctx, options) // the report's error
//
// It sets the variables that decide which host is asked, with tb.Setenv: those of the record, and
// the others to "". So it can't be used in parallel tests. On Service Fabric the client checks the
// certificate: there the transport is [Endpoint.Client].
//
// Tokens, IDs, names and addresses are placeholders, the same where the originals were the same.
// [Endpoint.Identities] has the ID that was selected, to be selected again, or the application and
// its tenant, and else what the token names. Times in answers are moved, so that a token has as
// long to live as it had then.
//
// A request gets the answer to a recorded one with the same method, path, parameters and header of
// the host's, in which a placeholder stands for any value. If the record has several such, each is
// played once, in their order; then the last one is repeated. An answer that took 100 ms or more
// takes as long, which is no time in a testing/synctest bubble. One that never came blocks until
// the request's context ends. A connection that failed is an error with the same text. A request
// that the record doesn't have is an error that says in what the nearest one differs. Scripted
// answers come first, as with any Endpoint.
//
// [Endpoint.Start] serves a record of one host. One of an application that a host's identity
// vouches for is of two, with and without TLS, and is for a transport.
//
// A record has no run of az or azd, and not the requests by which a job gets its assertion: give a
// federated credential any assertion. Replay fails the test if it can't read the file, or if
// nothing was asked.
func Replay(tb testing.TB, file string) *Endpoint {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("identitytest: Replay: %v", err)
	}
	r, err := record.Read(text)
	if err != nil {
		tb.Fatalf("identitytest: Replay: %s: %v", file, err)
	}
	player, err := record.NewPlayer(r)
	switch {
	case err != nil:
		tb.Fatalf("identitytest: Replay: %s: %v", file, err)
	case len(r.Exchanges) == 0:
		tb.Fatalf("identitytest: Replay: %s: nothing was asked: %s", file, r.Outcome.Error)
	}
	dir := tb.TempDir()
	later := sync.OnceValue(func() time.Duration { return time.Since(r.Began) })
	h := &replay{record: r, player: player, key: filepath.Join(dir, "replayed.key"),
		tokenFile: filepath.Join(dir, "token"), later: later}
	for name, content := range map[string]string{h.key: "replayed", h.tokenFile: h.assertion()} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			tb.Fatalf("identitytest: Replay: %v", err)
		}
	}
	e := newEndpoint(&Options{Identities: []Identity{recordedIdentity(r)}}, h, "")
	place := seam.Place{KeyDirectory: dir}
	if h.hasTLS() {
		e.certificate = newCertificate()
		place.RootCAs = e.certificate.pool
	}
	e.standIn(place)
	base := "http://127.0.0.1:1"
	if e.certificate != nil {
		base = "https://127.0.0.1:1"
	}
	for _, name := range deciding {
		tb.Setenv(name, "")
	}
	for _, v := range variables(e.Env(base)) {
		if r.Variables[v.name] != "" { // or the host is at its own address
			tb.Setenv(v.name, v.value)
		}
	}
	return e
}

// deciding are the variables that decide who is asked and how, all of which a record may have.
var deciding = append(hostVariables[:], "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST",
	"AZURE_TOKEN_CREDENTIALS", "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_CA_FILE",
	"AZURE_KUBERNETES_CA_DATA", "AZURE_KUBERNETES_SNI_NAME", "MSI_SECRET", "WEBSITE_SITE_NAME",
	"WEBSITE_DISABLE_MSI", "CONTAINER_APP_NAME", "CONTAINER_APP_JOB_NAME", "GITHUB_ACTIONS",
	"TF_BUILD")

// recordedIdentity is the one that was selected, or else the application, or the token's.
func recordedIdentity(r *record.Record) Identity {
	claim := func(name string) string {
		value, _ := r.Outcome.Claims[name].(string)
		return value
	}
	id := Identity{ClientID: claim("appid"), ObjectID: claim("oid"), TenantID: claim("tid"),
		ResourceID: claim("xms_mirid")}
	switch r.Selector {
	case "": // or an application's
		id.ClientID, id.TenantID = cmp.Or(r.Application, id.ClientID), cmp.Or(r.Tenant, id.TenantID)
	case "client ID":
		id.ClientID = r.ID
	case "object ID":
		id.ObjectID = r.ID
	case "resource ID":
		id.ResourceID = r.ID
	}
	return id
}

// hasTLS reports whether a certificate of the endpoint's own was asked for. Entra's own, at its
// own address, counts too: whoever starts the endpoint moves it.
func (h *replay) hasTLS() bool {
	return strings.HasPrefix(h.record.Exchanges[0].Request.URL, "https://")
}

// assertion is the one that was sent.
func (h *replay) assertion() string {
	for _, e := range h.record.Exchanges {
		if form, err := url.ParseQuery(e.Request.Body); err == nil && form.Has("client_assertion") {
			return form.Get("client_assertion")
		}
	}
	return "none"
}

// env has the record's variables, of this endpoint.
func (h *replay) env(e *Endpoint, base string) (lines []string) {
	moved := false
	for name, value := range h.record.Variables {
		switch name {
		case "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "AZURE_AUTHORITY_HOST",
			"AZURE_POD_IDENTITY_AUTHORITY_HOST":
			moved = true
			if u, err := url.Parse(value); err == nil {
				scheme := u.Scheme
				u.Scheme, u.Host = "", ""
				value = base + u.String()
				if name == "AZURE_AUTHORITY_HOST" { // Entra is asked by https only, whatever the host
					_, rest, _ := strings.Cut(base, "://")
					value = scheme + "://" + rest + u.String()
				}
			}
		case "AZURE_FEDERATED_TOKEN_FILE":
			value = h.tokenFile
		case "IDENTITY_SERVER_THUMBPRINT":
			if e.certificate != nil {
				value = e.certificate.thumbprint()
			}
		case "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_CA_FILE", "AZURE_KUBERNETES_CA_DATA",
			"AZURE_KUBERNETES_SNI_NAME":
			continue // the proxy is asked in Entra's place
		}
		lines = append(lines, name+"="+value)
	}
	if !moved && e.certificate != nil {
		lines = append(lines, "AZURE_AUTHORITY_HOST="+base)
	} else if !moved {
		lines = append(lines, "AZURE_POD_IDENTITY_AUTHORITY_HOST="+base)
	}
	return lines
}

// answer is what came then.
func (h *replay) answer(e *Endpoint, r received) answer {
	played, err := h.player.Next(r.Request, e.pathOf(r), r.body)
	if err != nil {
		return answer{err: notRecorded{err}}
	}
	if took := time.Duration(played.TookMS * float64(time.Millisecond)); took >= noticed &&
		(played.Fault == nil || played.Fault.Kind != record.Waiting) {
		if err := pause(r.context, took); err != nil {
			return answer{err: err}
		}
	}
	var a answer
	if played.Answer != nil {
		a = h.recorded(played.Answer)
	}
	if played.Fault == nil {
		return a
	}
	return h.fault(r.context, a, played)
}

// noticed is how long an answer takes that a credential may come to notice.
const noticed = 100 * time.Millisecond

// recorded is an answer as it was, later.
func (h *replay) recorded(was *record.Answer) answer {
	a := answer{status: was.Status, header: make(http.Header),
		body: record.Shifted(was.Body, h.later())}
	for name, values := range was.Header {
		for _, value := range values {
			if name == "Www-Authenticate" && h.hasKey() {
				value = "Basic realm=" + h.key
			}
			a.header.Add(name, value)
		}
	}
	return a
}

// hasKey reports whether Azure Arc's challenge was answered, so that its file was a good one.
func (h *replay) hasKey() bool {
	for _, e := range h.record.Exchanges {
		if e.Request.Header["Authorization"] != nil {
			return true
		}
	}
	return false
}

// fault is what went wrong then.
func (h *replay) fault(ctx context.Context, a answer, played *record.Exchange) answer {
	connect(ctx, played)
	a.err = played.Fault.Err()
	if a.err == nil {
		<-ctx.Done()
		return answer{err: ctx.Err()}
	}
	if a.status != 0 {
		a.body = strings.Repeat(" ", played.Answer.Received)
	}
	return a
}

// connect tells whoever traces the request how far it came.
func connect(ctx context.Context, played *record.Exchange) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return
	}
	if trace.GetConn != nil {
		trace.GetConn(played.Request.URL)
	}
	if played.Fault.Connected && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
}

// failure is for a scripted status.
func (h *replay) failure(status int) answer {
	return answer{status: status, header: make(http.Header), body: http.StatusText(status)}
}

// notRecorded is the error of a request that the record doesn't have. Asking again is no use.
type notRecorded struct{ error }

func (e notRecorded) Error() string { return "identitytest: Replay: " + e.error.Error() }
func (notRecorded) NonRetriable()   {}
