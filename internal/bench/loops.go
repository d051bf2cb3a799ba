package main

import (
	"context"

	"cloud.google.com/go/auth"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/oauth2"
)

// Each peer has a loop of its own, with nothing between it and the call: a closure of one's own
// costs what is measured.

// hits calls GetToken for one scope after the other, and begins where it left off.
func hits(cred azcore.TokenCredential, scopes []string) func(n int) error {
	ctx, next := context.Background(), 0
	return func(n int) error {
		k := next
		for range n {
			if k++; k >= len(scopes) {
				k = 0
			}
			if _, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes[k : k+
				1]}); err != nil {
				return err
			}
		}
		next = k
		return nil
	}
}

// oneHit is hits without the taking of turns, so that it may run on all cores at once.
func oneHit(cred azcore.TokenCredential, scope string) func(n int) error {
	ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}}
	return func(n int) error {
		for range n {
			if _, err := cred.GetToken(ctx, options); err != nil {
				return err
			}
		}
		return nil
	}
}

func msalHit(client managedidentity.Client, scope string) func(n int) error {
	ctx := context.Background()
	return func(n int) error {
		for range n {
			if _, err := client.AcquireToken(ctx, scope); err != nil {
				return err
			}
		}
		return nil
	}
}

func awsHit(cache *aws.CredentialsCache) func(n int) error {
	ctx := context.Background()
	return func(n int) error {
		for range n {
			if _, err := cache.Retrieve(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

func gcpHit(cache auth.TokenProvider) func(n int) error {
	ctx := context.Background()
	return func(n int) error {
		for range n {
			if _, err := cache.Token(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

func oauth2Hit(cache oauth2.TokenSource) func(n int) error {
	return func(n int) error {
		for range n {
			if _, err := cache.Token(); err != nil {
				return err
			}
		}
		return nil
	}
}
