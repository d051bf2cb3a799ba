package identitytest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		sent := bytes.Repeat([]byte("0123456789"), 10_000)
		for _, direction := range [][2]net.Conn{{a, b}, {b, a}} {
			for i := 0; i < len(sent); i += 1000 { // without a reader
				if n, err := direction[0].Write(sent[i : i+1000]); n != 1000 || err != nil {
					t.Fatalf("Write: got %d, %v", n, err)
				}
			}
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(direction[1], got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("got error %v, or not what was sent", err)
			}
		}

		read := make(chan string)
		go func() {
			buffer := make([]byte, 10)
			n, _ := b.Read(buffer)
			read <- string(buffer[:n])
		}()
		synctest.Wait() // it waits for something to read
		if n, err := a.Write([]byte("late")); n != 4 || err != nil {
			t.Errorf("Write: got %d, %v", n, err)
		}
		if got := <-read; got != "late" {
			t.Errorf("got %q, want late", got)
		}
		if n, err := b.Read(nil); n != 0 || err != nil {
			t.Errorf("Read of nothing: got %d, %v; want to be back at once", n, err)
		}
	})
}

func TestPipeClose(t *testing.T) {
	t.Parallel()
	a, b := pipe()
	write(t, a, "last words")
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Errorf("got %q, %v; want the last words and the end", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, errClosed) {
		t.Errorf("Write to a closed end: got error %v, want %v", err, errClosed)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read from an end after Close: got error %v, want %v", err, net.ErrClosed)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("Write to an end after Close: got no error")
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestPipeCloseWakesReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		errs := make(chan error, 2)
		for _, end := range []net.Conn{a, b} {
			go func() {
				_, err := end.Read(make([]byte, 1))
				errs <- err
			}()
		}
		synctest.Wait()
		a.Close()
		one, other := <-errs, <-errs
		if errors.Is(one, io.EOF) {
			one, other = other, one
		}
		if !errors.Is(one, net.ErrClosed) || !errors.Is(other, io.EOF) {
			t.Errorf("got errors %v and %v, want %v here and %v there", one, other, net.ErrClosed, io.EOF)
		}
	})
}

func TestPipeReset(t *testing.T) {
	t.Parallel()
	a, b := pipe()
	write(t, a, "lost")
	if err := a.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
		t.Error(err)
	}
	a.Close()
	if n, err := b.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errReset) {
		t.Errorf("got %d bytes, error %v; want %v at once", n, err, errReset)
	}
	var wrapped *net.OpError
	if _, err := b.Read(make([]byte, 10)); !errors.As(err, &wrapped) || wrapped.Op != "read" {
		t.Errorf("got error %v, want one of the network", err)
	}
}

func TestPipeDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		buffer := make([]byte, 10)
		begin := time.Now()
		b.SetReadDeadline(begin.Add(time.Minute))
		_, err := b.Read(buffer)
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() ||
			time.Since(begin) != time.Minute {
			t.Errorf("got error %v after %v, want %v after 1m", err, time.Since(begin),
				os.ErrDeadlineExceeded)
		}
		write(t, a, "x")
		if n, err := b.Read(buffer); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: got %d, %v; want %v", n, err, os.ErrDeadlineExceeded)
		}
		b.SetReadDeadline(time.Time{})
		if n, err := b.Read(buffer); n != 1 || err != nil {
			t.Errorf("without the deadline: got %d, %v; want what was there all along", n, err)
		}

		failed := make(chan error)
		go func() {
			_, err := b.Read(buffer)
			failed <- err
		}()
		synctest.Wait()
		b.SetDeadline(time.Unix(1, 0)) // as net/http ends its reading ahead
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got error %v, want %v", err, os.ErrDeadlineExceeded)
		}
		b.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			_, err := b.Read(buffer)
			failed <- err
		}()
		time.Sleep(time.Second)
		write(t, a, "in time")
		if err := <-failed; err != nil {
			t.Errorf("got error %v, want what came before the deadline", err)
		}
	})
}

func TestPipeAddresses(t *testing.T) {
	t.Parallel()
	a, b := pipe()
	for _, addr := range []net.Addr{a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr()} {
		if addr.Network() != "pipe" || addr.String() != "identitytest" {
			t.Errorf("got %s %s", addr.Network(), addr)
		}
	}
}
