package acr_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

const host = "contoso.azurecr.io"

// registry stands in for Azure Container Registry, in memory: /oauth2/exchange takes Entra's
// tokens, /oauth2/token the registry's own refresh tokens, and a manifest what comes from there.
type registry struct {
	entra     func(token string) bool
	asked     int // requests in all
	exchanges int
	refuse    int // the status of each exchange, if not 0
	issued    map[string]time.Time
	seen      map[string]bool // the hosts that got any token of Entra's
}

func newRegistry(entra func(string) bool) *registry {
	return &registry{entra: entra, issued: map[string]time.Time{}, seen: map[string]bool{}}
}

// RoundTrip implements http.RoundTripper. A body has been read when it returns.
func (s *registry) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.serve(w, r)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

func (s *registry) serve(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if s.sent(r) {
		s.seen[r.URL.Host] = true
	}
	switch {
	case r.URL.Path == "/oauth2/exchange":
		s.exchanges++
		access := r.PostFormValue("access_token")
		switch {
		case s.refuse >= 300 && s.refuse < 400 && r.URL.Host == host:
			http.Redirect(w, r, "https://elsewhere.example.com/oauth2/exchange", s.refuse)
		case s.refuse != 0:
			w.WriteHeader(s.refuse)
			fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":%q}]}`, access)
		case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "access_token" ||
			r.PostFormValue("service") != r.URL.Host || !s.entra(access):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			ends := time.Now().Add(3 * time.Hour)
			token := jwt(ends, s.exchanges)
			s.issued[token] = ends
			json.NewEncoder(w).Encode(map[string]string{"refresh_token": token})
		}
	case r.URL.Path == "/oauth2/token":
		ends, ok := s.issued[r.PostFormValue("refresh_token")]
		if r.PostFormValue("grant_type") != "refresh_token" || !ok || time.Now().After(ends) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"access_token": "pull"})
	case r.Header.Get("Authorization") != "Bearer pull":
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",`+
			`service="%s",scope="repository:app:pull"`, r.URL.Host, r.URL.Host))
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", "sha256:"+fmt.Sprintf("%064d", 1))
		w.Header().Set("Content-Length", "2")
	}
}

// sent reports whether a token of Entra's is anywhere in a request.
func (s *registry) sent(r *http.Request) bool {
	_, password, _ := r.BasicAuth()
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return slices.ContainsFunc([]string{r.PostFormValue("access_token"),
		r.PostFormValue("refresh_token"), password, bearer},
		func(token string) bool { return token != "" && s.entra(token) })
}

func jwt(ends time.Time, number int) string {
	claims := fmt.Sprintf(`{"exp":%d,"jti":"%d"}`, ends.Unix(), number)
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(claims)) + "." +
		part([]byte("signature"))
}
