package identityredis

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// logged is what go-redis writes to its log, in all tests.
var logged recorder

type recorder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Printf(_ context.Context, format string, v ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, format+"\n", v...)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// aToken is how every token of identitytest begins.
const aToken = "eyJ0eXAiOiJKV1QiLCJ"

// TestMain looks for a token in go-redis's log, after all tests. More of them run at once than
// there are processors, as several wait a second or two for a renewal.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	redis.SetLogger(&logged)
	code := m.Run()
	if strings.Contains(logged.String(), aToken) {
		fmt.Println("FAIL: a token is in go-redis's log")
		code = 1
	}
	os.Exit(code)
}
