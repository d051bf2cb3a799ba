package identity

import (
	"fmt"
	"strings"
	"testing"
)

// msiEnvironment is that of Azure ML or legacy App Service, with further variables as pairs.
func msiEnvironment(pairs ...string) environment { return environmentOf(and(atMSI, pairs...)) }

// TestSelectorsThatAHostCannotServe: another identity's token would come back, so the constructor
// refuses, says which host it is, which kind of ID, and what to give instead. No request is needed
// to find out.
func TestSelectorsThatAHostCannotServe(t *testing.T) {
	t.Parallel()
	instead := map[Host][]string{
		HostAzureML: {"ClientID"}, HostCloudShell: {"leave ID nil"},
		HostServiceFabric:      {"the application's manifest assigns the identity, so leave ID nil"},
		HostContainerInstances: {"principal ID", "ObjectID"},
		HostWorkloadIdentity:   {"ClientID", "AZURE_CLIENT_ID"},
	}
	for _, p := range places {
		for _, tt := range []struct {
			id        ID
			parameter string
		}{{ClientID(guid), p.client}, {ObjectID(guid), p.object}, {ResourceID(identityID), p.resource}} {
			for _, host := range []Host{"", p.host} { // detected, and demanded
				kind := selected(tt.id).Kind.String()
				t.Run(fmt.Sprintf("%s, %s, Host %q", p.name, kind, host), func(t *testing.T) {
					t.Parallel()
					s := p.open(t)
					cred, err := newCredential(&CredentialOptions{Host: host, ID: tt.id}, s.env)
					if tt.parameter != "" {
						if err != nil || cred.Host() != p.host {
							t.Errorf("got %v, error %v", cred, err)
						}
						return
					}
					wantErrorText(t, err, append(instead[p.host], "CredentialOptions.ID: ",
						p.host.String(), "by "+kind)...)
					if cred != nil {
						t.Error("a credential came back beside the error")
					}
					if err != nil && s.secret != "" && strings.Contains(err.Error(), s.env.getenv(s.secret)) {
						t.Errorf("error repeats the secret: %v", err)
					}
				})
			}
		}
	}
}

func TestAzureMLDefaultIdentityThatIsNoWord(t *testing.T) {
	t.Parallel()
	for _, value := range []string{" ", guid + " " + guid, guid + "\n", guid + "\x00", guid + "\xff",
		strings.Repeat("x", 1025)} {
		env := msiEnvironment(envDefaultClientID, value)
		_, err := newCredential(nil, env)
		wantErrorText(t, err, "identity: "+envDefaultClientID+": ")
		if _, err := newCredential(&CredentialOptions{ID: ClientID(guid)}, env); err != nil {
			t.Errorf("with an ID the variable is not needed, but: %v", err)
		}
	}
}
