//go:build unix

package identity

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
)

var builtTool = sync.OnceValues(func() (program string, err error) {
	if toolDirectory, err = os.MkdirTemp("", "identity-tool-"); err != nil {
		return "", err
	}
	program = filepath.Join(toolDirectory, "tool")
	// Without a version stamp, which a clone owned by another user has none of.
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./testdata/tool").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return program, nil
})

// toolScript and toolRun are what testdata/tool reads and writes.
type toolScript struct {
	Stdout, Stderr string
	Repeat         int
	Exit           int
	Slow           string
	Gate, Child    string
	Term           string
	Stop           bool
}

type toolRun struct {
	Arguments   []string
	Directory   string
	Environment map[string]string
	Stdin       int
	Overlap     bool
	Terminal    bool
}

// realTool is the tool under a name, in a directory of the test's.
type realTool struct{ path string }

func newRealTool(t *testing.T, name string, s toolScript) *realTool {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command isn't on PATH")
	}
	program, err := builtTool()
	if err != nil {
		t.Fatal(err)
	}
	tool := &realTool{filepath.Join(t.TempDir(), name)}
	if err := os.Symlink(program, tool.path); err != nil {
		t.Fatal(err)
	}
	tool.says(t, s)
	return tool
}

func (r *realTool) says(t *testing.T, s toolScript) {
	t.Helper()
	content, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path+".json", content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *realTool) runs(t *testing.T) (list []toolRun) {
	t.Helper()
	content, err := os.ReadFile(r.path + ".runs")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var run toolRun
		if err := json.Unmarshal([]byte(line), &run); err != nil {
			t.Fatal(err)
		}
		list = append(list, run)
	}
	return list
}

// env is an environment whose runner is the real one, of this program wherever PATH leads.
func (r *realTool) env() environment {
	env := nowhere()
	env.run = func(ctx context.Context, c command) ([]byte, error) {
		c.path = r.path
		return runProcess(ctx, c)
	}
	return env
}

// gate is where processes of the tool say who they are. Its connection ends when the process does, whoever's child it is.
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

// processPatience is what a test grants a process, however busy the machine.
const processPatience = 30 * time.Second

// arrive waits for one, and returns how it called itself. What it is told to wait for ends with the test.
func (g *gate) arrive(t *testing.T) (string, net.Conn) {
	t.Helper()
	_ = g.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(processPatience))
	conn, err := g.Accept()
	if err != nil {
		t.Fatalf("no process came: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(processPatience))
	who, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(who), conn
}

// ended waits for the end of a process that has arrived.
func ended(t *testing.T, who string, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the %s lives on", who)
	}
}

// realDevelopers runs a test with each of the tools as a program.
func realDevelopers(t *testing.T, s toolScript, f func(t *testing.T, d developer, tool *realTool, cred azcore.TokenCredential)) {
	t.Helper()
	for _, d := range developers {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			own := s
			own.Stdout = strings.ReplaceAll(s.Stdout, "GRANT", string(d.says("t", time.Hour)))
			tool := newRealTool(t, d.program, own)
			f(t, d, tool, d.credentialIn(t, newRealm(), tool.env(), ""))
		})
	}
}

func TestProcessGrants(t *testing.T) {
	t.Parallel()
	realDevelopers(t, toolScript{Stdout: "GRANT", Stderr: "WARNING: there is a new version\n"}, func(t *testing.T, d developer, tool *realTool, cred azcore.TokenCredential) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if tk, _ := mustToken(t, cred); tk.Token != "t" {
					t.Errorf("got the token %s", tk.Token)
				}
			})
		}
		wg.Wait()
		for range 100 {
			mustToken(t, cred)
		}
		runs := tool.runs(t)
		if len(runs) != 1 {
			t.Fatalf("%s ran %d times, want once", d.program, len(runs))
		}
		want := map[string][]string{
			"az":  {"account", "get-access-token", "-o", "json", "--resource", "https://vault.azure.net"},
			"azd": {"auth", "token", "-o", "json", "--no-prompt", "--scope", "https://vault.azure.net/.default"},
		}[d.program]
		if diff := cmp.Diff(want, runs[0].Arguments); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
		bin, _ := filepath.EvalSymlinks("/bin")
		if got, _ := filepath.EvalSymlinks(runs[0].Directory); got != bin {
			t.Errorf("it ran in %s, want /bin, where nobody else puts a file", runs[0].Directory)
		}
		if e := runs[0].Environment; e["AZURE_CORE_NO_COLOR"] != "true" || e["NO_COLOR"] != "1" {
			t.Errorf("its environment has %v, want no color", e)
		}
		if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil {
			t.Error(err)
		}
		if got := len(tool.runs(t)); got != 2 {
			t.Errorf("%s ran %d times for two resources", d.program, got)
		}
	})
}

func TestProcessFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		script      toolScript
		unavailable bool
		want        string // PROGRAM stands for its name
	}{
		{"not logged in", toolScript{Stderr: "ERROR: Please run 'az login' to setup account; not logged in.\n", Exit: 1}, true, "nobody is logged in"},
		{"exit status 127", toolScript{Exit: 127}, true, "PROGRAM is not installed"},
		{"expired session", toolScript{Stderr: "ERROR: AADSTS700082: expired\nInteractive authentication is needed. Please run: az login --scope x\n", Exit: 1}, false, "AADSTS700082"},
		{"a token and exit status 1", toolScript{Stdout: "GRANT " + canary, Stderr: "boom", Exit: 1}, false, `"boom"`},
		{"silence", toolScript{Exit: 3}, false, "PROGRAM ended with exit status 3 and without a word"},
		{"nothing", toolScript{}, false, "no JSON object"},
		{"garbage", toolScript{Stdout: canary + "\x00\xff\n"}, false, "no JSON object"},
		{"HTML", toolScript{Stdout: "<html>" + canary + "</html>"}, false, "no JSON object"},
		{"a flood", toolScript{Stdout: strings.Repeat("x", 1<<16), Repeat: 64}, false, "no JSON object"},
		{"a flood before the token", toolScript{Stdout: strings.Repeat("{", 1<<21) + "GRANT"}, false, "no JSON object"},
		{"a flood of complaints", toolScript{Stderr: "first " + strings.Repeat("x", 1<<20), Exit: 1}, false, `"first x`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			realDevelopers(t, tt.script, func(t *testing.T, d developer, tool *realTool, cred azcore.TokenCredential) {
				e, _ := mustFail(t, cred)
				wantErrorText(t, e, strings.ReplaceAll(tt.want, "PROGRAM", d.program))
				if errors.Is(e, ErrUnavailable) != tt.unavailable {
					t.Errorf("ErrUnavailable: %v, want %v", !tt.unavailable, tt.unavailable)
				}
				if text := fmt.Sprintf("%v %+v %#v", e, *e, *e); strings.Contains(text, canary) || len(text) > 8000 {
					t.Errorf("the error shows what was printed: %.1000s", text)
				}
				if got := len(tool.runs(t)); got != 1 {
					t.Errorf("%s ran %d times", d.program, got)
				}
			})
		})
	}
}

// TestProcessWithALongOutput: what a tool prints behind its token is taken from it and thrown away.
func TestProcessWithALongOutput(t *testing.T) {
	t.Parallel()
	realDevelopers(t, toolScript{Stdout: "GRANT" + strings.Repeat(" ", 1<<16) + "x", Repeat: 64}, func(t *testing.T, d developer, _ *realTool, cred azcore.TokenCredential) {
		mustToken(t, cred)
	})
}

