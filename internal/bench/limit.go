package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// limit is the least that a GetToken can do for a hit: one lock-free look-up, one reading of the
// clock, one copy.
type limit struct {
	tokens atomic.Pointer[map[string]*azcore.AccessToken]
}

var errNotHeld = errors.New("not held")

func (c *limit) GetToken(
	_ context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	t := (*c.tokens.Load())[options.Scopes[0]]
	if t == nil || !time.Now().Before(t.ExpiresOn) {
		return azcore.AccessToken{}, errNotHeld
	}
	return *t, nil
}

// newLimit holds a token for each scope.
func newLimit(scopes []string) *limit {
	tokens := make(map[string]*azcore.AccessToken, len(scopes))
	for _, scope := range scopes {
		tokens[scope] = &azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(24 * time.Hour),
			RefreshOn: time.Now().Add(12 * time.Hour)}
	}
	l := &limit{}
	l.tokens.Store(&tokens)
	return l
}
