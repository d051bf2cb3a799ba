package main

import (
	"testing"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

// TestDocumented: the command lines in the documents do what they say.
func TestDocumented(t *testing.T) {
	commandlinetest.RunDocumented(t, "federated", run, "-untrusted")
}
