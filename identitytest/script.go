package identitytest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Response is one scripted answer: what goes wrong, or comes late, before the endpoint behaves as
// usual again. What it means depends on the fields that are set.
//
//	Response{Delay: 2 * time.Second}                      the usual answer, late
//	Response{Status: 429}                                 the host's own answer of that status
//	Response{Status: 503, For: 12 * time.Hour}            the same to every request of the next 12 hours
//	Response{Identity: Identity{System: true}}            that identity's token, whoever's is asked for
//	Response{Lifetime: time.Minute}                       a new token, which ends in a minute
//	Response{Status: 502, Body: "<html>Bad Gateway"}      exactly this, as from a proxy
//	Response{Err: syscall.ECONNREFUSED}                   no answer: the connection fails
//	Response{Status: 200, Err: io.ErrUnexpectedEOF}       the usual answer, cut short
type Response struct {
	// Status is the status code, from 100 to 999. With neither Body nor Header, the answer has the
	// body and the headers that the host gives this status; a Status of 0 or 200 is then the usual
	// answer, which to a wrong request is a refusal. With either of them, Status 0 means 200.
	Status int

	// Header and Body, if either is set, are the answer exactly, as it comes from something that isn't
	// the host: no header is added to it, save what the framing of HTTP needs; Content-Length follows
	// from Body. An empty Header that isn't nil makes an answer without any header. A client may take
	// such an answer for a stranger's. To send the host's own answer with another header, such as
	// Retry-After, repeat what the host is recognised by:
	//
	//	Response{Status: 429, Header: http.Header{"Server": {"IMDS/150.870.65.1"}, "Retry-After": {"3"}}}
	Header http.Header
	Body   string

	// Delay is how long the answer, or the failure, waits before it begins. A request whose context
	// ends before is recorded and uses up the Response like any other. A negative value panics.
	Delay time.Duration

	// Err alone, without Status, Header and Body, is a connection error: Do returns it, and ServeHTTP
	// closes the connection. With any of those, the answer is cut short: its headers arrive and all of
	// Body (or half of the host's own body), then Do's body reader returns Err, or ServeHTTP closes
	// the connection.
	Err error

	// Identity, if not zero, is the identity whose token the answer has in place of the one that is
	// asked for: a host mixes them up. It is one of the endpoint's identities if all of its fields
	// that aren't zero fit that one, such as Identity{System: true}; otherwise it is a stranger, whose
	// zero fields are filled in. An Identity with a User is a person: Azure ML compute may answer with
	// a person's token. Only the usual answer has a token: a wrong request is refused as usual, and
	// Azure Arc's first request is answered by a challenge all the same, so that it takes a Response
	// of its own. With [NewEntra] it is another application. Tokens of [NewGitHubActions] and
	// [NewAzurePipelines] aren't identities': there it panics.
	Identity Identity

	// Lifetime, if not 0, makes the token of the usual answer a new one of that lifetime, also with
	// [Options.HostCache], which has it from then on. A negative value panics.
	Lifetime time.Duration

	// For, if not 0, makes this the answer to every request for that long, rather than to one request.
	// The time begins when the Response comes to the head of the queue: at once if the queue is empty
	// when it is enqueued, otherwise when the one before is used up or has ended. It may pass without
	// any request. A negative value panics.
	For time.Duration
}

