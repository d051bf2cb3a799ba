package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// measureBinary is what a program of one call to GetToken is made of, and what it does before main.
func measureBinary(ctx context.Context, _ bool, say func(string)) (section, error) {
	module, err := moduleDir()
	if err != nil {
		return section{}, err
	}
	out, err := os.MkdirTemp("", "bench")
	if err != nil {
		return section{}, err
	}
	defer func() { _ = os.RemoveAll(out) }()
	t := table{head: []string{"what", "bytes", "beyond azcore",
		"modules linked, Go's own not counted"}}
	url, stop, err := (&fake{}).listen()
	if err != nil {
		return section{}, err
	}
	defer stop()
	setAppService(url)
	bytes, started := map[string]float64{}, map[string][]initialised{}
	names := []string{"azcore", ours, azIdentity}
	for _, name := range names {
		say("building " + name)
		binary := filepath.Join(out, name)
		if _, err := goTool(ctx, module, "build", "-trimpath", "-ldflags=-s", "-o", binary,
			"./oneshot/"+name); err != nil {
			return section{}, err
		}
		info, err := os.Stat(binary)
		if err != nil {
			return section{}, err
		}
		text, err := goTool(ctx, module, "version", "-m", binary)
		if err != nil {
			return section{}, err
		}
		bytes[name] = float64(info.Size())
		t.rows = append(t.rows, []string{name, size(bytes[name]), size(bytes[name] - bytes["azcore"]),
			figure(float64(strings.Count(text, "\tdep\t")))})
		if started[name], err = starts(ctx, binary); err != nil {
			return section{}, err
		}
	}
	return section{
		title: "Binary and start",
		text: []string{"A program that asks for one token and prints when it ends, and for azcore " +
			"one that sends one request, as every Azure SDK client does: `go build -trimpath " +
			"-ldflags=-s`. Ours is larger than azidentity's: it brings all its hosts and the developers' " +
			"tools (os/exec), log/slog, and with go-cache encoding/gob; of azidentity the linker leaves " +
			"out all but the managed identity."},
		tables: []table{t, startTable(names, started)},
		verdicts: append(startVerdicts(started[ours]),
			verdict{what: "bytes of a program of one call ÷ azidentity's", got: bytes[ours] / bytes[azIdentity],
				bound: 1, unit: "x", why: "it is to be no reason against a change from azidentity"}),
	}, nil
}

func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}
