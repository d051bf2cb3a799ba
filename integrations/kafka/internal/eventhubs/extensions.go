package eventhubs

import (
	"fmt"
	"maps"
	"regexp"
	"sync"
)

// RFC 7628, section 3.1: a key is letters; a value is printable, or white space.
var (
	extensionKey = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z]+$`)
	})
	extensionValue = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[\x20-\x7e\t\r\n]*$`)
	})
)

// Extensions returns a copy of what goes into the first message beside the token.
func Extensions(pkg string, all map[string]string) (map[string]string, error) {
	for key, value := range all {
		if key == "auth" || !extensionKey().MatchString(key) {
			return nil, fmt.Errorf("%s: Options.Extensions: key %q: want letters, and not auth",
				pkg, key)
		}
		if !extensionValue().MatchString(value) {
			return nil, fmt.Errorf("%s: Options.Extensions: the value of %s has a control "+
				"character", pkg, key)
		}
	}
	return maps.Clone(all), nil
}
