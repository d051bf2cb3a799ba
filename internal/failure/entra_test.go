package failure

import "testing"

// TestEntraNumbers counts them by their verdicts. What each of them leads to, on each host that
// passes one on, TestHostEntraNumbers in the root says: a number that is new here wants a row
// there.
func TestEntraNumbers(t *testing.T) {
	t.Parallel()
	got := map[Verdict]int{}
	for _, meaning := range entraNumbers {
		got[meaning.Verdict]++
	}
	for verdict, want := range map[Verdict]int{Again: 21, Later: 2, Never: 19} {
		if got[verdict] != want {
			t.Errorf("%d numbers have the verdict %d, want %d", got[verdict], verdict, want)
		}
	}
}
