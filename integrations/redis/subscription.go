package identityredis

import (
	"fmt"

	"github.com/redis/go-redis/v9/auth"
)

// subscription is one listener's. The Provider's mutex guards its fields but listener.
type subscription struct {
	listener auth.CredentialsListener
	known    string           // the token that the listener was given last
	next     auth.Credentials // that it is to be told of, nil for none
	failure  error            // that it is to be told of, nil for none
	busy     bool             // a goroutine is telling it
	ended    bool
}

// start has the listener told, if there is something to tell and nobody is telling it. p.mu is
// held.
func (p *Provider) start(s *subscription) {
	if !s.busy && !s.ended && (s.next != nil || s.failure != nil) {
		s.busy = true
		go p.tell(s)
	}
}

// tell calls the listener once, and then has it told what has come meanwhile: also if it panics, or
// ends its goroutine.
func (p *Provider) tell(s *subscription) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.busy = false
		p.start(s)
	}()
	p.mu.Lock()
	next, failure := s.next, s.failure
	s.next, s.failure = nil, nil
	p.mu.Unlock()
	if next != nil {
		if err := guarded(func() { s.listener.OnNext(next) }); err != nil {
			_ = guarded(func() { s.listener.OnError(err) })
		}
	}
	if failure != nil {
		_ = guarded(func() { s.listener.OnError(failure) })
	}
}

// guarded calls f, and turns its panic into an error. The error has only the type of what it
// panicked with, whose text may have the token.
func guarded(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &renewalError{fmt.Errorf("the listener's OnNext panicked with a %T", v)}
		}
	}()
	f()
	return nil
}
