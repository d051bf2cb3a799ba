package identity_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// database stands for a driver that asks for the password of each new connection, as pgx's
// BeforeConnect and go-redis's CredentialsProviderContext do.
type database struct {
	user     string
	password func(context.Context) (string, error)
}

func (d database) connect(ctx context.Context) error {
	password, err := d.password(ctx)
	if err != nil {
		return fmt.Errorf("can't connect as %s: %w", d.user, err)
	}
	fmt.Println("connected as", d.user, "with a password:", password != "")
	return nil
}

// A database of Azure's takes the token as the password, and each connection needs one that is
// valid then.
func ExampleTokenFunc() {
	orders := identitytest.Identity{ResourceID: "/subscriptions/s/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/orders"}
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake(orders)})
	if err != nil {
		log.Fatal(err)
	}
	const scope = "https://ossrdbms-aad.database.windows.net/.default"
	db := database{user: "orders", password: identity.TokenFunc(cred, scope)}
	if err := db.connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: connected as orders with a password: true
}

// The role in the database has the name of the managed identity, or of the person.
func ExamplePrincipalOf() {
	orders := identitytest.Identity{ResourceID: "/subscriptions/s/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/orders"}
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake(orders)})
	if err != nil {
		log.Fatal(err)
	}
	token, err := identity.TokenFunc(cred,
		"https://management.azure.com/.default")(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	is, err := identity.PrincipalOf(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("user:", cmp.Or(is.Name, is.User))
	// Output: user: orders
}

// Tell a mistake, which stays, from an outage, which passes.
func ExamplePassing() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ClientID("00000000-0000-0000-0000-000000000000"),
		Host:          identity.HostIMDS,
		ClientOptions: fake(),
	})
	if err != nil {
		log.Fatal(err)
	}
	db := database{"orders", identity.TokenFunc(cred, "https://redis.azure.com/.default")}
	if err := db.connect(context.Background()); err != nil && !identity.Passing(err) {
		fmt.Println("not assigned:", errors.Is(err, identity.ErrIdentityNotFound))
	}
	// Output: not assigned: true
}

// A connection that stays open, as Redis's, has to be told of each new token. The loop is a
// goroutine of yours, and ends with its context.
func ExampleTokens() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for token, err := range identity.Tokens(ctx, cred, "https://redis.azure.com/.default") {
		if err != nil {
			fmt.Println("no new token:", err) // the last one is good until its end
			continue
		}
		fmt.Println("AUTH, valid for", time.Until(token.ExpiresOn).Round(time.Hour))
		cancel() // leave out
	}
	// Output: AUTH, valid for 24h0m0s
}

// An API without an Azure SDK client. Have an http.Client for each service.
func ExampleTransport() {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("authorized:", r.Header.Get("Authorization") != "")
	}))
	defer api.Close() // stands for the service

	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &identity.Transport{
		Credential: cred,
		Scope:      "https://monitor.azure.com/.default",
		Base:       api.Client().Transport, // leave out: nil is http.DefaultTransport
	}}
	resp, err := client.Get(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// authorized: true
	// 200 OK
}