// TestProcessLeavesItsOutputOpen: the tool has ended well, and a child of its own, such as an updater, goes on.
func TestProcessLeavesItsOutputOpen(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	for _, d := range developers { // one after the other, since they share the gate
		tool := newRealTool(t, d.program, toolScript{Stdout: string(d.says("t", time.Hour)), Child: gate.address()})
		if tk, took := mustToken(t, d.credentialIn(t, newRealm(), tool.env(),
			"")); tk.Token != "t" || took > processPatience {
			t.Errorf("%s: got the token %s after %v", d.name, tk.Token, took)
		}
		who, conn := gate.arrive(t)
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); who != "child" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the %s was ended with the tool: %v", d.name, who, err)
		}
	}
	t.Run("and fails", func(t *testing.T) {
		tool := newRealTool(t, "az", toolScript{Stdout: string(azSays(canary, time.Hour)), Stderr: "boom", Exit: 1, Child: gate.address()})
		e, _ := mustFail(t, developers[0].credentialIn(t, newRealm(), tool.env(), ""))
		if wantErrorText(t, e, "boom"); strings.Contains(fmt.Sprintf("%+v", *e), canary) {
			t.Errorf("the error shows the token: %+v", *e)
		}
		gate.arrive(t)
	})
}

// TestHangingProcessIsEnded: with all that it has started, as az's script starts Python.
func TestHangingProcessIsEnded(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	tool := newRealTool(t, "az", toolScript{Stdout: string(azSays(canary, time.Hour)), Gate: gate.address(), Child: gate.address()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		out, err := runProcess(ctx, command{path: tool.path})
		if len(out) > 0 {
			t.Errorf("a killed process has an output: %s", out)
		}
		done <- err
	}()
	arrived := map[string]net.Conn{}
	for range 2 {
		who, conn := gate.arrive(t)
		arrived[who] = conn
	}
	cancel() // at the limit of a run, when both are there
	for _, who := range []string{"tool", "child"} {
		if arrived[who] == nil {
			t.Fatalf("%v came, want the tool and its child", arrived)
		}
		ended(t, who, arrived[who])
	}
	select {
	case err := <-done:
		if err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
	case <-time.After(processPatience):
		t.Error("runProcess waits on")
	}
}

// TestStubbornProcessIsKilled: one that goes on although it was asked to end, and what it has
// started.
func TestStubbornProcessIsKilled(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	tool := newRealTool(t, "az",
		toolScript{Gate: gate.address(), Child: gate.address(), Term: "ignore"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := runProcess(ctx, command{path: tool.path})
		done <- err
	}()
	arrived := map[string]net.Conn{}
	for range 2 {
		who, conn := gate.arrive(t)
		arrived[who] = conn
	}
	cancel()
	for who, conn := range arrived {
		ended(t, who, conn)
	}
	select {
	case err := <-done:
		if err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
	case <-time.After(processPatience):
		t.Error("runProcess waits on")
	}
}

// TestProcessIsAskedToEnd, and has the time to write its cache, also where it has been stopped.
// What it prints after that counts if it ends well.
func TestProcessIsAskedToEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		script toolScript
		want   string
		err    error
	}{
		{"ends well", toolScript{Stdout: "whole"}, "whole", nil},
		{"ends badly", toolScript{Stdout: canary, Exit: 1}, "", context.Canceled},
		{"stopped", toolScript{Stdout: "whole", Stop: true}, "whole", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gate := newGate(t)
			tt.script.Gate, tt.script.Term = gate.address(), "finish"
			tool := newRealTool(t, "az", tt.script)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				pid, _ := gate.arrive(t)
				if tt.script.Stop {
					stopped(t, pid)
				}
			}()
			out, err := runProcess(ctx, command{path: tool.path})
			if string(out) != tt.want || err != tt.err {
				t.Errorf("got %q, error %v, want %q, %v", out, err, tt.want, tt.err)
			}
			if cache, err := os.ReadFile(tool.path + ".cache"); string(cache) != "whole" {
				t.Errorf("its cache has %q, error %v, want it whole", cache, err)
			}
		})
	}
}

