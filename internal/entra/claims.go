package entra

import (
	"encoding/json"
	"errors"
)

// WithCapability adds to a challenge's claims that the caller understands challenges, which makes
// Entra issue tokens that live for a day, and can be revoked. It refuses what is no JSON object.
//
// https://learn.microsoft.com/entra/identity-platform/claims-challenge
func WithCapability(claims string) (string, error) {
	all := map[string]json.RawMessage{}
	access := map[string]json.RawMessage{}
	if claims != "" {
		if err := json.Unmarshal([]byte(claims), &all); err != nil || all == nil {
			return "", errors.New("GetToken: Claims: is no JSON object")
		}
	}
	if inner, ok := all["access_token"]; ok {
		if err := json.Unmarshal(inner, &access); err != nil {
			return "", errors.New("GetToken: Claims: its access_token is no JSON object")
		}
	}
	if access == nil { // it is null
		access = map[string]json.RawMessage{}
	}
	access["xms_cc"] = json.RawMessage(`{"values":["CP1"]}`)
	inner, err := json.Marshal(access)
	if err != nil {
		return "", errors.New("GetToken: Claims: can't be repeated as JSON")
	}
	all["access_token"] = inner
	outer, err := json.Marshal(all)
	if err != nil {
		return "", errors.New("GetToken: Claims: can't be repeated as JSON")
	}
	return string(outer), nil
}
