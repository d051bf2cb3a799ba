package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// recordOf runs the program with -record, and returns the record with what is encoded in it.
func recordOf(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "record.json")
	var stdout, stderr strings.Builder
	run(t.Context(), append(args, "-record", file), &stdout, &stderr)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	all := string(text)
	for _, piece := range encodedText.FindAllString(all, -1) {
		if decoded, err := base64.RawURLEncoding.DecodeString(piece); err == nil {
			all += "\n" + string(decoded)
		}
	}
	return all
}

var encodedText = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// wantNotRecorded looks for pieces of secrets, and for other values. What stays of a token are its
// claims' names, so that those of its parts are looked for that are its own.
func wantNotRecorded(t *testing.T, text string, values []string) {
	t.Helper()
	for _, value := range values {
		parts := []string{value}
		if token := strings.Split(value, "."); len(token) == 3 {
			parts = token[1:]
		}
		for _, part := range parts {
			if strings.Contains(text, part) {
				t.Errorf("%s is recorded:\n%s", part, text)
			} else if len(parts) == 1 && len(part) >= piece && part[0] != '/' {
				wantNoPiece(t, text, part)
			}
		}
	}
}

// identifiers are those of the stand-ins' identities, and of what they are in.
func identifiers(endpoint *identitytest.Endpoint) []string {
	list := []string{"915c9d5a-3e4b-4551-9483-d7ba490b90b5", "rg-test", "vm-test", "app-test",
		"azure-identity-token"}
	for _, id := range endpoint.Identities() {
		for _, value := range []string{id.ClientID, id.ObjectID, id.TenantID, id.ResourceID} {
			if value != "" {
				list = append(list, value)
			}
		}
	}
	return list
}

// TestNothingRecorded of a secret or an identifier, on any host.
func TestNothingRecorded(t *testing.T) {
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			endpoint := onHost(t, h.Name)
			text := recordOf(t)
			wantNotRecorded(t, text, append(sent(t, endpoint), identifiers(endpoint)...))
		})
	}
}
