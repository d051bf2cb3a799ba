//go:build unix

package identity

import (
	"context"
	"os/exec"
	"syscall"
)

// processCommand runs the program itself, without a shell, in a process group that is killed as a whole: az's script would
// leave Python behind.
func processCommand(ctx context.Context, path, _ string, arguments []string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Dir = "/bin"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd, nil
}
