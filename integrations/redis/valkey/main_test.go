package identityvalkey

import (
	"flag"
	"os"
	"testing"
)

// TestMain has more tests run at once than there are processors: they wait a second or two each.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}
