package bearer

import (
	"net/http"
	"testing"
)

func TestLed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		way  []string // of a request and its redirects
		want bool
	}{
		"no redirect":       {[]string{"https://a.example/"}, false},
		"to another path":   {[]string{"https://a.example/", "https://a.example/x"}, false},
		"in capitals":       {[]string{"https://a.example/", "https://A.Example/x"}, false},
		"with its port":     {[]string{"https://a.example/", "https://a.example:443/x"}, false},
		"to another host":   {[]string{"https://a.example/", "https://b.example/"}, true},
		"to one below":      {[]string{"https://example/", "https://a.example/"}, true},
		"to another port":   {[]string{"https://a.example/", "https://a.example:8443/"}, true},
		"there and back":    {[]string{"https://a.example/", "https://b.example/", "https://a.example/"}, true},
		"there and further": {[]string{"https://a.example/", "https://b.example/", "https://b.example/x"}, true},
	} {
		var last *http.Request
		for _, url := range tt.way {
			r, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if last != nil {
				r.Response = &http.Response{Request: last}
			}
			last = r
		}
		if got := led(last); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	r := &http.Request{Response: &http.Response{}}
	if !led(r) {
		t.Error("a redirect of nobody knows where is taken for this host's")
	}
}
