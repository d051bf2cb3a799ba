package devtool

import (
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

// TestToolsReasonIsRedacted: what is taken out of a reason for people may leave the name of a
// secret beside its value.
func TestToolsReasonIsRedacted(t *testing.T) {
	t.Parallel()
	c := &Client{Tool: AzureCLI}
	f := c.failure(acquire.Request{}, time.Now())
	c.explain(f, acquire.Request{}, &command.ExitError{Code: 1},
		complaint{reason: "access_token = QJX7VBK2"}, 0)
	if want := "access_token = " + redact.Mark; f.Message != want {
		t.Errorf("the message is %q, want %q", f.Message, want)
	}
}
