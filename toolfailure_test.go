package identity

import (
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/complaint"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/tokencache"
)

// TestToolsReasonIsRedacted: what is taken out of a reason for people may leave the name of a
// secret beside its value.
func TestToolsReasonIsRedacted(t *testing.T) {
	t.Parallel()
	s := &toolSource{tool: azureCLI}
	f := s.failure(tokencache.Request{}, time.Now())
	s.explain(f, tokencache.Request{}, &command.ExitError{Code: 1},
		complaint.Complaint{Reason: "access_token = QJX7VBK2"}, 0)
	if want := "access_token = " + redact.Mark; f.Message != want {
		t.Errorf("the message is %q, want %q", f.Message, want)
	}
}
