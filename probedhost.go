package identity

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/detect"
)

// probedHost is the host's identity in a chain, where it comes before the developer's. As long as
// nothing says that this is Azure, it is given a second, once a minute. As soon as something does,
// it is the Credential itself.
//
// In a pipeline it is given a second whatever says that this is Azure: there the login of the tools
// is the pipeline's, and many of the machines are Azure's but have no identity. It gets the
// Credential's own time after the tools, if none of them has a token (lastHost): an IMDS that is
// asked for the first time may take longer than a second.
type probedHost struct {
	cred     *Credential
	shared   *shared
	silence  *atomic.Pointer[recentSilence] // of the endpoint, for all that ask it
	pipeline string                         // the variable that says that this is one, "" elsewhere
	// when the second began that all callers give it; nil for never
	asked atomic.Pointer[time.Time]
}

const (
	// probeWait: an IMDS that is there answers the probe within milliseconds. The peers' wait as
	// long.
	probeWait = time.Second
	// probeAgain is how long a silence counts: a developer without Azure waits once a minute at
	// most.
	probeAgain = time.Minute
)

// recentSilence says that nothing has answered at an endpoint, and until when that counts.
type recentSilence struct {
	until time.Time
	err   *AuthenticationError
}

func newProbedHost(cred *Credential, shared *shared, pipeline string) *probedHost {
	silence, _ := shared.silences.LoadOrStore(cred.hosted.node, &atomic.Pointer[recentSilence]{})
	return &probedHost{cred: cred, shared: shared, pipeline: pipeline,
		silence: silence.(*atomic.Pointer[recentSilence])}
}

// chainLink implements ownSource. Its ErrUnavailable is about the endpoint. Once it is in use the
// host is there, and a Refresh gets the Credential's own time.
func (s *probedHost) chainLink() chain.Link {
	l := s.cred.chainLink()
	l.Source, l.Advice = s, s.advice
	return l
}

// bars says why the developer must not be asked, "" if nothing says so.
func (s *probedHost) bars() string {
	if s.pipeline != "" {
		return ""
	}
	return s.evidence()
}

// evidence says why this is Azure, "" if nothing says so.
func (s *probedHost) evidence() string {
	if why := s.shared.azure.Load(); why != nil {
		return *why
	}
	if s.cred.hosted.node.Answered() {
		return s.shared.seen(s.cred.Host().String() + " has answered at " +
			s.cred.hosted.host.Endpoint())
	}
	return ""
}

// GetToken is the Credential's, with less patience where nothing says that this is Azure, and in a
// pipeline.
func (s *probedHost) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if s.bars() != "" {
		return s.cred.GetToken(ctx, options)
	}
	node := s.cred.hosted.node
	if a := s.silence.Load(); a != nil && !node.Answered() && time.Now().Before(a.until) &&
		ctx.Err() == nil {
		return azcore.AccessToken{}, s.unavailable(ctx, a.err, options)
	}
	began := time.Now()
	if !node.Answered() {
		began = s.begin()
	}
	short, cancel := context.WithDeadline(ctx, began.Add(probeWait))
	defer cancel()
	token, err := s.cred.GetToken(short, options)
	e, ok := errors.AsType[*AuthenticationError](err)
	switch {
	case !ok || ctx.Err() != nil: // nil, too
		return token, err
	case s.bars() != "": // it has begun to answer
		return s.cred.GetToken(ctx, options)
	case s.hasNone(e):
		return azcore.AccessToken{}, s.none(e)
	case short.Err() == nil && !errors.Is(err, ErrUnavailable): // a policy in the options, say
		return token, err
	case errors.Is(err, ErrUnavailable):
	case !node.Answered() && !node.FoundNobody(began):
		// Nobody was asked: a policy in the options has failed, say.
		return s.cred.GetToken(ctx, options)
	default: // a second has passed, and the request goes on
		e.soFar, e.cause, e.reason = nil, nil, ErrUnavailable
		e.cutShort = ""
		e.what = "no answer within " + probeWait.String() +
			", and nothing else says that this is Azure"
		if s.pipeline != "" {
			e.what = "no token within " + probeWait.String() +
				", which is what it has before the tools in a pipeline (" + s.pipeline + " is true)"
		}
	}
	s.silence.Store(&recentSilence{began.Add(probeAgain), e.forCaller()})
	return azcore.AccessToken{}, e
}

// begin returns when the host's second began. If none began in the last minute, it begins one, with
// a probe. All callers share that second: even if each of them has less time than that, the next
// source gets its turn.
func (s *probedHost) begin() time.Time {
	now := time.Now()
	last := s.asked.Load()
	if last != nil && now.Sub(*last) < probeAgain {
		return *last
	}
	if !s.asked.CompareAndSwap(last, &now) {
		return *s.asked.Load()
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeWait)
	go func() {
		defer cancel()
		s.cred.hosted.client.Probe(ctx)
	}()
	return now
}

// hasNone reports whether IMDS says, in a pipeline, that the machine has no identity, and none was
// selected.
func (s *probedHost) hasNone(e *AuthenticationError) bool {
	return s.pipeline != "" && e.Host == HostIMDS && e.ID == nil &&
		errors.Is(e, ErrIdentityNotFound) && strings.EqualFold(e.Message, "Identity not found")
}

// none is the error of a machine without an identity: the next source's turn.
func (s *probedHost) none(e *AuthenticationError) *AuthenticationError {
	own := e.forCaller()
	own.reason, own.hint = ErrUnavailable, "this machine has no identity; "+detect.InPipeline(s.pipeline)
	return own
}

// advice is for the first line of a chain's error: what to set where the tools' login was meant.
func (s *probedHost) advice(err error) string {
	if s.cred.Host() != HostIMDS ||
		!errors.Is(err, ErrIdentityNotFound) && s.cred.hosted.node.Answered() {
		return ""
	}
	return "where the login of az or azd is meant, set " + envTokenCredentials + "=dev"
}

// unavailable is the error of a second that has passed without an answer, for a caller that comes
// after it.
func (s *probedHost) unavailable(
	ctx context.Context, e *AuthenticationError, options policy.TokenRequestOptions,
) error {
	_, scope, err := s.cred.check("GetToken", ctx, options)
	if err != nil {
		return err
	}
	own := e.forCaller()
	own.ID, own.Resource = s.cred.hosted.host.identity(), resourceOf(scope)
	return own
}

// Status is the Credential's.
func (s *probedHost) Status() Status { return s.cred.Status() }

// lastHost is the host's identity once more, behind the tools of a pipeline and with all the time
// that it has elsewhere.
type lastHost struct{ probed *probedHost }

// chainLink implements ownSource.
func (l *lastHost) chainLink() chain.Link {
	return chain.Link{Name: "managed identity, with all its time", Source: l, Whole: true,
		Refresh: l.probed.cred.refresh, Failed: l.probed.cred.lastFailure, Advice: l.probed.advice}
}

// GetToken is the Credential's, unless nothing says that this is Azure.
func (l *lastHost) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	s := l.probed
	if a := s.silence.Load(); a != nil && s.evidence() == "" {
		return azcore.AccessToken{}, s.unavailable(ctx, a.err, options)
	}
	token, err := s.cred.GetToken(ctx, options)
	if e, ok := errors.AsType[*AuthenticationError](err); ok && s.hasNone(e) {
		return azcore.AccessToken{}, s.none(e)
	}
	return token, err
}
