// Package brokertest has a stand-in for a broker of Event Hubs, for the tests of the adapters. It
// is franz-go's kfake, which speaks Kafka over TLS, with OAUTHBEARER put in: kfake has none.
package brokertest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Tokens is what a broker thinks of tokens. Its zero value takes none.
type Tokens struct {
	Audience  string        // that a token must have
	Session   time.Duration // of a session at most; 0 means until the token ends
	Challenge string        // with which it refuses each token, as JSON; "" means it doesn't

	mu    sync.Mutex
	taken []Authentication
}

// Authentication is one that the broker has been asked for.
type Authentication struct {
	At      time.Time
	Token   string
	Raw     string // all of the message
	Refused string // the broker's words, "" if it was taken
}

// All returns what was asked so far.
func (b *Tokens) All() []Authentication {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Authentication(nil), b.taken...)
}

// verdict is the session that a message gets, or the words of a refusal.
func (b *Tokens) verdict(message []byte) (session time.Duration, challenge, refusal string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	a := Authentication{At: now, Raw: string(message)}
	defer func() { a.Refused = refusal; b.taken = append(b.taken, a) }()
	if b.Challenge != "" && len(b.taken) > 0 {
		return 0, "", fmt.Sprintf("after the challenge: %q", message) // what it says goes on here
	}
	rest, ok := bytes.CutPrefix(message, []byte("n,,\x01auth=Bearer "))
	token, rest, ok2 := bytes.Cut(rest, []byte{1})
	if !ok || !ok2 || len(rest) == 0 || rest[len(rest)-1] != 1 {
		return 0, "", "Invalid OAUTHBEARER client first message"
	}
	a.Token = string(token)
	if b.Challenge != "" {
		return 0, b.Challenge, ""
	}
	var claims struct {
		Audience string `json:"aud"`
		Ends     int64  `json:"exp"`
	}
	parts := strings.Split(a.Token, ".")
	if len(parts) != 3 {
		return 0, "", "not a JWT"
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return 0, "", "not a JWT"
	}
	left := time.Unix(claims.Ends, 0).Sub(now)
	switch {
	case strings.HasPrefix(claims.Audience, "https://eventhubs.azure.net"):
		return 0, "", "Invalid tenant name 'eventhubs'"
	case claims.Audience != b.Audience:
		return 0, "", "Invalid audience " + claims.Audience
	case left <= 0:
		return 0, "", "The token has expired: " + a.Token // a broker that repeats a token
	}
	if b.Session > 0 {
		left = min(left, b.Session)
	}
	return left, "", ""
}
