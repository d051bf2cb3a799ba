package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"github.com/keyless-go/identity"
)

// toLoopback sends what is meant for IMDS to the fake instead, so that no packet ever leaves for
// IMDS's address.
type toLoopback struct{ to *url.URL }

func (t toLoopback) Do(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.URL.Scheme, own.URL.Host, own.Host = t.to.Scheme, t.to.Host, ""
	return bareClient.Do(own)
}

func (t toLoopback) CloseIdleConnections() {}

// transporter is what azcore, and with its second method MSAL, wants of an HTTP client.
type transporter interface {
	policy.Transporter
	CloseIdleConnections()
}

// measureStall is one call on IMDS, with a valid token that is due for renewal, while the host
// fails: azidentity retries for a minute and a half before it hands out the token that it holds. It
// runs beside everything else, because all it does is wait.
func measureStall(ctx context.Context, _ bool, say func(string)) (section, error) {
	setHost()
	t := table{head: []string{"what", ours, azIdentity, msal}}
	row := []string{"a valid token is due for renewal, and IMDS answers 503"}
	var mine float64
	var subjects []subject
	for i, name := range []string{ours, azIdentity, msal} {
		f := &fake{refresh: refreshIn}
		address, stop, err := f.listen()
		if err != nil {
			return section{}, err
		}
		defer stop()
		to, err := url.Parse(address)
		if err != nil {
			return section{}, err
		}
		ask, err := imdsAsker(name, toLoopback{to})
		if err != nil {
			return section{}, err
		}
		x := subject{name: name, host: f, ask: ask, scope: fmt.Sprintf("https://%d.example/.default", i)}
		if _, err := ask(ctx, x.scope); err != nil {
			return section{}, err
		}
		x.ready = time.Now().Add(scale.ripens)
		f.down.Store(true)
		subjects = append(subjects, x)
	}
	for _, x := range subjects {
		time.Sleep(time.Until(x.ready))
		say(x.name)
		cost, words, err := timed(ctx, x.ask, x.scope)
		switch {
		case err != nil:
			return section{}, err
		case !renewing(x.host, 10*time.Second):
			return section{}, fmt.Errorf("%s: there was no renewal that could have been waited for", x.name)
		case x.name == ours:
			mine = cost
		}
		row = append(row, words)
		say(x.name + ": " + words)
	}
	t.rows = [][]string{row}
	return section{
		title: "A valid token, and a host that fails",
		text: []string{"One call, once. While the outage lasts each further call of azidentity's and " +
			"MSAL's in turn is stalled as long. The stand-in says when to renew (refresh_in), which " +
			"Azure's hosts don't say today: with a token that doesn't say so, azidentity and MSAL " +
			"begin to ask 5 minutes before its end, as in the table above."},
		tables: []table{t},
		verdicts: []verdict{{what: "a valid token with IMDS failing", got: mine, bound: 50,
			inShort: millisInShort, unit: "ms", why: "the renewal is nobody's to wait for"}},
	}, nil
}

// imdsAsker makes a credential of the system-assigned identity on IMDS.
func imdsAsker(name string, transport transporter) (asker, error) {
	switch name {
	case ours:
		cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
			ClientOptions: azcore.ClientOptions{Transport: transport}})
		return azcoreAsker(cred), err
	case azIdentity:
		cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: policy.ClientOptions{Transport: transport}})
		return azcoreAsker(cred), err
	}
	client, err := managedidentity.New(managedidentity.SystemAssigned(),
		managedidentity.WithHTTPClient(transport))
	return func(ctx context.Context, scope string) (string, error) {
		r, err := client.AcquireToken(ctx, scope)
		return r.AccessToken, err
	}, err
}
