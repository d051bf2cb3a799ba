package interop

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// TestVariables: what else the variables of a host can say.
func TestVariables(t *testing.T) {
	extra := func(name, add string) func(*testing.T) {
		return func(t *testing.T) { t.Setenv(name, os.Getenv(name)+add) }
	}
	set := func(name, value string) func(*testing.T) {
		return func(t *testing.T) { t.Setenv(name, value) }
	}
	for _, test := range []struct {
		name  string
		host  host
		set   func(*testing.T)
		by    selector
		meant []difference
		// refused: the host refuses the peer for a difference that is meant, so that only we get a token.
		refused bool
	}{
		{name: "endpoint with a query", host: appService,
			set: extra("IDENTITY_ENDPOINT", "?slot=staging"), by: byClientID},
		{name: "endpoint with a query", host: azureML, set: extra("MSI_ENDPOINT", "?slot=staging"),
			by: byClientID},
		{name: "endpoint with a query", host: cloudShell, set: extra("MSI_ENDPOINT", "?slot=staging"),
			by: noSelector},
		{name: "endpoint with a query", host: serviceFabric,
			set: extra("IDENTITY_ENDPOINT", "?slot=staging"), by: noSelector},
		{name: "endpoint with an api-version", host: appService,
			set: extra("IDENTITY_ENDPOINT", "?api-version=2017-09-01"), by: noSelector},
		{
			name: "endpoint that selects an identity", host: appService, by: noSelector,
			set: extra("IDENTITY_ENDPOINT", "?client_id=11111111-2222-4333-8444-555555555555"),
			meant: []difference{{"query client_id", guid, none,
				"only the program's own options select an identity"}},
			refused: true,
		},
		{
			name: "endpoint that selects another identity", host: appService, by: byClientID,
			set: extra("IDENTITY_ENDPOINT", "?mi_res_id=/subscriptions/s"),
			meant: []difference{{"query mi_res_id", "/subscriptions/s", none,
				"only the program's own options select an identity"}},
			refused: true,
		},
		{
			name: "Container Apps", host: appService, by: noSelector, // which sets both pairs
			set: func(t *testing.T) {
				t.Setenv("MSI_ENDPOINT", os.Getenv("IDENTITY_ENDPOINT"))
				t.Setenv("MSI_SECRET", "other")
			},
		},
		{name: "App Service with IMDS_ENDPOINT", host: appService,
			set: set("IMDS_ENDPOINT", "http://127.0.0.1:1"), by: noSelector},
		{name: "empty thumbprint", host: appService, set: set("IDENTITY_SERVER_THUMBPRINT", ""),
			by: noSelector},
		{
			name: "no default identity", host: azureML, set: set("DEFAULT_IDENTITY_CLIENT_ID", ""),
			by:    noSelector,
			meant: []difference{noEmptyClientID},
		},
		{
			name: "api-version", host: serviceFabric, set: set("IDENTITY_API_VERSION", "2020-05-01"),
			by: noSelector,
			meant: []difference{{"query api-version", "2019-07-01-preview", "2020-05-01",
				"the version that the node says it speaks"}},
		},
		{name: "no api-version", host: serviceFabric, set: set("IDENTITY_API_VERSION", ""),
			by: noSelector},
		{
			name: "thumbprint as other tools show it", host: serviceFabric, by: noSelector,
			set: func(t *testing.T) {
				sum, err := hex.DecodeString(os.Getenv("IDENTITY_SERVER_THUMBPRINT"))
				if err != nil {
					t.Fatal(err)
				}
				var pairs []string
				for _, b := range sum {
					pairs = append(pairs, hex.EncodeToString([]byte{b}))
				}
				t.Setenv("IDENTITY_SERVER_THUMBPRINT", " "+strings.Join(pairs, ":")+"\n")
			},
		},
	} {
		t.Run(test.host.name+"/"+test.name, func(t *testing.T) {
			ep := test.host.start(t, three...)
			test.set(t)
			peer, ours := test.host.credentials(t, ep, test.by, ep.Identities()[1])
			theirs, own := both(t, ep, peer, ours)
			compare(t, theirs.requests, own.requests, test.host.differences(test.meant...))
			if !test.refused {
				sameToken(t, theirs, own)
			} else if theirs.err == nil || own.err != nil {
				t.Errorf("got errors: the peer %v; we %v; want one of the peer only", theirs.err, own.err)
			}
		})
	}
}

