package identity

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// processCommand runs the program in the shell, in the system's directory: the shell looks for programs in its working directory
// first.
func processCommand(ctx context.Context, _, program string, arguments []string) (*exec.Cmd, error) {
	root := os.Getenv("SYSTEMROOT")
	if root == "" {
		return nil, errors.New("the variable SYSTEMROOT is empty")
	}
	line, err := windowsCommandLine(program, arguments)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "System32", "cmd.exe"))
	cmd.Dir = root
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line, HideWindow: true}
	return cmd, nil
}
