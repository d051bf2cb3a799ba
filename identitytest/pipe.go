package identitytest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe returns the two ends of a connection in memory. Unlike with net.Pipe, what is written
// needn't be read: when both ends of TLS say goodbye at once and listen no more, neither would be
// heard for 5 seconds.
func pipe() (client, server net.Conn) {
	there, back := newStream(), newStream()
	return &pipeEnd{in: back, out: there}, &pipeEnd{in: there, out: back}
}

type pipeEnd struct{ in, out *stream }

func (c *pipeEnd) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	if err != nil && err != io.EOF {
		err = &net.OpError{Op: "read", Net: pipeAddr{}.Network(), Addr: pipeAddr{}, Err: err}
	}
	return n, err
}

func (c *pipeEnd) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	if err != nil {
		err = &net.OpError{Op: "write", Net: pipeAddr{}.Network(), Addr: pipeAddr{}, Err: err}
	}
	return n, err
}

func (c *pipeEnd) Close() error {
	c.out.end(io.EOF)
	c.in.end(net.ErrClosed)
	return nil
}

// SetLinger is that of [net.TCPConn], as far as it is used here: it is called before Close, which
// then is a reset.
func (c *pipeEnd) SetLinger(int) error {
	c.out.end(errReset)
	return nil
}

func (*pipeEnd) LocalAddr() net.Addr  { return pipeAddr{} }
func (*pipeEnd) RemoteAddr() net.Addr { return pipeAddr{} }

func (c *pipeEnd) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *pipeEnd) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline has nothing to do: no write waits.
func (*pipeEnd) SetWriteDeadline(time.Time) error { return nil }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "identitytest" }

// stream is one direction of a pipe.
type stream struct {
	mu       sync.Mutex
	data     []byte        // written and not read yet
	err      error         // comes after data; nil while the stream is open
	deadline time.Time     // of reading; zero is none
	changed  chan struct{} // closed, and another put in its place, when any of the above changes
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change calls f, and wakes those who wait for it.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) setDeadline(t time.Time) { s.change(func() { s.deadline = t }) }

// end closes the stream: with io.EOF, or for a reset with its error, by the writer, with
// net.ErrClosed by the reader. io.EOF comes after the data, the others in its place.
func (s *stream) end(err error) {
	s.change(func() {
		if s.err == nil || err == net.ErrClosed {
			s.err = err
		}
		if err != io.EOF {
			s.data = nil
		}
	})
}

func (s *stream) write(b []byte) (n int, err error) {
	s.change(func() {
		if s.err != nil {
			err = errClosed
			return
		}
		s.data = append(s.data, b...)
		n = len(b)
	})
	return n, err
}

func (s *stream) read(b []byte) (int, error) {
	for {
		n, wait, err := s.take(b)
		if wait == nil {
			return n, err
		}
		wait()
	}
}

// take is read, or returns how to wait before it is worth another try.
func (s *stream) take(b []byte) (n int, wait func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := time.Until(s.deadline)
	switch {
	case !s.deadline.IsZero() && left <= 0:
		return 0, nil, os.ErrDeadlineExceeded
	case len(s.data) > 0 || len(b) == 0:
		n = copy(b, s.data)
		s.data = s.data[n:]
		return n, nil, nil
	case s.err != nil:
		return 0, nil, s.err
	}
	changed := s.changed
	if s.deadline.IsZero() {
		return 0, func() { <-changed }, nil
	}
	return 0, func() {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		}
	}, nil
}
