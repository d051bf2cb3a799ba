package standins

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

// vaultResource is what tokens for Key Vault are for, in Azure's public cloud.
const vaultResource = "https://vault.azure.net"

// Vault stands in for a Key Vault, as far as reading secrets goes. It checks a token's audience,
// times and identity as Key Vault does, but not its signature: nobody has signed the tokens of
// package identitytest.
type Vault struct {
	name    string // its DNS name
	allowed []identitytest.Identity
	secrets map[string]string
	Client  *http.Client // finds the vault by its name and trusts its certificate; set by Start
	Stop    func()       // set by Start

	mu    sync.Mutex
	count VaultCount
}

// VaultCount is what has happened so far.
type VaultCount struct {
	Requests   int
	Challenges int                     // answers to requests without a token
	Reads      int                     // secrets handed out
	Readers    []identitytest.Identity // to whom
}

// NewVault makes a vault of that DNS name, in which the allowed may read the secrets. Start serves
// it.
func NewVault(name string, allowed []identitytest.Identity, secrets map[string]string) *Vault {
	return &Vault{name: name, allowed: allowed, secrets: secrets}
}

// URL is the vault's, as a client is given it.
func (v *Vault) URL() string { return "https://" + v.name }

// Start serves the vault over TLS on a free port of loopback, and makes the client that finds it
// there.
func (v *Vault) Start() error {
	certificate, err := selfSigned(v.name)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate.Leaf)
	transport := &http.Transport{
		// Whatever name the client asks for, this is where it is: nothing is looked up, and nothing
		// leaves the machine.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: trusted},
	}
	v.Client = &http.Client{Transport: transport}
	stop := Serve(tls.NewListener(listener,
		&tls.Config{Certificates: []tls.Certificate{certificate}}), v)
	v.Stop = func() {
		transport.CloseIdleConnections()
		stop()
	}
	return nil
}

// selfSigned makes a certificate that lives in memory and for an hour.
func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Counted returns what has happened so far.
func (v *Vault) Counted() VaultCount {
	v.mu.Lock()
	defer v.mu.Unlock()
	count := v.count
	count.Readers = slices.Clone(count.Readers)
	return count
}

func (v *Vault) note(change func(*VaultCount)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.count)
}

func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.note(func(c *VaultCount) { c.Requests++ })
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		v.note(func(c *VaultCount) { c.Challenges++ })
		v.refuse(w, unauthorized("AKV10000: Request is missing a Bearer or PoP token."))
		return
	}
	reader, no := v.authorize(bearer, time.Now())
	if no != nil {
		v.refuse(w, no)
		return
	}
	name, value, no := v.find(r)
	if no != nil {
		v.refuse(w, no)
		return
	}
	v.note(func(c *VaultCount) {
		c.Reads++
		if !slices.Contains(c.Readers, reader) {
			c.Readers = append(c.Readers, reader)
		}
	})
	reply(w, http.StatusOK, map[string]any{
		"value":      value,
		"id":         v.URL() + "/secrets/" + name + "/" + version,
		"attributes": map[string]any{"enabled": true, "recoveryLevel": "Recoverable+Purgeable"},
	})
}

// version is the one that each secret has.
const version = "0123456789abcdef0123456789abcdef"

// find reads /secrets/NAME or /secrets/NAME/VERSION.
func (v *Vault) find(r *http.Request) (name, value string, no *refused) {
	path, ok := strings.CutPrefix(r.URL.Path, "/secrets/")
	name, wanted, _ := strings.Cut(path, "/")
	switch value, known := v.secrets[name]; {
	case !ok || r.Method != http.MethodGet:
		return "", "", &refused{http.StatusMethodNotAllowed, "MethodNotAllowed",
			"this stand-in only reads secrets"}
	case !known || wanted != "" && wanted != version:
		message := "A secret with (name/id) " + name + " was not found in this key vault."
		return "", "", &refused{http.StatusNotFound, "SecretNotFound", message}
	default:
		return name, value, nil
	}
}

// tokenClaims are those that Key Vault decides by.
type tokenClaims struct {
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	AppID     string `json:"appid"`
	ObjectID  string `json:"oid"`
}

// authorize returns whose token it is, or why it isn't good enough: 401 if the token is no good,
// 403 if its bearer may not read secrets here. The words are Key Vault's.
func (v *Vault) authorize(
	bearer string, now time.Time,
) (reader identitytest.Identity, no *refused) {
	claims, ok := parseToken(bearer)
	switch {
	case !ok:
		return reader, unauthorized("Error validating token: it is not a JWT.")
	case claims.Audience != vaultResource:
		return reader, unauthorized("AKV10022: Invalid audience. Expected " + vaultResource +
			", found: " + claims.Audience + ".")
	case now.Unix() < claims.NotBefore:
		return reader, unauthorized("Token not yet valid.")
	case now.Unix() >= claims.Expires:
		return reader, unauthorized("[TokenExpired] Error validating token: 'S2S12086'.")
	}
	for _, id := range v.allowed {
		// a user may come by any
		application := id.ClientID == "" || strings.EqualFold(claims.AppID, id.ClientID)
		if strings.EqualFold(claims.ObjectID, id.ObjectID) && application {
			return id, nil
		}
	}
	message := fmt.Sprintf("Caller is not authorized to perform action on resource.\r\n"+
		"Caller: appid=%s;oid=%s;iss=%s\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'",
		claims.AppID, claims.ObjectID, claims.Issuer)
	return reader, &refused{http.StatusForbidden, "Forbidden", message}
}

func parseToken(bearer string) (claims tokenClaims, ok bool) {
	parts := strings.Split(bearer, ".")
	if len(parts) != 3 {
		return claims, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims, false
	}
	return claims, json.Unmarshal(payload, &claims) == nil
}

// refused is an answer that isn't a secret.
type refused struct {
	status        int
	code, message string
}

func unauthorized(message string) *refused {
	return &refused{http.StatusUnauthorized, "Unauthorized", message}
}

// refuse answers with Key Vault's error body and, if a token is missing or no good, with its
// challenge: that is how a client learns what a token must be for.
func (v *Vault) refuse(w http.ResponseWriter, no *refused) {
	if no.status == http.StatusUnauthorized {
		authority := "https://login.microsoftonline.com/" + v.allowed[0].TenantID
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization=%q, resource=%q", authority,
			vaultResource))
	}
	reply(w, no.status, map[string]any{"error": map[string]string{"code": no.code,
		"message": no.message}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client is gone
}

// SecretsInVault are the names of what the stand-in holds.
var SecretsInVault = []string{
	"cache-password", "database-password", "encryption-key", "license-key", "metrics-token",
	"payment-api-key", "search-api-key", "session-key", "smtp-password", "webhook-secret",
}

// MadeUpSecrets are different in each run, so that a value which is printed has come over the wire.
func MadeUpSecrets() map[string]string {
	secrets := make(map[string]string)
	for _, name := range SecretsInVault {
		secrets[name] = rand.Text()
	}
	return secrets
}