// TestLegacyAppService: azidentity knows Azure ML only, which has the same variables, and can't do
// what is different there.
func TestLegacyAppService(t *testing.T) {
	for _, test := range []struct {
		name  string
		by    selector
		meant []difference
		says  string // of the peer's error
	}{
		// a fake's guess: no page tells what a real one makes of it
		{"no ID", noSelector, []difference{noEmptyClientID}, "400 Bad Request"},
		{"client ID", byClientID, nil, "invalid ExpiresOn format"}, // that is a date
	} {
		t.Run(test.name, func(t *testing.T) {
			ep := legacy.start(t, three...)
			peer, ours := legacy.credentials(t, ep, test.by, ep.Identities()[1])
			theirs, own := both(t, ep, peer, ours)
			compare(t, theirs.requests, own.requests, legacy.differences(test.meant...))
			if theirs.err == nil || !strings.Contains(theirs.err.Error(), test.says) {
				t.Errorf("got error %v of the peer, want one that says %q", theirs.err, test.says)
			}
			if own.err != nil {
				t.Errorf("got error %v, want a token", own.err)
			}
		})
	}
}

// TestWindowsContainers: azidentity takes the variables of a Windows container of Container
// Instances for Service Fabric's, and refuses their endpoint, which is plain http. Here they are a
// host of their own.
func TestWindowsContainers(t *testing.T) {
	withoutAgent(t)
	identitytest.NewContainerInstances(nil).Start(t)
	peer, err := azidentity.NewManagedIdentityCredential(nil)
	if err == nil {
		_, err = peer.GetToken(t.Context(),
			anew())
	}
	if err == nil || !strings.Contains(err.Error(), "must use HTTPS") {
		t.Errorf("azidentity: got %v, want a refusal of the endpoint: has it learnt this host? Then "+
			"compare the requests",
			err)
	}
	ours, err := identity.NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.GetToken(t.Context(),
		anew()); err != nil ||
		ours.Host() != identity.HostContainerInstances {
		t.Errorf("%s: %v", ours.Host(), err)
	}
}

// TestDetection: MSAL, by which azidentity finds its host, and we see the same host in every
// combination of the variables.
func TestDetection(t *testing.T) {
	withoutAgent(t)
	values := map[string]string{
		"IDENTITY_ENDPOINT":          "https://127.0.0.1:1/msi/token",
		"IDENTITY_HEADER":            "header",
		"IDENTITY_SERVER_THUMBPRINT": strings.Repeat("0", 40),
		"IMDS_ENDPOINT":              "http://127.0.0.1:1",
		"MSI_ENDPOINT":               "http://127.0.0.1:1/msi/token",
		"MSI_SECRET":                 "secret",
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	same := map[managedidentity.Source]identity.Host{
		managedidentity.AppService:    identity.HostAppService,
		managedidentity.AzureArc:      identity.HostArc,
		managedidentity.AzureML:       identity.HostAzureML,
		managedidentity.CloudShell:    identity.HostCloudShell,
		managedidentity.DefaultToIMDS: identity.HostIMDS,
		managedidentity.ServiceFabric: identity.HostServiceFabric,
	}
	seen := make(map[identity.Host]int)
	for combination := range 1 << len(names) {
		var set []string
		for i, name := range names {
			if combination>>i&1 == 1 {
				set = append(set, name)
				t.Setenv(name, values[name])
			} else {
				t.Setenv(name, "")
			}
		}
		source, err := managedidentity.GetSource()
		if err != nil {
			t.Fatal(err)
		}
		host := identity.Detect().Host
		if seen[host]++; host != same[source] {
			t.Errorf("%v: got %v, MSAL sees %v", set, host, source)
		}
	}
	if len(seen) != len(same) {
		t.Errorf("saw %v, want each of the hosts", seen)
	}
}
