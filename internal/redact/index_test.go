package redact

import (
	"html"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var decodings = []func(string) string{html.UnescapeString, decodeJSON, decodeURL, decodeForm}

// decodeForm reads what a form has in a value.
func decodeForm(s string) string { return decodeURL(strings.ReplaceAll(s, "+", " ")) }

// slowlyReads are all that a text reads as under at most two layers of escapes, each of one kind.
func slowlyReads(text string) []string {
	all := []string{text}
	for range 2 {
		for _, before := range slices.Clone(all) {
			for _, decode := range decodings {
				all = append(all, decode(before))
			}
		}
	}
	return all
}

// slowlyShows reports whether a text has a secret in it, or 12 bytes of it, in any reading: by
// looking for each piece.
func slowlyShows(text, secret string) bool {
	for _, reading := range slowlyReads(text) {
		if strings.Contains(reading, secret) {
			return true
		}
		for i := 0; i+12 <= len(secret); i++ {
			if strings.Contains(reading, secret[i:i+12]) {
				return true
			}
		}
	}
	return false
}

// TestSecretIndex compares with what takes longer, for several secrets at once: the same are found.
func TestSecretIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int, parts ...string) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return b.String()
	}
	const pairs = 2000
	shared := 0
	for range pairs {
		secrets := []string{text(60, "a", "b"), text(60, "a", "b", "+", "<", `\`, "世"),
			text(10, "a", "b", " ")}
		said := text(80, "a", "b", "a", "b", "%61", `\u0062`, "&lt;", "%2561", `\\`, "+", "世", `\u4e16`)
		index := NewIndex(secrets)
		var want []string
		for _, secret := range secrets {
			if secret = strings.TrimSpace(secret); secret != "" && !slices.Contains(want, secret) &&
				slowlyShows(said, secret) {
				want = append(want, secret)
			}
		}
		var got []string
		for _, i := range index.search(said, 100) {
			got = append(got, index.secrets[i])
		}
		// A piece that two secrets have in common is found as one's.
		for _, secret := range got {
			if !slices.Contains(want, secret) {
				t.Fatalf("%q in %q: found %q, want %q", secrets, said, got, want)
			}
		}
		if (len(want) > 0) != (len(got) > 0) {
			t.Fatalf("%q in %q: found %q, want %q", secrets, said, got, want)
		}
		if len(want) > 0 {
			shared++
		}
	}
	if shared < pairs/10 || shared > pairs*9/10 {
		t.Errorf("%d of %d texts have a secret: this test would see little", shared, pairs)
	}
}
