//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// processCommand runs the program itself, without a shell, in a session of its own. It is ended
// with all that it starts: az's script would leave Python behind. And it has no terminal, at which
// it could ask something and wait for the answer.
func processCommand(path string, c Command) (*exec.Cmd, error) {
	cmd := exec.Command(path, c.Arguments...)
	cmd.Env, cmd.Dir = c.environment(), "/bin"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// askToEnd tells a process and all of its group to end. One that has been stopped hears of it when
// it goes on.
func askToEnd(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT)
}

// groupLives reports whether anything is left of a process and its group.
func groupLives(cmd *exec.Cmd) bool { return syscall.Kill(-cmd.Process.Pid, 0) == nil }

// kill ends what is left of a process and its group. The system gives the group's number to nobody
// else as long as one of them is left, and after that not before it has given out all others.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
