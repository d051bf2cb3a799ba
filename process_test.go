package identity

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWindowsCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		program   string
		arguments []string
		want      string
	}{
		{"no arguments", "az", nil, `cmd.exe /d /s /c "az"`},
		{"az", "az", []string{"account", "get-access-token", "-o", "json", "--resource", "https://vault.azure.net"},
			`cmd.exe /d /s /c "az account get-access-token -o json --resource https://vault.azure.net"`},
		{"a subscription with blanks", "az", []string{"--subscription", "My  Sub 2.0"}, `cmd.exe /d /s /c "az --subscription "My  Sub 2.0""`},
		{"two with blanks", "az", []string{"a b", "c d"}, `cmd.exe /d /s /c "az "a b" "c d""`},
		{"claims", "azd", []string{"--claims", "eyJ9+/a=="}, `cmd.exe /d /s /c "azd --claims eyJ9+/a=="`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := windowsCommandLine(tt.program, tt.arguments)
			if err != nil || got != tt.want {
				t.Errorf("got %s, error %v\nwant %s", got, err, tt.want)
			}
		})
	}
	for _, word := range []string{"", `a"b`, `"`, "%PATH%", "a&b", "a|b", "a^b", "a<b", "a>b", "a!b", "a(b", "a)b", "a\nb", "a\rb", "a\tb", "a\x00b", "a'b", "a`b", "a;b", "a,b", "a*b", "a?b", `a\b`, "a@b", "a~b", "a#b", "a$b", "a{b", "a[b", "ä", "a\u00a0b", "a\xffb"} {
		if got, err := windowsCommandLine("az", []string{"x", word, "y"}); err == nil {
			t.Errorf("argument %q became %s", word, got)
		}
		if got, err := windowsCommandLine(word, nil); err == nil {
			t.Errorf("program %q became %s", word, got)
		}
	}
}

// TestWindowsCommandLineIsReadAsItWasMeant: of random words, what is accepted comes out of the line again, word by word.
func TestWindowsCommandLineIsReadAsItWasMeant(t *testing.T) {
	t.Parallel()
	const seldom, often = "\"%&|^<>!()\n\r\t\\'`;,*?@$#~{}[]\x00ä\u2028", "abcXYZ0189._:/-+= "
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-+= "
	random := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 20_000 {
		var words []string
		bad := false
		for range 1 + random.IntN(4) {
			var b strings.Builder
			for range random.IntN(6) {
				set := []rune(often)
				if random.IntN(20) == 0 {
					set = []rune(seldom)
				}
				b.WriteRune(set[random.IntN(len(set))])
			}
			words = append(words, b.String())
			bad = bad || b.Len() == 0 || strings.Trim(b.String(), plain) != "" || strings.ContainsAny(b.String(), seldom)
		}
		line, err := windowsCommandLine(words[0], words[1:])
		if (err != nil) != bad {
			t.Fatalf("%q: error %v, want one: %v", words, err, bad)
		}
		if err != nil {
			if line != "" {
				t.Fatalf("%q: an error, and %s", words, line)
			}
			continue
		}
		accepted++
		inner, ok := strings.CutPrefix(line, `cmd.exe /d /s /c "`)
		inner, ok2 := strings.CutSuffix(inner, `"`)
		if !ok || !ok2 {
			t.Fatalf("%q became %s", words, line)
		}
		var got []string
		for rest := inner; rest != ""; {
			var word string
			if quoted, ok := strings.CutPrefix(rest, `"`); ok {
				word, rest, ok = strings.Cut(quoted, `"`)
				if !ok || !strings.Contains(word, " ") {
					t.Fatalf("%q: quotes are wrong in %s", words, line)
				}
				rest = strings.TrimPrefix(rest, " ")
			} else {
				word, rest, _ = strings.Cut(rest, " ")
			}
			got = append(got, word)
		}
		if strings.Join(got, "\n") != strings.Join(words, "\n") {
			t.Fatalf("%q became %s, which is %q", words, line, got)
		}
	}
	if accepted < 2000 {
		t.Errorf("only %d of 20,000 were accepted: the test tests nothing", accepted)
	}
}

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
