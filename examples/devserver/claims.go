package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// claims are what an answer says of its token. The token is whose it is: an answer names the
// application that really got it, the Azure CLI say, and never the identity that a program asked
// for, so that a program that compares notices.
type claims struct {
	AppID     string `json:"appid"` // of a v1 token
	AZP       string `json:"azp"`   // of a v2 token
	NotBefore int64  `json:"nbf"`
	ClientID  string `json:"-"`
}

// claimsOf reads them, unverified, as only the resource can verify them. A token that isn't a JWT
// has none.
func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	c.ClientID = cmp.Or(c.AppID, c.AZP)
	return c
}

// notBefore is now for a token that doesn't say it.
func (c claims) notBefore() string {
	return strconv.FormatInt(cmp.Or(c.NotBefore, time.Now().Unix()), 10)
}
