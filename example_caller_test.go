package identity_test

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/keyless-go/identity"
)

// A database of Azure's takes the token as the password. Each connection needs one that is valid
// when it logs in.
func ExampleTokenFunc() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	token := identity.TokenFunc(cred, "https://ossrdbms-aad.database.windows.net/.default")

	// Drivers call such a function for each new connection: pgx's BeforeConnect, the MySQL driver's,
	// go-redis's CredentialsProviderContext.
	login := func(ctx context.Context) (user, password string, err error) {
		password, err = token(ctx)
		return "orders", password, err
	}
	user, password, err := login(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("log in as", user, "with a password:", password != "")
}

// The role in the database has the name of the managed identity, or of the person.
func ExamplePrincipalOf() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
	})
	if err != nil {
		log.Fatal(err)
	}
	get := identity.TokenFunc(cred, "https://management.azure.com/.default")
	token, err := get(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	is, err := identity.PrincipalOf(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("user:", cmp.Or(is.Name, is.User))
}

// Tell an outage, which passes, from a mistake, which stays.
func ExamplePassing() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
	})
	if err != nil {
		log.Fatal(err)
	}
	password := identity.TokenFunc(cred, "https://redis.azure.com/.default")
	for {
		_, err := password(context.Background())
		if err == nil {
			fmt.Println("connect")
			return
		}
		if !identity.Passing(err) { // such as an identity that is not assigned
			fmt.Println("give up:", err)
			return
		}
		time.Sleep(10 * time.Second)
	}
}

// A connection that stays open, as one to Redis does, has to be told of each new token. The loop
// runs in a goroutine of yours, and ends with its context.
func ExampleTokens() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for token, err := range identity.Tokens(ctx, cred, "https://redis.azure.com/.default") {
		if err != nil {
			log.Println(err) // the token before it is good until its end
			continue
		}
		fmt.Println("AUTH, valid for", time.Until(token.ExpiresOn).Round(time.Hour))
		return // leave out: the loop goes on with the token that replaces this one
	}
}

// An API for which there is no Azure SDK client. Have an http.Client for each service.
func ExampleTransport() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &identity.Transport{
		Credential: cred,
		Scope:      "https://management.azure.com/.default",
	}}
	resp, err := client.Get("https://management.azure.com/subscriptions?api-version=2022-12-01")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
}
