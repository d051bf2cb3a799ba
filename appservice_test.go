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
		{name: "a token", server: "Kestrel", body: `{"access_token":"t"}`, status: 200, want: true},
		{name: "a token without the header", body: `{"access_token":"t"}`, status: 200, want: true},
		{name: "an object behind blanks", body: "\r\n\t{}", status: 200, want: true},
		{name: "Container Apps' 403", status: 403, want: true},
		{name: "a 400 of text", body: "Bad Request", status: 400, want: true},
		{name: "a 404 page", body: "<html>", status: 404, want: true},
		{name: "a 499", status: 499, want: true},
		{name: "its 500", server: "Kestrel", status: 500, want: true},
		{name: "a 500 object", body: `{"statusCode":500}`, status: 500, want: true},
		{name: "a broken object", body: `{"statusCo`, status: 500, want: true},
		{name: "a proxy's 502", server: "squid", body: "<html>Bad Gateway</html>", status: 502},
		{name: "an empty 500", status: 500},
		{name: "an HTML 200", body: "<html>Sign in</html>", status: 200},
		{name: "an empty 200", status: 200},
		{name: "a redirect", status: 302},
		{name: "an array", body: "[]", status: 200},
		{name: "status 0"},
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
