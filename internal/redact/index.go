package redact

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// piece is the length from which on what a text and a secret have in common is no accident: servers
// cut the long values that they repeat. A shorter secret is found as a whole.
const piece = 12

// Index finds secrets in texts, and pieces of them, plain and under two layers of escapes. To
// make it takes time in proportion to the secrets, to search a text time in proportion to the text:
// whoever writes both, as a host does that repeats its token, can't make it more.
type Index struct {
	secrets []string // as they are sent: net/http takes off what is around a header's value
	joined  string   // all of them
	ends    []int    // where each ends in joined
	pieces  [piece + 1]pieceSet
}

// pieceSet holds the pieces of one length, by open addressing.
type pieceSet struct {
	at []uint32 // 1 + where a piece begins in joined, 0 for none; the length is a power of two
}

// hashSeed is random, so that nobody can make pieces that collide.
var hashSeed = maphash.MakeSeed()

func NewIndex(secrets []string) *Index {
	x := &Index{}
	known := make(map[string]bool, len(secrets))
	var counts [piece + 1]int
	for _, secret := range secrets {
		if secret = strings.TrimSpace(secret); secret == "" || known[secret] {
			continue
		}
		known[secret] = true
		x.secrets = append(x.secrets, secret)
		counts[min(len(secret), piece)] += max(len(secret)-piece, 0) + 1
	}
	x.joined = strings.Join(x.secrets, "")
	for n, count := range counts {
		if count > 0 {
			x.pieces[n].at = make([]uint32, 1<<bits.Len(uint(2*count)))
		}
	}
	begin := 0
	for _, secret := range x.secrets {
		n := min(len(secret), piece)
		for i := 0; i+n <= len(secret); i++ {
			if at, there := x.slot(n, secret[i:i+n]); !there {
				*at = uint32(begin+i) + 1
			}
		}
		begin += len(secret)
		x.ends = append(x.ends, begin)
	}
	return x
}

// slot is where a piece of length n is in its set, or would be.
func (x *Index) slot(n int, text string) (at *uint32, there bool) {
	set := x.pieces[n].at
	for i := maphash.String(hashSeed, text); ; i++ {
		at := &set[i&uint64(len(set)-1)]
		if *at == 0 {
			return at, false
		}
		if begin := int(*at) - 1; x.joined[begin:begin+n] == text {
			return at, true
		}
	}
}

// search finds which secrets a text has in it, whole or a piece, plain or under two layers of
// escapes: at most limit of them.
func (x *Index) search(text string, limit int) (found []int) {
	if len(x.secrets) == 0 {
		return nil
	}
	readings(text, 2, func(text string) bool {
		for n := range x.pieces {
			if x.pieces[n].at == nil {
				continue
			}
			for i := 0; i+n <= len(text); i++ {
				at, there := x.slot(n, text[i:i+n])
				if !there {
					continue
				}
				// The first that ends behind it.
				secret, _ := slices.BinarySearch(x.ends, int(*at))
				if !slices.Contains(found, secret) {
					if found = append(found, secret); len(found) == min(limit, len(x.secrets)) {
						return false
					}
				}
			}
		}
		return true
	})
	return found
}

// readings calls do with a text as it is and as it reads without one and more layers of escapes,
// each by itself, until do is false.
func readings(text string, layers int, do func(string) bool) bool {
	if !do(text) {
		return false
	}
	if layers == 0 {
		return true
	}
	seen := []string{text}
	for _, unescape := range unescapes {
		if plain := unescape(text); !slices.Contains(seen, plain) {
			if !readings(plain, layers-1, do) {
				return false
			}
			seen = append(seen, plain)
		}
	}
	return true
}
