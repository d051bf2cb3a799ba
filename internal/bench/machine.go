package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine is what figures depend on. It names no host and no path.
type machine struct {
	when     time.Time
	cpu      string
	cores    int
	system   string
	goes     string   // Go's version
	versions []string // of the peers, as they were linked
}

// shownModules are those whose versions the report names.
var shownModules = []string{
	"github.com/Azure/azure-sdk-for-go/sdk/azcore",
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity",
	"github.com/AzureAD/microsoft-authentication-library-for-go",
	"github.com/aws/aws-sdk-go-v2",
	"cloud.google.com/go/auth",
	"golang.org/x/oauth2",
}

func thisMachine() machine {
	m := machine{when: time.Now().UTC(), cpu: cpuName(), cores: runtime.GOMAXPROCS(0),
		system: runtime.GOOS + "/" + runtime.GOARCH, goes: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, path := range shownModules {
		for _, dep := range info.Deps {
			if dep.Path == path {
				m.versions = append(m.versions, path+" "+dep.Version)
			}
		}
	}
	return m
}

// cpuName is what Linux calls the processor; elsewhere the architecture has to do.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok &&
			strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s", m.cpu, m.cores, m.system, m.goes)
}
