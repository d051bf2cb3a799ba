package assertions_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The stand-ins answer as the real systems do, and refuse what those refuse: each wants the
// caller's own credential or header, and the fields that the real one wants.

// signed is a token that a stand-in vouches for. Nothing here checks signatures.
func signed(issuer, subject, audience string) string {
	claims, _ := json.Marshal(map[string]any{
		"iss": issuer, "sub": subject, "aud": []string{audience},
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
	})
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","kid":"1","typ":"JWT"}`)) + "." + part(claims) + "." +
		part([]byte("signature"))
}

const (
	spiffeIssuer  = "https://spire.example.org"
	spiffeID      = "spiffe://example.org/ns/shop/sa/orders"
	clusterIssuer = "https://cluster.example.org/"
	vaultIssuer   = "https://vault.example.org/v1/identity/oidc"
	vaultEntity   = "6f3e1b9a-2c4d-4e5f-8a7b-9c0d1e2f3a4b"
)

// agent is SPIRE's agent.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
}

func (agent) FetchJWTSVID(
	ctx context.Context, r *workload.JWTSVIDRequest,
) (*workload.JWTSVIDResponse, error) {
	if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("workload.spiffe.io")) == 0 {
		return nil, status.Error(codes.InvalidArgument, "security header missing from request")
	}
	if len(r.Audience) != 1 {
		return nil, status.Error(codes.InvalidArgument, "audience must be specified")
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{
		SpiffeId: spiffeID, Svid: signed(spiffeIssuer, spiffeID, r.Audience[0]),
	}}}, nil
}

// startAgent returns the address of the workload API.
func startAgent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, agent{})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return "unix://" + path
}

// startCluster returns the URL of an API server whose caller has the bearer token.
func startCluster(t *testing.T, bearer string) string {
	return start(t, func(w http.ResponseWriter, r *http.Request) {
		const prefix, suffix = "/api/v1/namespaces/", "/token"
		place, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, prefix), suffix)
		namespace, name, both := strings.Cut(place, "/serviceaccounts/")
		var asked struct {
			Spec struct{ Audiences []string }
		}
		switch {
		case r.Header.Get("Authorization") != "Bearer "+bearer:
			answer(w, http.StatusUnauthorized, `{"kind":"Status","apiVersion":"v1","status":"Failure",
				"message":"Unauthorized","reason":"Unauthorized","code":401}`)
		case r.Method != http.MethodPost || !ok || !both:
			answer(w, http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure",
				"message":"not found","reason":"NotFound","code":404}`)
		case json.NewDecoder(r.Body).Decode(&asked) != nil || len(asked.Spec.Audiences) != 1:
			answer(w, http.StatusBadRequest, `{"kind":"Status","apiVersion":"v1","status":"Failure",
				"message":"one audience is needed","reason":"BadRequest","code":400}`)
		default:
			answer(w, http.StatusCreated, fmt.Sprintf(`{"kind":"TokenRequest",
				"apiVersion":"authentication.k8s.io/v1","status":{"token":%q,
				"expirationTimestamp":%q}}`, signed(clusterIssuer,
				"system:serviceaccount:"+namespace+":"+name, asked.Spec.Audiences[0]),
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
		}
	})
}

// startVault returns the URL of a Vault that has one role, for one audience.
func startVault(t *testing.T, role, token, audience string) string {
	return start(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Vault-Token") != token:
			answer(w, http.StatusForbidden, `{"errors":["permission denied"]}`)
		case r.Method != http.MethodGet || r.URL.Path != "/v1/identity/oidc/token/"+role:
			answer(w, http.StatusNotFound, `{"errors":[]}`)
		default:
			answer(w, http.StatusOK, fmt.Sprintf(`{"data":{"client_id":%q,"token":%q,"ttl":600}}`,
				audience, signed(vaultIssuer, vaultEntity, audience)))
		}
	})
}

// startSTS returns the URL of AWS's STS, which trusts an identity by its token.
func startSTS(t *testing.T, role string, trusts func(token string) bool) string {
	return start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("RoleArn") != role ||
			!trusts(r.FormValue("WebIdentityToken")) {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
				<Type>Sender</Type><Code>AccessDenied</Code>
				<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>
				</Error></ErrorResponse>`)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
			<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>
			<SecretAccessKey>example</SecretAccessKey><SessionToken>example</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
			</AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
}

// startGoogle returns the URL of Google's STS, which trusts an identity by its token.
func startGoogle(t *testing.T, audience string, trusts func(token string) bool) string {
	return start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" ||
			r.FormValue("subject_token_type") != "urn:ietf:params:oauth:token-type:jwt" ||
			r.FormValue("audience") != audience || !trusts(r.FormValue("subject_token")) {
			answer(w, http.StatusBadRequest, `{"error":"invalid_grant",
				"error_description":"The given credential is rejected by the attribute condition."}`)
			return
		}
		answer(w, http.StatusOK, `{"access_token":"ya29.example","token_type":"Bearer",
			"issued_token_type":"urn:ietf:params:oauth:token-type:access_token","expires_in":3600}`)
	})
}

func start(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// claim reads one of a token's claims.
func claim(token, name string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	value, _ := claims[name].(string)
	return value
}
