package assertion

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAnswer: whatever answers, there is a token or one line, without the job's own secret.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"count":1,"value":"` + jwt + `"}`, `{"oidcToken":"` + jwt + `"}`, "<html>", "", "null",
		`{"message":"` + secret + `"}`, `{"count":1,"value":{"Message":"GET"}}`, `{"value":"` + jwt,
		`{"error":{"code":"a","message":"` + key + `"}}`,
	} {
		for _, status := range []uint16{200, 302, 401, 404, 503} {
			f.Add(status, body, "X-Vss-E2eid", body)
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, body, name, value string) {
		for job := range jobs {
			s := job1(t, job, doer(func(req *http.Request) (*http.Response, error) {
				resp, err := answer(int(status), body)(req)
				resp.Header[name] = []string{value}
				return resp, err
			}))
			got, err := s.Get(t.Context(), Request{Audience: audience})
			if (got == "") == (err == nil) {
				t.Fatalf("got %q, %v", got, err)
			}
			if err == nil {
				continue
			}
			text := err.Error()
			if strings.Contains(text, secret) || job == "GitHub" && strings.Contains(text, key) ||
				strings.ContainsAny(text, "\r\n") || !utf8.ValidString(text) {
				t.Errorf("got %q", text)
			}
		}
	})
}

// FuzzTextIn: what is found is what encoding/json finds under exactly that name.
func FuzzTextIn(f *testing.F) {
	for _, body := range []string{`{"value":"a"}`, `{"Value":"a"}`, `{"value":"a","value":1}`, `[]`, `{`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := textIn(body, "value")
		var all map[string]any
		if jsonErr := json.Unmarshal(body, &all); (jsonErr == nil) != (err == nil) {
			t.Fatalf("got %v, encoding/json says %v", err, jsonErr)
		}
		if want, _ := all["value"].(string); err == nil && got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
