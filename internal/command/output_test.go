package command

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCapped(t *testing.T) {
	t.Parallel()
	b := &capped{limit: 10}
	// as os/exec does
	if n, err := io.Copy(b, struct{ io.Reader }{strings.NewReader("12341")}); n != 5 || err != nil {
		t.Errorf("copied %d, %v, want 5", n, err)
	}
	for _, text := range []string{"23", "4", "1212", "", "1234"} {
		if n, err := b.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write returned %d, %v, want all: a program whose output isn't taken ends early",
				n, err)
		}
	}
	if got := string(b.kept); got != "1234123412" {
		t.Errorf("kept %q, want the first 10 bytes", got)
	}
}

func TestBothCapped(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		limit, length := 1+random.IntN(20), random.IntN(100)
		whole := make([]byte, length)
		for i := range whole {
			whole[i] = "abcdefgh\n"[random.IntN(9)]
		}
		b := &bothCapped{limit: limit}
		for rest := whole; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			if got, err := b.Write(rest[:n]); got != n || err != nil {
				t.Fatalf("Write of %d bytes returned %d, %v: a program whose output isn't taken ends early",
					n, got, err)
			}
			rest = rest[n:]
		}
		want := string(whole)
		if length > 2*limit {
			_, lines, _ := strings.Cut(string(whole[length-limit:]), "\n")
			want = string(whole[:limit]) + "\n…\n" + lines
		}
		if got := b.String(); got != want {
			t.Fatalf("of %q with %d at each end: got %q, want %q", whole, limit, got, want)
		}
		if kept := cap(b.first) + cap(b.last); kept > 16*limit+64 {
			t.Fatalf("of %d bytes %d are held, with %d at each end", length, kept, limit)
		}
	}
}
