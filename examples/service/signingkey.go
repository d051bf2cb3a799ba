package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// How often the key is read. Key Vault limits how often that may be, and so requests don't read it.
const (
	keyInterval = 5 * time.Minute  // until a change in the vault arrives here
	keyRetry    = 10 * time.Second // after a failure
)

// signingKey is a secret of Key Vault, held in memory. During an outage the last value serves on.
type signingKey struct {
	client *azsecrets.Client
	held   atomic.Pointer[string]
}

var errNoKey = errors.New("the signing key has not been read yet")

func (k *signingKey) value() ([]byte, error) {
	if held := k.held.Load(); held != nil {
		return []byte(*held), nil
	}
	return nil, errNoKey
}

// keep reads the key again and again, until ctx ends.
func (k *signingKey) keep(ctx context.Context, log *slog.Logger) {
	for {
		wait := keyInterval
		if err := k.read(ctx); err != nil && ctx.Err() == nil {
			wait = keyRetry
			log.Warn("the signing key can't be read", "held", k.held.Load() != nil, "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (k *signingKey) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	secret, err := k.client.GetSecret(ctx, "signing-key", "", nil)
	if err != nil {
		return err
	}
	if secret.Value == nil || *secret.Value == "" {
		return errors.New("the secret signing-key is empty")
	}
	k.held.Store(secret.Value)
	return nil
}