// Enqueue appends scripted answers. Each request, in the order of arrival, takes one, whatever it
// asks for and whether or not the host would refuse it; then the usual behaviour resumes. It panics
// if a field has no meaning: a negative duration, a Status that is neither 0 nor from 100 to 999,
// or an Identity or a Lifetime in an answer that isn't the usual one, having another Status than 0
// and 200, a Header, a Body or an Err.
//
// Over a connection an informational Status, below 200, can't be a whole answer: the connection is
// closed after it.
func (e *Endpoint) Enqueue(responses ...Response) {
	for i, r := range responses {
		switch {
		case r.Status != 0 && (r.Status < 100 || r.Status > 999):
			panic(fmt.Sprintf("identitytest: Enqueue: response %d: Status %d is neither 0 nor from 100 to 999", i, r.Status))
		case r.Delay < 0:
			panic(fmt.Sprintf("identitytest: Enqueue: response %d: negative Delay %v", i, r.Delay))
		case r.For < 0:
			panic(fmt.Sprintf("identitytest: Enqueue: response %d: negative For %v", i, r.For))
		case r.Lifetime < 0:
			panic(fmt.Sprintf("identitytest: Enqueue: response %d: negative Lifetime %v", i, r.Lifetime))
		}
		e.checkToken(fmt.Sprintf("identitytest: Enqueue: response %d: ", i), r)
	}
	responses = slices.Clone(responses)
	for i, r := range responses {
		if r.Identity != (Identity{}) {
			responses[i].Identity = whose(r.Identity, e.identities, e.issuer.hostID)
		}
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script.append(now, responses)
}

// ofJob is a host whose tokens are a job's.
type ofJob interface{ ofJob() }

// checkToken panics, with what, if r says something of a token that it doesn't have.
func (e *Endpoint) checkToken(what string, r Response) {
	whose := r.Identity != (Identity{})
	if !whose && r.Lifetime == 0 {
		return
	}
	if r.Status != 0 && r.Status != http.StatusOK || r.Header != nil || r.Body != "" || r.Err != nil {
		panic(what + "Identity and Lifetime are of the usual answer: one of Status 0 or 200, without " +
			"Header, Body and Err")
	}
	if !whose {
		return
	}
	if _, ok := e.host.(ofJob); ok {
		panic(what + "Identity: the endpoint's tokens are a job's and no identity's")
	}
	if r.Identity.System && e.issuer.hostID == "" {
		panic(what + "Identity: a system-assigned identity's tokens aren't issued here")
	}
}

// script is the queue of scripted answers.
type script struct {
	queue []Response
	since time.Time // when the first of the queue came to be the first
}

func (s *script) append(now time.Time, responses []Response) {
	s.dropEnded(now)
	if len(s.queue) == 0 {
		s.since = now
	}
	for _, r := range responses {
		r.Header = canonical(r.Header)
		s.queue = append(s.queue, r)
	}
}

// take returns the answer to a request that arrives now. The zero Response is the usual answer.
func (s *script) take(now time.Time) Response {
	s.dropEnded(now)
	if len(s.queue) == 0 {
		return Response{}
	}
	first := s.queue[0]
	if first.For == 0 {
		s.queue, s.since = s.queue[1:], now
	}
	return first
}

// dropEnded removes what has lasted for its time. Each began when the one before ended, not when
// somebody noticed.
func (s *script) dropEnded(now time.Time) {
	for len(s.queue) > 0 && s.queue[0].For > 0 {
		end := s.since.Add(s.queue[0].For)
		if now.Before(end) {
			return
		}
		s.queue, s.since = s.queue[1:], end
	}
}

// answer is what r makes of a request.
func (r Response) answer(e *Endpoint, request received) answer {
	own := r.Body == "" && r.Header == nil
	var a answer
	switch {
	case own && r.Status == 0 && r.Err != nil:
		return answer{err: r.Err}
	case own && (r.Status == 0 || r.Status == http.StatusOK):
		request.scripted = r
		a = e.host.answer(e, request)
	case own:
		a = e.host.failure(r.Status)
	default:
		a = answer{status: r.Status, header: r.Header.Clone(), body: r.Body}
		if a.header == nil {
			a.header = make(http.Header)
		}
		if a.status == 0 {
			a.status = http.StatusOK
		}
	}
	if r.Err != nil {
		a.err = r.Err
		if own {
			a.body = a.body[:len(a.body)/2]
		}
	}
	return a
}

// canonical copies header with the names as a connection would deliver them, and without the
// Content-Length, which is that of the body.
func canonical(header http.Header) http.Header {
	if header == nil {
		return nil
	}
	result := make(http.Header, len(header))
	for name, values := range header {
		for _, value := range values {
			result.Add(name, value)
		}
	}
	result.Del("Content-Length")
	return result
}
