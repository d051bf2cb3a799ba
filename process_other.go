//go:build !unix && !windows

package identity

import (
	"context"
	"os/exec"
)

// processCommand runs the program itself. Systems without processes refuse it.
func processCommand(ctx context.Context, path, _ string, arguments []string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, path, arguments...), nil
}
