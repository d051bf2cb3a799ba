package main

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
)

// inChain lets azidentity's ChainedTokenCredential go on from a credential of this library's that
// can't be used here. Only azidentity can make the error that its chain goes on from.
type inChain struct{ azcore.TokenCredential }

func (c inChain) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, options)
	if errors.Is(err, identity.ErrUnavailable) {
		err = azidentity.NewCredentialUnavailableError(err.Error())
	}
	return token, err
}