// TestProcessBehindAScriptIsAskedToEnd: the script dies of the signal at once. What it has started
// has the same time to write its cache as if it had been run by itself.
func TestProcessBehindAScriptIsAskedToEnd(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	tool := newRealTool(t, "python", toolScript{Gate: gate.address(), Term: "finish"})
	script := filepath.Join(t.TempDir(), "az")
	if err := os.WriteFile(script,
		[]byte("#!/bin/sh\n'"+tool.path+"' >'"+tool.path+".out' 2>&1\nexit 0\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		gate.arrive(t)
	}()
	if out, err := runProcess(ctx, command{path: script}); len(out) > 0 || err != context.Canceled {
		t.Errorf("got %q, error %v, want nothing, %v", out, err, context.Canceled)
	}
	if cache, err := os.ReadFile(tool.path + ".cache"); string(cache) != "whole" {
		t.Errorf("its cache has %q, error %v, want it whole", cache, err)
	}
}

// stopped waits until a process is.
func stopped(t *testing.T, pid string) {
	for began := time.Now(); time.Since(began) < processPatience; <-time.After(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat") // pid (name) state …
		if err != nil {
			t.Log("whether it has stopped can't be seen here: ", err)
			return
		}
		if strings.Contains(string(stat), ") T ") {
			return
		}
	}
	t.Error("it doesn't stop")
}

// TestProcessHasNoTerminal: at one it could ask something, and as a background process be stopped
// by the answer.
func TestProcessHasNoTerminal(t *testing.T) {
	t.Parallel()
	realDevelopers(t, toolScript{Stdout: "GRANT"}, func(t *testing.T, d developer, tool *realTool, cred azcore.TokenCredential) {
		mustToken(t, cred)
		if runs := tool.runs(t); len(runs) != 1 || runs[0].Terminal {
			t.Errorf("runs are %+v, want one in a session of its own", runs)
		}
	})
}

// TestProcessKeepsItsLogin: what decided whose login a credential has goes on deciding it, whatever
// the program sets later. It is not parallel, because variables are the process's.
func TestProcessKeepsItsLogin(t *testing.T) {
	script := toolScript{Stdout: string(azSays("t", time.Hour))}
	first, second := newRealTool(t, "az", script), newRealTool(t, "az", script)
	variables := []string{"HOME", "AZURE_CONFIG_DIR", "AZURE_SUBSCRIPTION_ID"}
	set := func(value string, tool *realTool) {
		t.Setenv("PATH", filepath.Dir(tool.path))
		for _, name := range variables {
			t.Setenv(name, value)
		}
	}
	set(t.TempDir(), first)
	home := os.Getenv("HOME")
	cred, err := NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	set("/elsewhere", second)
	mustToken(t, cred)
	runs := first.runs(t)
	if len(runs) != 1 || len(second.runs(t)) != 0 {
		t.Fatalf("%d runs of the az that it found, and %d of another, want 1 and 0", len(runs),
			len(second.runs(t)))
	}
	for _, name := range variables {
		if got := runs[0].Environment[name]; got != home {
			t.Errorf("%s was %s, want that of the constructor's time, %s", name, got, home)
		}
	}
	t.Run("none", func(t *testing.T) {
		set("", first)
		cred, err := NewAzureCLICredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		set("/elsewhere", second)
		mustToken(t, cred)
		runs := first.runs(t)
		for _, name := range variables {
			if value, ok := runs[len(runs)-1].Environment[name]; ok {
				t.Errorf("%s was set, to %q", name, value)
			}
		}
	})
	t.Run("the program is gone", func(t *testing.T) { // for a moment, as in an update: no reason to ask azd
		set("/third", first)
		cred, err := NewAzureCLICredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(first.path); err != nil {
			t.Fatal(err)
		}
		e, _ := mustFail(t, cred)
		if wantErrorText(t, e, "can't run az: "); errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v, want a failure", e)
		}
	})
}

