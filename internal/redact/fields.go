package redact

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
)

// userInfo finds the name and the password in a URL.
var userInfo = lazy.Regexp{Expr: `://([^\s/?#"'<>@]+)@`}

// privateKey finds one in PEM, with its first line, also one cut in the middle.
var privateKey = lazy.Regexp{Expr: `-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]+` +
	`(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?`}

// hideFields replaces what a field for a token or another secret holds, and whatever looks like a
// token, under any layers of escapes. Where it can't be told that something is no value it is
// hidden.
func hideFields(text string) string {
	for range 3 {
		shown := hideFieldsOnce(text)
		if shown == text {
			return text
		}
		text = shown
	}
	return Mark // it changes each time that it is read, which nothing innocent does
}

// effort bounds how often the bytes of a text are looked at for where values end. One value in the
// other, as in JSON, is looked at twice; a text with a hundred that don't end is written to keep us
// busy.
const effort = 16

func hideFieldsOnce(text string) string {
	r, settled := unescapeAll(text)
	var hidden []span // in what r reads
	r.effort = effort * len(text)
	for from, to := r.nextName(0); from < to; from, to = r.nextName(to) {
		name := bareField(r.text[from:to])
		value, ok := span{}, false
		switch {
		case name == "bearer":
			value, ok = r.bearer(to)
		case name == "sig" || endsIn(name, secretNames):
			value, ok = r.value(name, from, to)
		}
		switch {
		case r.effort < 0, ok && !settled: // more than anybody writes
			return Mark
		case ok:
			hidden = append(hidden, value)
		}
	}
	if bytes.IndexByte(r.text, '@') >= 0 {
		for _, m := range userInfo.Get().FindAllSubmatchIndex(r.text, -1) {
			hidden = append(hidden, span{m[2], m[3]})
		}
	}
	for _, looks := range []*lazy.Regexp{&jwtLike, &privateKey} {
		for _, m := range looks.Get().FindAllIndex(r.text, -1) {
			hidden = append(hidden, span{m[0], m[1]})
		}
	}
	if len(hidden) == 0 {
		return text
	}
	for i, h := range hidden { // in the text itself
		hidden[i] = span{r.from(h.from), r.to(h.to - 1)}
	}
	slices.SortFunc(hidden, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	var b strings.Builder
	end := 0
	for i := 0; i < len(hidden); {
		h := hidden[i]
		for i++; i < len(hidden) && hidden[i].from < h.to; i++ {
			h.to = max(h.to, hidden[i].to)
		}
		b.WriteString(text[end:h.from])
		b.WriteString(Mark)
		end = h.to
	}
	b.WriteString(text[end:])
	return b.String()
}
