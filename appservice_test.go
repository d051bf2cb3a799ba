package identity

import (
	"net/http"
	"testing"

	"github.com/keyless-go/identity/internal/acquire"
)

func TestAppServiceRecognises(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, server, body string
		status             int
		want               bool
	}{
		{"a token", "Kestrel", `{"access_token":"t"}`, 200, true},
		{"a token without the header", "", `{"access_token":"t"}`, 200, true},
		{"an object behind blanks", "", "\r\n\t{}", 200, true},
		{"Container Apps' 403", "", "", 403, true},
		{"a 400 of text", "", "Bad Request", 400, true},
		{"a 404 page", "", "<html>", 404, true},
		{"a 499", "", "", 499, true},
		{"its 500", "Kestrel", "", 500, true},
		{"a 500 object", "", `{"statusCode":500}`, 500, true},
		{"a broken object", "", `{"statusCo`, 500, true},
		{"a proxy's 502", "squid", "<html>Bad Gateway</html>", 502, false},
		{"an empty 500", "", "", 500, false},
		{"an HTML 200", "", "<html>Sign in</html>", 200, false},
		{"an empty 200", "", "", 200, false},
		{"a redirect", "", "", 302, false},
		{"an array", "", "[]", 200, false},
		{"status 0", "", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := acquire.Answer{Status: tt.status, Header: http.Header{}, Body: []byte(tt.body)}
			if tt.server != "" {
				a.Header.Set("Server", tt.server)
			}
			if got := (&appService{}).Recognises(a); got != tt.want {
				t.Errorf("recognised: %v, want %v", got, tt.want)
			}
		})
	}
}
