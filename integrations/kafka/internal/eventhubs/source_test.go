package eventhubs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// recorder is a credential that keeps what it was asked.
type recorder struct{ asked policy.TokenRequestOptions }

func (r *recorder) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	r.asked = o
	return azcore.AccessToken{Token: "opaque", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// It asks as Ready and Azure SDK clients do, or an outage would find no token that they have held.
func TestAsksAsReadyDoes(t *testing.T) {
	t.Parallel()
	var r recorder
	s, err := NewSource("p", &r, "", []string{"a.servicebus.windows.net:9093"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context(), "a.servicebus.windows.net:9093"); err != nil {
		t.Fatal(err)
	}
	if len(r.asked.Scopes) != 1 || r.asked.Scopes[0] != s.Scope || !r.asked.EnableCAE {
		t.Errorf("asked for %+v, want %s with EnableCAE", r.asked, s.Scope)
	}
	if got := s.owner(); got != "" {
		t.Errorf("an opaque token is of %q", got)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"as they are", `{"status":"invalid_token"}`, `{"status":"invalid_token"}`},
		{"one line", " a\r\n\tb\x00c\n", "a b c"},
		{"a token", "bad eyJhbGciOiJ9.eyJh-dWQ_.c2ln!", "bad TOKEN!"},
		{"a token without signature", `"eyJhbGciOiJ9.eyJhdWQ."`, `"TOKEN"`},
		{"no UTF-8", "a\xffb", "a?b"},
		{"long", strings.Repeat("x", 501), strings.Repeat("x", 500) + "…"},
	} {
		if got := Words(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
