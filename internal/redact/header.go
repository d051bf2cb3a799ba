package redact

import "net/http"

// Header copies an answer's header without secrets, should the host repeat one there. Of a
// field for one, and of values beyond the MaxText bytes that are looked into, only the names
// stay.
func Header(h http.Header, secrets []string) http.Header {
	hidden, left := NewIndex(secrets), MaxText
	clean := make(http.Header, len(h))
	for name, values := range h {
		for _, value := range values {
			if left -= len(value); left < 0 || endsIn(bareField(name), secretNames) {
				value = Mark
			} else {
				value = hidden.Text(value)
			}
			clean.Add(name, value)
		}
	}
	return clean
}
