package command

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// processCommand runs the program in the shell, in the system's directory: the shell looks for
// programs in its working directory first.
func processCommand(_ string, c Command) (*exec.Cmd, error) {
	root := os.Getenv("SYSTEMROOT")
	if root == "" {
		return nil, errors.New("the variable SYSTEMROOT is empty")
	}
	line, err := windowsCommandLine(c.Program, c.Arguments)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(root, "System32", "cmd.exe"))
	cmd.Env, cmd.Dir = c.environment(), root
	if c.Path != "" { // by a name alone the shell finds what is first on PATH
		cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(c.Path)+";"+os.Getenv("PATH"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line, HideWindow: true}
	return cmd, nil
}

// askToEnd ends the shell, and not what it runs: Windows has no signal for a program without a
// window or a console. az goes on, writes its cache, and finds nobody who reads its output.
func askToEnd(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func groupLives(*exec.Cmd) bool { return false }

func kill(*exec.Cmd) {}
