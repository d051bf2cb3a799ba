package redact

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hardTexts are those that take the longest to look into, per byte.
var hardTexts = map[string]string{
	"escapes of JSON": `\u0041`, "backslashes": `\`, "escapes of URLs": "%41",
	"escapes in escapes": "%2541", "escapes of HTML": "&lt;", "ampersands": "&", "plus signs": "+",
	"all escapes": `\u0041 %41 &lt; \" + plain `, "a word": "a", "fields": "token=",
	"fields with brackets": "token=(", "fields with quotes": "token='",
	"fields that were hidden": "token=REDACTED(",
	"names in a row":          "token-", "names in quotes": "'token','", "words for tokens": "bearer+",
	"heads of JWTs": "eyJhbGciOiJ", "heads of URLs": "://a", "a secret's head": "0123456789a",
}

// TestRedactIsLinear: 64 times the text takes about 64 times as long, and a text beyond what is
// looked into not much longer, whoever writes the text, the secrets and both. A square would be
// 4096 times as long.
func TestRedactIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	const most = 1000
	fastest := func(do func()) time.Duration {
		best := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			do()
			best = min(best, time.Since(start))
		}
		return best
	}
	for name, piece := range hardTexts {
		of := func(n int) string { return strings.Repeat(piece, n/len(piece)+1)[:n] }
		small, large, huge := of(MaxText/64), of(MaxText), of(1<<20)
		tokenOf := func(n int) string { return strings.Repeat("0123456789b", n/11+1)[:n] }
		base := fastest(func() { Text(small, tokenOf(MaxText/64)) })
		if got := fastest(func() { Text(large, tokenOf(MaxText)) }); got > most*base {
			t.Errorf("%s: 64 times as much takes %d times as long", name, got/base)
		}
		if got := fastest(func() { Text(huge, tokenOf(MaxText)) }); got > most*base {
			t.Errorf("%s: a megabyte takes %d times as long as 1 KiB", name, got/base)
		}
	}
	var few, many []string // secrets, as an endpoint's query may have
	for i := range 8000 {
		if many = append(many, fmt.Sprintf("secret%05d", i)); i < 125 {
			few = append(few, many[i])
		}
	}
	text := strings.Repeat("%41 no secret ", MaxText/14)
	base := fastest(func() { Text(text, few...) })
	if got := fastest(func() { Text(text, many...) }); got > most*base {
		t.Errorf("64 times as many secrets take %d times as long", got/base)
	}
	values := func(n int) http.Header {
		h := http.Header{}
		for range n {
			h.Add("X", "no secret")
		}
		return h
	}
	long := []string{strings.Repeat("0123456789", 10_000)}
	base = fastest(func() { Header(values(25), long) })
	if got := fastest(func() { Header(values(1600), long) }); got > most*base {
		t.Errorf("64 times as many values of headers take %d times as long", got/base)
	}
}

// BenchmarkRedact is of a megabyte, of which 64 KiB are looked into, with a secret of a kilobyte.
func BenchmarkRedact(b *testing.B) {
	secret := secretText(rand.New(rand.NewPCG(5, 6)), tokenAlphabet, 1000)
	for name, piece := range hardTexts {
		text := strings.Repeat(piece, 1<<20/len(piece))
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				Text(text, secret)
			}
		})
	}
}