// TestProcessAtItsLimit: the context's own end is the error, so that the credential can tell it from others.
func TestProcessAtItsLimit(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	tool := newRealTool(t, "az", toolScript{Gate: gate.address()})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := runProcess(ctx, command{path: tool.path}); err != context.DeadlineExceeded {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	if took := time.Since(start); took > processPatience {
		t.Errorf("took %v", took)
	}
}

// TestProcessesOneAtATime also with real ones: each notes whether another was under way.
func TestProcessesOneAtATime(t *testing.T) {
	t.Parallel()
	realDevelopers(t, toolScript{Stdout: "GRANT", Slow: "100ms"}, func(t *testing.T, d developer, tool *realTool, cred azcore.TokenCredential) {
		var wg sync.WaitGroup
		for _, scope := range scopesOf(5) {
			wg.Go(func() {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		runs := tool.runs(t)
		if len(runs) != 5 {
			t.Errorf("%d runs, want 5", len(runs))
		}
		for i, run := range runs {
			if run.Overlap {
				t.Errorf("run %d was not alone", i+1)
			}
		}
	})
}

// TestProcessesOnPATH is not parallel, because PATH and the working directory are the process's.
func TestProcessesOnPATH(t *testing.T) {
	public := map[string]func() (azcore.TokenCredential, error){
		"az":  func() (azcore.TokenCredential, error) { return NewAzureCLICredential(nil) },
		"azd": func() (azcore.TokenCredential, error) { return NewAzureDeveloperCLICredential(nil) },
	}
	for _, d := range developers {
		made := func(t *testing.T) azcore.TokenCredential {
			t.Helper()
			cred, err := public[d.program]()
			if err != nil {
				t.Fatal(err)
			}
			return cred
		}
		t.Run(d.name, func(t *testing.T) {
			tool := newRealTool(t, d.program, toolScript{Stdout: string(d.says("t", time.Hour))})
			unreadable := t.TempDir()
			if err := os.WriteFile(filepath.Join(unreadable, d.program), []byte("not executable"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", strings.Join([]string{unreadable, filepath.Join(unreadable, "missing"), filepath.Dir(tool.path)}, ":"))
			t.Setenv("AZURE_CONFIG_DIR", "/somewhere")
			if tk, _ := mustToken(t, made(t)); tk.Token != "t" {
				t.Errorf("got the token %s", tk.Token)
			}
			mustToken(t, made(t)) // another credential of the same login
			runs := tool.runs(t)
			if len(runs) != 1 || runs[0].Environment["AZURE_CONFIG_DIR"] != "/somewhere" || runs[0].Stdin != 0 {
				t.Errorf("runs are %+v, want one, with this process's variables and no input", runs)
			}
			t.Setenv("AZURE_CONFIG_DIR", "/elsewhere")
			if mustToken(t, made(t)); len(tool.runs(t)) != 2 {
				t.Errorf("another login had the first one's token")
			}
		})
		for name, path := range map[string]func(dir string) string{
			"nowhere":                      func(string) string { return "/nonexistent" },
			"no PATH":                      func(string) string { return "" },
			"in the current directory":     func(string) string { return "." },
			"in an empty element":          func(string) string { return ":/nonexistent" },
			"below the current directory":  func(dir string) string { return "./" + filepath.Base(dir) },
			"beside the current directory": func(dir string) string { return "../" + filepath.Base(dir) },
		} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				tool := newRealTool(t, d.program, toolScript{Stdout: string(d.says(canary, time.Hour))})
				dir := filepath.Dir(tool.path)
				t.Chdir(dir)
				if strings.HasPrefix(name, "below") {
					t.Chdir(filepath.Dir(dir))
				}
				t.Setenv("PATH", path(dir))
				t.Setenv("AZURE_CONFIG_DIR", t.Name()) // no token of another test's
				e, _ := mustFail(t, made(t))
				wantErrorText(t, e, d.program+" is not installed, or not on PATH")
				if !errors.Is(e, ErrUnavailable) || !e.transient {
					t.Errorf("got %v, want a passing ErrUnavailable", e)
				}
				if n := len(tool.runs(t)); n != 0 {
					t.Errorf("the one in the current directory ran %d times", n)
				}
			})
		}
	}
}

// TestProcessThatCannotStart: a script whose interpreter is missing is none that isn't installed.
func TestProcessThatCannotStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "az")
	if err := os.WriteFile(path, []byte("#!/nonexistent/python\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	e, _ := mustFail(t, developers[0].credentialIn(t, newRealm(), (&realTool{path}).env(), ""))
	if wantErrorText(t, e, "can't run az: "); errors.Is(e, ErrUnavailable) {
		t.Errorf("got %v", e)
	}
	if _, err := runProcess(t.Context(), command{path: path}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}
