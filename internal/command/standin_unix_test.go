//go:build unix

package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script is what a stand-in for a tool does. It is in the file NAME.json beside the stand-in.
type script struct {
	Stdout, Stderr string
	Repeat         int // Stdout so often, 0 for once
	Exit           int
	// a test's listener: the tool says who it is there, and ends when that hangs up
	Gate  string
	Child string // the same for a child of its own, which has the tool's standard output
	Term  string // when it is asked to end it ignores that, or finishes NAME.cache and prints
	Stop  bool   // it stops itself before that
}

// What a script's Term is.
const (
	ignore = "ignore"
	finish = "finish"
)

// noted is how a stand-in was run. It is in the file NAME.run.
type noted struct {
	Arguments   []string
	Directory   string
	Environment []string
	Stdin       int  // bytes that were to be read
	Terminal    bool // it is in a session that somebody else began, and that may have a terminal
}

// TestMain makes the test binary a stand-in where it is called by a name that has a script.
func TestMain(m *testing.M) {
	var s script
	if text, err := os.ReadFile(os.Args[0] + ".json"); err == nil {
		check(json.Unmarshal(text, &s))
		s.play(os.Args[0])
	}
	os.Exit(m.Run())
}

func (s script) play(name string) {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		if s.Term == ignore {
			signal.Ignore(syscall.SIGTERM)
		}
		wait(s.Child, "child")
		os.Exit(0)
	}
	note(name)
	if s.Child != "" {
		child := exec.Command(name, "child")
		child.Stdout = os.Stdout
		check(child.Start())
	}
	switch s.Term {
	case ignore:
		signal.Ignore(syscall.SIGTERM)
	case finish:
		s.finishes(name)
		s.Gate = ""
	}
	for range max(s.Repeat, 1) {
		fmt.Print(s.Stdout)
	}
	fmt.Fprint(os.Stderr, s.Stderr)
	if s.Gate != "" {
		wait(s.Gate, "tool")
	}
	os.Exit(s.Exit)
}

// finishes writes a file to its end when it is asked to end.
func (s script) finishes(name string) {
	asked := make(chan os.Signal, 1)
	check(os.WriteFile(name+".cache", nil, 0o600)) // as az begins it
	signal.Notify(asked, syscall.SIGTERM)
	announce(s.Gate, fmt.Sprint(os.Getpid()))
	if s.Stop {
		check(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
	}
	<-asked
	<-time.After(100 * time.Millisecond)
	check(os.WriteFile(name+".cache", []byte("whole"), 0o600))
}

func note(name string) {
	n := noted{Arguments: os.Args[1:], Environment: os.Environ()}
	n.Directory, _ = os.Getwd()
	// pid (name) state parent group session …
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		n.Terminal = fields[3] != fmt.Sprint(os.Getpid())
	}
	stdin, _ := io.ReadAll(os.Stdin)
	n.Stdin = len(stdin)
	text, err := json.Marshal(n)
	check(err)
	check(os.WriteFile(name+".run", text, 0o600))
}

// wait ends when the test hangs up, so that nothing outlives it.
func wait(address, who string) { _, _ = io.Copy(io.Discard, announce(address, who)) }

// announce tells the test that the tool is there. The connection ends with the tool.
func announce(address, who string) net.Conn {
	gate, err := net.Dial("tcp", address)
	check(err)
	_, err = fmt.Fprintln(gate, who)
	check(err)
	return gate
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "stand-in:", err)
		os.Exit(99)
	}
}

// standIn is the path of a stand-in, in a directory of the test's.
func standIn(t *testing.T, s script) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "az")
	if err := os.Symlink(program, path); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".json", text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runOf is how a stand-in was run, nil if it was not.
func runOf(t *testing.T, path string) *noted {
	t.Helper()
	text, err := os.ReadFile(path + ".run")
	if os.IsNotExist(err) {
		return nil
	}
	n := &noted{}
	if err == nil {
		err = json.Unmarshal(text, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// gate is where stand-ins say who they are. A connection ends when the process does, whoever's
// child that is.
type gate struct{ net.Listener }

func newGate(t *testing.T) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &gate{listener}
}

func (g *gate) address() string { return g.Addr().String() }

// patience is what a test grants a process, however busy the machine.
const patience = 30 * time.Second

// arrive waits for a process, and returns how it called itself. What it is told to wait for ends
// with the test.
func (g *gate) arrive(t *testing.T) (string, net.Conn) {
	t.Helper()
	_ = g.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := g.Accept()
	if err != nil {
		t.Fatalf("no process came: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	who, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(who), conn
}

// wantEnd waits for the end of a process that has arrived.
func wantEnd(t *testing.T, who string, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if os.IsTimeout(err) || err == nil {
		t.Errorf("the %s lives on", who)
		_ = conn.Close() // on which it ends
	}
}
