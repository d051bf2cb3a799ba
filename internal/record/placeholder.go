package record

import (
	"fmt"
	"regexp"
	"strings"
)

// What stands in the place of a value. Each has a form that no host gives a value of its own, so
// that a reader, and Matches, can tell.

// GUID is the nth one.
func GUID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Named is the nth value of a kind, such as SECRET-1 and NAME-2. Kind has capital letters only.
func Named(kind string, n int) string { return fmt.Sprintf("%s-%d", kind, n) }

// HostName is the nth one.
func HostName(n int) string { return fmt.Sprintf("host-%d.example", n) }

// Address is the nth IP address, of a range that is for documentation.
func Address(n int) string { return fmt.Sprintf("192.0.2.%d", n%256) }

// Signature ends each token of a record. It is no signature.
const Signature = "UkVDT1JE"

const placeholders = `00000000-0000-4000-8000-\d{12}` +
	`|(?:SECRET|NAME|TEXT|PATH|KEY|TOKEN)-\d+` +
	`|host-\d+\.example` +
	`|192\.0\.2\.\d+` +
	`|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.` + Signature

var (
	whole  = regexp.MustCompile(`^(?:` + placeholders + `)$`)
	within = regexp.MustCompile(placeholders)
)

// IsPlaceholder reports whether a text is one, and nothing else.
func IsPlaceholder(text string) bool { return whole.MatchString(text) }

// Matches reports whether a value may be the one that a record has: each placeholder in that one
// stands for anything that isn't empty.
func Matches(recorded, value string) bool {
	if recorded == value {
		return true
	}
	places := within.FindAllStringIndex(recorded, -1)
	if places == nil {
		return false
	}
	end := 0
	for i, place := range places {
		fixed := recorded[end:place[0]]
		rest, ok := strings.CutPrefix(value, fixed)
		if !ok || rest == "" {
			return false
		}
		end = place[1]
		next := len(recorded)
		if i+1 < len(places) {
			next = places[i+1][0]
		}
		following := recorded[end:next]
		at := len(rest)
		switch {
		case following != "" && i+1 == len(places):
			at = len(rest) - len(following)
			if at < 1 || rest[at:] != following {
				return false
			}
		case following != "":
			if at = strings.Index(rest[1:], following) + 1; at < 1 {
				return false
			}
		}
		value = rest[at:]
	}
	return true
}
