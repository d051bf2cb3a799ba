package usercode

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
)

// keys is a context that notes what it is asked for.
type keys struct {
	context.Context
	seen []any
}

func (k *keys) Value(key any) any {
	k.seen = append(k.seen, key)
	return nil
}

// TestForeignKeys: what belongs to the caller's own operation is hidden, from a tracer, too.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	type own struct{}
	k := &keys{Context: t.Context(), seen: []any{tracing.Span{}, policy.RetryOptions{}}}
	_ = httptrace.ContextClientTrace(k)
	_, _ = (&net.Dialer{}).DialContext(k, "unix", "/nonexistent/socket")
	if len(k.seen) < 4 {
		t.Fatalf("net and httptrace have asked for %v only", k.seen)
	}
	for _, key := range k.seen {
		// context's own, by which it finds who ends it
		if strings.HasPrefix(fmt.Sprintf("%T", key), "*int") {
			continue
		}
		if !foreignKey(key) {
			t.Errorf("a value of %T is seen", key)
		}
	}
	ctx := context.WithValue(t.Context(), own{}, "own")
	b := Borrow(ctx)
	if b.Value(own{}) != "own" {
		t.Error("the caller's own value is hidden")
	}
	type later struct{}
	b = Borrow(context.WithValue(ctx, later{}, "later"))
	_ = b.Value(own{})
	b.GiveBack()
	if b.Value(own{}) != "own" || b.Value(later{}) != nil || b.Err() != nil || b.Done() != nil {
		t.Error("a context that was given back has something else than the values that were asked for")
	}
}
