package interop

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// selector is a way to choose an identity, as azidentity and as we call it.
type selector struct {
	name string
	peer func(identitytest.Identity) azidentity.ManagedIDKind
	ours func(identitytest.Identity) identity.ID
}

var (
	noSelector = selector{"no ID",
		func(identitytest.Identity) azidentity.ManagedIDKind { return nil },
		func(identitytest.Identity) identity.ID { return nil }}
	byClientID = selector{"client ID",
		func(i identitytest.Identity) azidentity.ManagedIDKind { return azidentity.ClientID(i.ClientID) },
		func(i identitytest.Identity) identity.ID { return identity.ClientID(i.ClientID) }}
	byObjectID = selector{"object ID",
		func(i identitytest.Identity) azidentity.ManagedIDKind { return azidentity.ObjectID(i.ObjectID) },
		func(i identitytest.Identity) identity.ID { return identity.ObjectID(i.ObjectID) }}
	byResourceID = selector{"resource ID",
		func(i identitytest.Identity) azidentity.ManagedIDKind {
			return azidentity.ResourceID(i.ResourceID)
		},
		func(i identitytest.Identity) identity.ID { return identity.ResourceID(i.ResourceID) }}
)

// nobody is an identity that no host has.
var nobody = identitytest.Identity{
	ClientID: "11111111-2222-4333-8444-555555555555",
	ObjectID: "66666666-7777-4888-8999-aaaaaaaaaaaa",
	ResourceID: "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/" +
		"userAssignedIdentities/nobody",
}

// host is one that azidentity's ManagedIdentityCredential knows, and how to ask a fake of it.
type host struct {
	name  string
	make  func(*identitytest.Options) *identitytest.Endpoint
	meant []difference // in each request, beside those of every host

	// inMemory: azidentity knows no variable that moves IMDS, so both are given the fake as their
	// transport. It doesn't look at the address.
	inMemory bool

	// posts: azcore rewinds a body for the next try while net/http may still read it, which is a data
	// race of the peer's. There is none without connections.
	posts bool

	retry policy.RetryOptions // of both
}

var (
	imds = host{name: "IMDS", make: identitytest.NewIMDS, meant: msalStatistics,
		inMemory: true}
	appService = host{name: "App Service", make: identitytest.NewAppService,
		meant: []difference{metadataToo}}
	legacy = host{name: "legacy App Service", make: identitytest.NewAppService2017,
		meant: []difference{metadataToo}}
	azureML = host{name: "Azure ML", make: identitytest.NewAzureML,
		meant: []difference{metadataToo}}
	cloudShell    = host{name: "Cloud Shell", make: identitytest.NewCloudShell, posts: true}
	serviceFabric = host{name: "Service Fabric", make: identitytest.NewServiceFabric,
		meant: []difference{noAccept}}
)

// differences are those that are meant in each request, and more.
func (h host) differences(more ...difference) []difference {
	list := slices.Concat([]difference{userAgent}, h.meant, more)
	if !h.inMemory {
		list = append(list, ownTransport...)
	}
	return list
}

// start makes a fake, which both will find, and which answers alike whoever asks. The test is a
// parallel one if nothing but memory is in it.
func (h host) start(t *testing.T, identities ...identitytest.Identity) *identitytest.Endpoint {
	t.Helper()
	ep := h.make(&identitytest.Options{Identities: identities, HostCache: true})
	if h.inMemory {
		withoutAgent(t)
		t.Parallel()
	} else {
		ep.Start(t)
	}
	return ep
}

// client is what both are given for a fake.
func (h host) client(ep *identitytest.Endpoint) azcore.ClientOptions {
	options := azcore.ClientOptions{Retry: h.retry}
	switch {
	case h.inMemory && h.posts:
		options.Transport = ep
	case h.inMemory:
		options.Transport = ep.Client()
	}
	return options
}

// credentials are the peer's and ours.
func (h host) credentials(
	t *testing.T, ep *identitytest.Endpoint, by selector, id identitytest.Identity,
) (peer, ours azcore.TokenCredential) {
	t.Helper()
	p, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: h.client(ep), ID: by.peer(id)})
	if err != nil {
		t.Fatal(err)
	}
	o, err := identity.NewCredential(&identity.CredentialOptions{ClientOptions: h.client(ep),
		ID: by.ours(id)})
	if err != nil {
		t.Fatal(err)
	}
	return p, o
}

// three are a system-assigned and two user-assigned identities, of which the second is asked for.
var three = []identitytest.Identity{{System: true}, {}, {}}

