// Package recorder writes down what a credential asked and what it was answered, without any secret
// and without any identifier of whoever asks. What it writes is for a report that others may read,
// and for identitytest.Replay.
package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/record"
	"github.com/keyless-go/identity/internal/transport"
)

// Recorder is a policy of a credential's pipeline: it sees each request on its way to the host, and
// what comes back. It changes nothing. What it holds are secrets, until Record replaces them.
type Recorder struct {
	mu        sync.Mutex
	exchanges []*exchange
}

// exchange is one as it was.
type exchange struct {
	began     time.Time
	connected atomic.Bool
	method    string
	url       string
	header    http.Header
	body      []byte

	// guarded by the Recorder's mu
	ended  time.Time // zero while it goes on
	status int       // 0 for no answer
	got    http.Header
	answer []byte
	err    error
	gaveUp bool // the request's context has ended
}

var _ policy.Policy = (*Recorder)(nil)

// Do implements policy.Policy.
func (r *Recorder) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	e := &exchange{began: time.Now(), method: raw.Method, url: raw.URL.String(),
		header: raw.Header.Clone()}
	if body := req.Body(); body != nil {
		e.body, _ = io.ReadAll(body)
		if err := req.RewindBody(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	r.exchanges = append(r.exchanges, e)
	r.mu.Unlock()
	traced := req.WithContext(httptrace.WithClientTrace(raw.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { e.connected.Store(true) },
	}))
	resp, err := traced.Next()
	var answer []byte
	if resp != nil && resp.Body != nil { // it is in memory already
		var bodyErr error
		answer, bodyErr = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		if err == nil && bodyErr != nil {
			return nil, bodyErr
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.ended, e.err, e.gaveUp = time.Now(), err, raw.Context().Err() != nil
	if resp != nil {
		e.status, e.got, e.answer = resp.StatusCode, resp.Header.Clone(), answer
	}
	return resp, err
}

// Asked is what was asked of the credential.
type Asked struct {
	Constructor, Scope string
	Selector, ID       string // of the identity, both "" for none
	Application        string // of a federated credential, as the next
	Tenant             string
	Variables          []string // the names of those that decide which host is asked
}

// Record is all so far. Token is the one that came of it, "" for none, and err why there is none.
func (r *Recorder) Record(asked Asked, token string, err error) (*record.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := newMask(r.secrets(token))
	out := &record.Record{
		Format:      record.Format,
		By:          "whoami, " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Began:       time.Now().UTC().Truncate(time.Millisecond),
		Constructor: asked.Constructor, Scope: m.audience(asked.Scope),
		Selector: asked.Selector, Variables: map[string]string{},
		Exchanges: []record.Exchange{},
	}
	out.ID, out.Application, out.Tenant = m.id(asked.ID), m.id(asked.Application), m.id(asked.Tenant)
	for _, name := range asked.Variables {
		if value := os.Getenv(name); value != "" {
			out.Variables[name] = m.variable(name, value)
		}
	}
	if len(r.exchanges) > 0 {
		out.Began = r.exchanges[0].began.UTC().Truncate(time.Millisecond)
	}
	for _, e := range r.exchanges {
		out.Exchanges = append(out.Exchanges, m.exchange(e, r.exchanges[0].began))
	}
	out.Outcome = m.outcome(token, err)
	return out, m.check(out)
}

// secrets are all that were sent, that came, or that a variable holds.
func (r *Recorder) secrets(token string) (list []string) {
	add := func(values ...string) {
		for _, value := range values {
			if value != "" {
				list = append(list, value)
			}
		}
	}
	add(token)
	for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET", "AZURE_CLIENT_SECRET",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SYSTEM_ACCESSTOKEN"} {
		add(os.Getenv(name))
	}
	for _, e := range r.exchanges {
		add(e.header.Get("X-Identity-Header"), e.header.Get("Secret"))
		if _, key, ok := strings.Cut(e.header.Get("Authorization"), " "); ok {
			add(key)
		}
		if form, err := url.ParseQuery(string(e.body)); err == nil {
			add(form.Get("client_assertion"), form.Get("assertion"))
		}
		var fields map[string]any
		if json.Unmarshal(e.answer, &fields) == nil {
			for name, value := range fields {
				if text, ok := value.(string); ok && strings.HasSuffix(strings.ToLower(name), "token") {
					add(text)
				}
			}
		}
	}
	return list
}

func (m *mask) exchange(e *exchange, began time.Time) record.Exchange {
	out := record.Exchange{
		AtMS:    milliseconds(e.began.Sub(began)),
		Request: record.Request{Method: m.text(e.method), URL: m.url(e.url)},
	}
	var left int
	out.Request.Header, left = m.header(e.header)
	out.Notes = note(out.Notes, left, "of the request's header")
	switch kind := e.header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		out.Request.Body = m.query(string(e.body))
	case len(e.body) > 0:
		out.Request.Body = m.secret(string(e.body))
	}
	if e.ended.IsZero() {
		out.TookMS = milliseconds(time.Since(e.began))
		out.Fault = &record.Fault{Kind: record.Waiting, Connected: e.connected.Load()}
		return out
	}
	out.TookMS = milliseconds(e.ended.Sub(e.began))
	if e.status != 0 {
		out.Answer = &record.Answer{Status: e.status}
		out.Answer.Header, left = m.header(e.got)
		out.Notes = note(out.Notes, left, "of the answer's header")
		out.Answer.Body = m.body(e.answer)
	}
	if e.err != nil {
		m.fault(e, &out)
	}
	return out
}

