package interop

import (
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// TestRefusals: both ask once, get the same answer and take it for final.
func TestRefusals(t *testing.T) {
	userAssigned := []identitytest.Identity{{}, {}}
	for _, test := range []struct {
		name       string
		host       host
		identities []identitytest.Identity
		by         selector
		before     func(*testing.T, *identitytest.Endpoint) // the request of each
		meant      []difference
		status     int
		is         error // what we tell programs
	}{
		{"client ID of a stranger", imds, three, byClientID, nil, nil, 400, identity.ErrIdentityNotFound},
		{"object ID of a stranger", imds, three, byObjectID, nil, nil, 400, identity.ErrIdentityNotFound},
		{"resource ID of a stranger", imds, three, byResourceID, nil, nil, 400,
			identity.ErrIdentityNotFound},
		{"which of two", imds, userAssigned, noSelector, nil, nil, 400, identity.ErrIdentityNotFound},
		{"forbidden", imds, three, noSelector, next(identitytest.Response{Status: 403}), nil, 403, nil},
		{"client ID of a stranger", appService, three, byClientID, nil, nil, 400,
			identity.ErrIdentityNotFound},
		{"object ID of a stranger", appService, three, byObjectID, nil, principalID, 400,
			identity.ErrIdentityNotFound},
		{"resource ID of a stranger", appService, three, byResourceID, nil, nil, 400,
			identity.ErrIdentityNotFound},
		{"no system-assigned identity", appService, userAssigned, noSelector, nil, nil, 400,
			identity.ErrIdentityNotFound},
		{"wrong secret", appService, three, noSelector, setenv("IDENTITY_HEADER", "wrong"), nil, 403,
			nil},
		{"wrong path", appService, three, noSelector, lengthen("IDENTITY_ENDPOINT"), nil, 404, nil},
		{"client ID of a stranger", azureML, three, byClientID, nil, nil, 400,
			identity.ErrIdentityNotFound},
		{"wrong secret", azureML, three, noSelector, setenv("MSI_SECRET", "wrong"), nil, 401, nil},
		{"wrong path", azureML, three, noSelector, lengthen("MSI_ENDPOINT"), nil, 404, nil},
		{"unsupported audience", cloudShell, three, noSelector, next(identitytest.Response{Status: 400}),
			nil, 400, nil},
		{"wrong path", cloudShell, three, noSelector, lengthen("MSI_ENDPOINT"), nil, 404, nil},
		{"wrong secret", serviceFabric, three, noSelector, setenv("IDENTITY_HEADER", "wrong"), nil, 404,
			identity.ErrIdentityNotFound},
		{"bad resource", serviceFabric, three, noSelector, next(identitytest.Response{Status: 400}), nil,
			400, nil},
		{"forbidden", serviceFabric, three, noSelector, next(identitytest.Response{Status: 403}), nil,
			403, nil},
	} {
		t.Run(test.host.name+"/"+test.name, func(t *testing.T) {
			ep := test.host.start(t, test.identities...)
			if test.before == nil {
				test.before = func(*testing.T, *identitytest.Endpoint) {}
			}
			peer, ours := test.host.credentials(t, ep, test.by, nobody)
			options := anew()
			test.before(t, ep)
			theirs := ask(t, ep, peer, options)
			test.before(t, ep)
			own := ask(t, ep, ours, options)
			compare(t, theirs.requests, own.requests, test.host.differences(test.meant...))
			if n := len(own.requests); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
			sameRefusal(t, theirs, own, test.status, test.is)
		})
	}
}

// next is the answer to the next request.
func next(response identitytest.Response) func(*testing.T, *identitytest.Endpoint) {
	return func(_ *testing.T, ep *identitytest.Endpoint) { ep.Enqueue(response) }
}

func setenv(name, value string) func(*testing.T, *identitytest.Endpoint) {
	return func(t *testing.T, _ *identitytest.Endpoint) { t.Setenv(name, value) }
}

// lengthen makes the URL that a variable names one that isn't there.
func lengthen(name string) func(*testing.T, *identitytest.Endpoint) {
	value := ""
	return func(t *testing.T, _ *identitytest.Endpoint) {
		if value == "" {
			value = os.Getenv(name) + "/more"
		}
		t.Setenv(name, value)
	}
}

// sameRefusal: both say that the host answered so.
func sameRefusal(t *testing.T, peer, ours exchange, status int, is error) {
	t.Helper()
	var theirs *azidentity.AuthenticationFailedError
	var own *identity.AuthenticationError
	switch {
	case peer.err == nil || ours.err == nil:
		t.Errorf("got errors: the peer %v; we %v", peer.err, ours.err)
		return
	case errors.As(peer.err, &theirs) && theirs.RawResponse == nil:
		t.Errorf("the peer tells of no answer: %v", peer.err)
	case theirs != nil && theirs.RawResponse.StatusCode != status:
		t.Errorf("the peer got status %d, want %d", theirs.RawResponse.StatusCode, status)
	}
	switch {
	case !errors.As(ours.err, &own):
		t.Errorf("got error %T, want %T", ours.err, own)
		return
	case own.StatusCode != status:
		t.Errorf("got status %d, want %d: %v", own.StatusCode, status, own)
	}
	for _, sentinel := range []error{identity.ErrUnavailable, identity.ErrIdentityNotFound, identity.ErrIdentityMismatch, identity.ErrThrottled} {
		if got, want := errors.Is(own, sentinel), sentinel == is; got != want {
			t.Errorf("%v: got %v that this is %q, want %v", own, got, sentinel, want)
		}
	}
	var response *azcore.ResponseError
	if errors.As(ours.err, &response) {
		t.Errorf("the error is one of azcore's: %v", response)
	}
}

// TestRedirects: azidentity's default client follows one, with the secret. We never do. (Cloud
// Shell has no secret, and following with a body is a race of the peer's: see host.posts.)
func TestRedirects(t *testing.T) {
	for _, test := range []struct {
		host    host
		secret  string // the header
		follows bool   // azidentity
	}{
		{imds, "Metadata", true},
		{appService, "X-Identity-Header", true},
		{azureML, "Secret", true},
		{serviceFabric, "Secret", false},
	} {
		t.Run(test.host.name, func(t *testing.T) {
			// we try again, as the host doesn't send redirects, and somebody else answers
			test.host.retry.MaxRetries = -1
			ep := test.host.start(t, three...)
			peer, ours := test.host.credentials(t, ep, noSelector, identitytest.Identity{})
			options := anew()
			away := identitytest.Response{Status: http.StatusTemporaryRedirect,
				Header: http.Header{"Location": {"/elsewhere"}}}
			once := func(cred azcore.TokenCredential) exchange {
				ep.Enqueue(away)
				return ask(t, ep, cred, options)
			}
			theirs, own := once(peer), once(ours)
			followed := len(theirs.requests) == 2 && theirs.requests[1].URL.Path == "/elsewhere" &&
				theirs.requests[1].Header.Get(test.secret) != ""
			if followed != test.follows {
				t.Errorf("the peer sent\n%s\nwant %v that it follows with %s", list(theirs.requests),
					test.follows, test.secret)
			}
			if len(own.requests) != 1 || own.err == nil {
				t.Errorf("got error %v and\n%s\nwant one request", own.err, list(own.requests))
			}
		})
	}
}