// TestManagedIdentity: a token of each host, by every selector that azidentity and we both have for
// it. Neither makes a credential with the others.
func TestManagedIdentity(t *testing.T) {
	all := []selector{noSelector, byClientID, byObjectID, byResourceID}
	for _, test := range []struct {
		host host
		has  int // how many of them
	}{{imds, 4}, {appService, 4}, {azureML, 2}, {legacy, 2}, {cloudShell, 1}, {serviceFabric, 1}} {
		for i, by := range all {
			t.Run(test.host.name+"/"+by.name, func(t *testing.T) {
				switch {
				case i >= test.has:
					refusedSelector(t, test.host, by)
					return
				case test.host.name == legacy.name: // has TestLegacyAppService
					return
				}
				ep := test.host.start(t, three...)
				want := ep.Identities()[min(i, 1)]
				var meant []difference
				if test.host.name == appService.name && by.name == byObjectID.name {
					meant = principalID
				}
				peer, ours := test.host.credentials(t, ep, by, want)
				theirs, own := both(t, ep, peer, ours)
				compare(t, theirs.requests, own.requests, test.host.differences(meant...))
				sameToken(t, theirs, own)
				if got := claimsOf(t, own).ObjectID; own.err == nil && got != want.ObjectID {
					t.Errorf("got a token of object ID %s, want %s", got, want.ObjectID)
				}
			})
		}
	}
}

func refusedSelector(t *testing.T, h host, by selector) {
	t.Helper()
	id := h.start(t, three...).Identities()[1]
	if _, err := azidentity.NewManagedIdentityCredential(
		&azidentity.ManagedIdentityCredentialOptions{ID: by.peer(id)}); err == nil {
		t.Error("azidentity takes it")
	}
	if _, err := identity.NewCredential(&identity.CredentialOptions{ID: by.ours(id)}); err == nil {
		t.Error("we take it")
	}
}

// TestWrongIdentity: a host that answers with the token of another identity than was asked for.
// azidentity takes it.
func TestWrongIdentity(t *testing.T) {
	for _, h := range []host{imds, appService, azureML} {
		t.Run(h.name, func(t *testing.T) {
			ep := h.start(t, three...)
			_, other := h.credentials(t, ep, byClientID, ep.Identities()[2])
			token := ask(t, ep, other, anew()).token.Token

			peer, ours := h.credentials(t, ep, byClientID, ep.Identities()[1])
			answer := identitytest.Response{Body: fmt.Sprintf(`{"access_token": %q, "expires_on": "%d", "token_type": "Bearer"}`, token, time.Now().Add(time.Hour).Unix())}
			options := anew()
			ep.Enqueue(answer)
			theirs := ask(t, ep, peer, options)
			ep.Enqueue(answer)
			own := ask(t, ep, ours, options)
			compare(t, theirs.requests, own.requests, h.differences())
			if theirs.err != nil || theirs.token.Token != token {
				t.Errorf("the peer took no notice before; now it has token %q and error %v", theirs.token.Token,
					theirs.err)
			}
			if !errors.Is(own.err, identity.ErrIdentityMismatch) {
				t.Errorf("got error %v, want %v", own.err, identity.ErrIdentityMismatch)
			}
		})
	}
}

// sameToken: the fake has a cache, so two who ask for the same get the same.
func sameToken(t *testing.T, peer, ours exchange) {
	t.Helper()
	switch {
	case peer.err != nil || ours.err != nil:
		t.Errorf("got errors: the peer %v; we %v", peer.err, ours.err)
	case peer.token.Token != ours.token.Token:
		t.Errorf("got another token than the peer: %+v, it %+v", claimsOf(t, ours), claimsOf(t, peer))
	case !peer.token.ExpiresOn.Equal(ours.token.ExpiresOn):
		t.Errorf("got a token until %v, the peer until %v", ours.token.ExpiresOn, peer.token.ExpiresOn)
	}
}

// sameIdentity: who got the two tokens, and for what, is the same.
func sameIdentity(t *testing.T, peer, ours exchange) {
	t.Helper()
	if peer.err != nil || ours.err != nil {
		t.Errorf("got errors: the peer %v; we %v", peer.err, ours.err)
		return
	}
	if theirs, own := claimsOf(t, peer), claimsOf(t, ours); theirs != own {
		t.Errorf("got a token of %+v, the peer of %+v", own, theirs)
	}
	// the two asked one after the other
	if d := ours.token.ExpiresOn.Sub(peer.token.ExpiresOn).Abs(); d > 10*time.Second {
		t.Errorf("got a token until %v, the peer until %v", ours.token.ExpiresOn, peer.token.ExpiresOn)
	}
}

// claims are those that say whose token it is, and for what.
type claims struct {
	Audience   string `json:"aud"`
	AppID      string `json:"appid"`
	ObjectID   string `json:"oid"`
	TenantID   string `json:"tid"`
	ResourceID string `json:"xms_mirid"`
}

func claimsOf(t *testing.T, e exchange) (c claims) {
	t.Helper()
	if e.err != nil {
		return claims{}
	}
	if err := decode(e.token.Token, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func decode(jwt string, into any) error {
	segments := strings.Split(jwt, ".")
	if len(segments) != 3 {
		return fmt.Errorf("a token of %d segments", len(segments))
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}