func note(notes []string, n int, what string) []string {
	switch n {
	case 0:
		return notes
	case 1:
		return append(notes, "1 line "+what+" is left out")
	}
	return append(notes, fmt.Sprintf("%d lines %s are left out", n, what))
}

// fault enters an error into what becomes of an exchange.
func (m *mask) fault(e *exchange, out *record.Exchange) {
	err := e.err
	if cut, ok := errors.AsType[*transport.BodyError](err); ok {
		out.Answer = &record.Answer{Status: cut.StatusCode}
		out.Answer.Header, _ = m.header(cut.Header)
		if _, scan := fmt.Sscanf(cut.Error(), "the answer was cut short after %d bytes",
			&out.Answer.Received); scan == nil {
			if inner := errors.Unwrap(errors.Unwrap(cut)); inner != nil {
				err = inner
			}
		}
	}
	var wrapped *url.Error // which repeats the URL
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	out.Fault = &record.Fault{Kind: record.KindOf(err), Connected: e.connected.Load(),
		Text: m.text(err.Error())}
	if e.gaveUp {
		out.Fault.Kind = record.Waiting
	}
}

func (m *mask) body(body []byte) string {
	if masked, ok := m.json(string(body)); ok {
		return masked
	}
	return m.text(string(body))
}

// variable is the value of one.
func (m *mask) variable(name, value string) string {
	switch name {
	case "IDENTITY_HEADER", "MSI_SECRET":
		return m.secret(value)
	case "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "DEFAULT_IDENTITY_CLIENT_ID":
		return m.id(value)
	case "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST",
		"AZURE_AUTHORITY_HOST", "AZURE_KUBERNETES_TOKEN_PROXY":
		return m.url(value)
	case "IDENTITY_API_VERSION":
		masked, _ := m.field("api-version", value)
		return masked
	case "AZURE_TOKEN_CREDENTIALS", "GITHUB_ACTIONS", "TF_BUILD":
		return m.text(value)
	case "AZURE_FEDERATED_TOKEN_FILE":
		return m.named("PATH", value)
	}
	return m.named("TEXT", value)
}

func (m *mask) outcome(token string, err error) (out record.Outcome) {
	if err != nil {
		out.Error = m.text(err.Error())
		var summarized interface{ Summary() string }
		if errors.As(err, &summarized) {
			out.Summary = m.text(summarized.Summary())
		}
		return out
	}
	masked := m.token(token)
	parts := strings.Split(masked, ".")
	out.Opaque = len(parts) != 3
	if !out.Opaque {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &out.Claims)
		}
	}
	return out
}

// check is the last look at what is to be written: nothing that was replaced in one place may have
// stayed in another.
func (m *mask) check(out *record.Record) error {
	var text bytes.Buffer
	if err := out.Write(&text); err != nil {
		return err
	}
	written := strings.ToLower(text.String())
	for key := range m.places {
		kind, value, _ := strings.Cut(key, "\x00")
		if kind != "GUID" && len(value) < leastSure || letters.MatchString(value) ||
			providers.MatchString(value) {
			continue // it may be a word of the record's own
		}
		if strings.Contains(written, strings.ToLower(value)) {
			return fmt.Errorf("a value of kind %s was not replaced everywhere: no record is written", kind)
		}
	}
	for _, secret := range m.secrets {
		if len(secret) >= leastSure && strings.Contains(written, strings.ToLower(secret)) {
			return errors.New("a secret was not replaced everywhere: no record is written")
		}
	}
	return nil
}

// leastSure is the length from which on a text in two places is no accident.
const leastSure = 12

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
