package command

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWindowsCommandLine(t *testing.T) {
	t.Parallel()
	for want, words := range map[string][]string{
		`cmd.exe /d /s /c "az"`: {"az"},
		`cmd.exe /d /s /c "az account -o json --resource https://vault.azure.net"`: {
			"az", "account", "-o", "json", "--resource", "https://vault.azure.net"},
		`cmd.exe /d /s /c "az --subscription "My  Sub 2.0""`: {"az", "--subscription", "My  Sub 2.0"},
		`cmd.exe /d /s /c "az "a b" "c d""`:                  {"az", "a b", "c d"},
		`cmd.exe /d /s /c "azd --claims eyJ9+/a=="`:          {"azd", "--claims", "eyJ9+/a=="},
	} {
		if got, err := windowsCommandLine(words[0], words[1:]); err != nil || got != want {
			t.Errorf("%q: got %s, error %v\nwant %s", words, got, err, want)
		}
	}
	for _, word := range []string{"", `a"b`, `"`, "%PATH%", "a&b", "a|b", "a^b", "a<b", "a>b", "a!b",
		"a(b", "a)b", "a\nb", "a\rb", "a\tb", "a\x00b", "a'b", "a`b", "a;b", "a,b", "a*b", "a?b", `a\b`,
		"a@b", "a~b", "a#b", "a$b", "a{b", "a[b", "ä", "a\u00a0b", "a\xffb"} {
		if got, err := windowsCommandLine("az", []string{"x", word, "y"}); err == nil {
			t.Errorf("argument %q became %s", word, got)
		}
		if got, err := windowsCommandLine(word, nil); err == nil {
			t.Errorf("program %q became %s", word, got)
		}
	}
}

// TestWindowsCommandLineIsReadAsItWasMeant: of random words, those that are accepted come out of
// the line again, word by word.
func TestWindowsCommandLineIsReadAsItWasMeant(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 20_000 {
		var words []string
		bad := false
		for range 1 + random.IntN(4) {
			word, plain := randomWord(random)
			words, bad = append(words, word), bad || !plain
		}
		line, err := windowsCommandLine(words[0], words[1:])
		if (err != nil) != bad || err != nil && line != "" {
			t.Fatalf("%q: got %q, error %v, want an error: %v", words, line, err, bad)
		}
		if err != nil {
			continue
		}
		accepted++
		if got := wordsOf(line); strings.Join(got, "\n") != strings.Join(words, "\n") {
			t.Fatalf("%q became %s, which is %q", words, line, got)
		}
	}
	if accepted < 2000 {
		t.Errorf("only %d of 20,000 were accepted: the test tests nothing", accepted)
	}
}

// randomWord is one of up to 5 characters. It is plain if a shell takes all of them as they are.
func randomWord(random *rand.Rand) (word string, plain bool) {
	seldom, often := []rune("\"%&|^<>!()\n\r\t\\'`;,*?@$#~{}[]\x00ä\u2028"),
		[]rune("abcXYZ0189._:/-+= ")
	var b strings.Builder
	plain = true
	for range random.IntN(6) {
		set := often
		if random.IntN(20) == 0 {
			set, plain = seldom, false
		}
		b.WriteRune(set[random.IntN(len(set))])
	}
	return b.String(), plain && b.Len() > 0
}

// wordsOf reads a command line as Windows' shell and the program do.
func wordsOf(line string) (words []string) {
	rest, begins := strings.CutPrefix(line, `cmd.exe /d /s /c "`)
	rest, ends := strings.CutSuffix(rest, `"`)
	if !begins || !ends {
		return []string{"no line for the shell"}
	}
	for rest != "" {
		var word string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			if word, rest, ok = strings.Cut(quoted, `"`); !ok || !strings.Contains(word, " ") {
				return []string{"quotes are wrong"}
			}
			rest = strings.TrimPrefix(rest, " ")
		} else {
			word, rest, _ = strings.Cut(rest, " ")
		}
		words = append(words, word)
	}
	return words
}

func TestNoSuchProgram(t *testing.T) {
	t.Parallel()
	const unknown = "'python' is not recognized as an internal or external command,\r\n" +
		"operable program or batch file."
	for exit, want := range map[ExitError]bool{
		{127, "az: python3: not found"}: true,
		{127, ""}:                       true,
		{127, "python3: error while loading shared libraries: libm.so.6"}: false,
		{127, "Error loading shared library libm.so: No such file"}:       false, // musl's words
		{127, "Error relocating /usr/bin/python3: x: symbol not found"}:   false,
		// Windows
		{9009, unknown}:                                       true,
		{1, unknown + "\r\n" + unknown}:                       true,
		{1, unknown + "\r\nERROR: x"}:                         false,
		{1, "ERROR: 'vault' is not recognized as a resource"}: false,
		{1, "not found"}:                                      false,
	} {
		if got := exit.NoSuchProgram(); got != want {
			t.Errorf("%+v: got %v, want %v", exit, got, want)
		}
	}
}
