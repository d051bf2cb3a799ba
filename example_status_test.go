package identity_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/keyless-go/identity"
)

// What a health page or a log line wants to know. There is no secret in it; encoding/json can write
// it.
func ExampleCredential_Status() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(context.Background(), "https://vault.azure.net/.default"); err != nil {
		log.Fatal(err)
	}
	status := cred.Status()
	fmt.Println(status.Host, "because", status.Reason)
	for _, r := range status.Resources {
		fmt.Printf("%s: %d request, %d failures, for another %v\n", r.Resource, r.Requests, r.Failures,
			time.Until(r.ExpiresOn).Round(time.Hour))
	}
}

// The identity was put into a group. Only a new token shows that, and most hosts repeat the old one
// for up to a day.
func ExampleCredential_Refresh() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := cred.Ready(ctx, "https://management.azure.com/.default"); err != nil {
		log.Fatal(err)
	}
	// Some time later:
	token, changed, err := cred.Refresh(ctx, "https://management.azure.com/.default")
	if err != nil {
		log.Fatal(err)
	}
	if !changed {
		fmt.Println("the host still has the old one, for at most",
			time.Until(token.ExpiresOn).Round(time.Hour))
	}
}

// Log what happens to tokens. Nothing that is logged is secret. A line is such as
//
//	level=INFO msg="token acquired" host=imds endpoint=http://169.254.169.254/metadata/identity/oauth2/token resource=https://vault.azure.net
func ExampleCredentialOptions() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}
