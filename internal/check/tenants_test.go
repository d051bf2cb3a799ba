package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsGUID(t *testing.T) {
	t.Parallel()
	const homeTenant = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	got := map[string]bool{}
	want := map[string]bool{homeTenant: true, strings.ToUpper(homeTenant): true, "": false,
		"contoso.example": false, homeTenant[1:]: false, homeTenant + "0": false, "g" +
			homeTenant[1:]: false, strings.Repeat("a", 36): false}
	for s := range want {
		got[s] = IsGUID(s)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
