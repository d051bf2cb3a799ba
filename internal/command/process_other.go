//go:build !unix && !windows

package command

import (
	"os/exec"
)

// processCommand runs the program itself. Systems without processes refuse it.
func processCommand(path string, c Command) (*exec.Cmd, error) {
	cmd := exec.Command(path, c.Arguments...)
	cmd.Env = c.environment()
	return cmd, nil
}

func askToEnd(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func groupLives(*exec.Cmd) bool { return false }

func kill(*exec.Cmd) {}
