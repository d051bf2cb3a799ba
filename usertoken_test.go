package identity

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestUsersToken: a host that gives a person's token where a managed identity's is wanted is
// believed as long as no identity was selected, since Azure ML's instances do so by design; but not
// in silence.
func TestUsersToken(t *testing.T) {
	const says = "the token is a signed-in user's, not a managed identity's"
	msi := func(clientID string) environment { return msiEnvironment(envDefaultClientID, clientID) }
	for _, tt := range []struct {
		name      string
		env       environment
		claims    string
		id        ID
		want      string // the log's first line
		identity  string // of Status
		different bool   // an error instead
	}{
		{"Azure ML, idtyp", msi(""), `{"idtyp":"user","oid":"o"}`, nil, says, "a signed-in user", false},
		{"Azure ML, upn", msi(""), `{"upn":"dev@contoso.example"}`, nil, says, "a signed-in user", false},
		{"Azure ML, scp", msi(""), `{"scp":"user_impersonation"}`, nil, says, "a signed-in user", false},
		{"Azure ML, a placeholder for the default", msi("clientid"), `{"idtyp":"user"}`, nil, says,
			"a signed-in user", false},
		{"Azure ML, with a default", msi(guid), `{"idtyp":"user","appid":"` + guid + `"}`, nil,
			"token of another identity refused", "client ID " + guid, true},
		{"Azure ML, with an ID", msi(""), `{"idtyp":"user","appid":"` + guid + `"}`, ClientID(guid),
			"token of another identity refused", "client ID " + guid, true},
		{"Azure ML, an application", msi(""), `{"idtyp":"app","oid":"o"}`, nil, "token acquired", "",
			false},
		{"Azure ML, a JWT that doesn't say", msi(""), `{"oid":"o"}`, nil, "token acquired", "", false},
		{"IMDS", nowhere(), `{"idtyp":"user"}`, nil, says, "a signed-in user", false},
		{"IMDS, with an ID", nowhere(), `{"idtyp":"user","xms_mirid":"` + identityID + `"}`,
			ResourceID(identityID), "token of another identity refused", "resource ID " + identityID, true},
		{"App Service", appServiceAt(), `{"scp":"s"}`, nil, says, "a signed-in user", false},
		{"Cloud Shell, whose token is the user's",
			environmentOf(map[string]string{envMSI: "http://localhost:50342/oauth2/token"}), `{"idtyp":"user","scp":"s"}`, nil, "token acquired", "", false},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			var log bytes.Buffer
			n := 0
			cred := credentialAt(t, tt.env, transportFunc(func(*http.Request) (*http.Response, error) {
				n++
				return respond(200,
					grantBody(jwtOf(strings.Replace(tt.claims, "}", fmt.Sprintf(`,"uti":"%d"}`, n),
						1)), 24*time.Hour)), nil
			}), func(o *CredentialOptions) {
				o.ID = tt.id
				o.Logger = slog.New(slog.NewJSONHandler(&log,
					&slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			if _, err := getToken(t.Context(), cred); (err != nil) != tt.different ||
				err != nil && !errors.Is(err, ErrIdentityMismatch) {
				t.Fatalf("GetToken: %v, want a mismatch: %v", err, tt.different)
			} else if tt.different {
				wantErrorText(t, err, "a signed-in user, who is no managed identity")
			}
			time.Sleep(time.Second) // the log comes behind the token
			lines := logged(t, &log)
			if len(lines) != 1 || lines[0].Msg != tt.want ||
				(lines[0].Level == "WARN") != (tt.want != "token acquired") {
				t.Errorf("the log has %v, want %q", lines, tt.want)
			}
			if got := cred.Status().Identity; got != tt.identity {
				t.Errorf("Status has the identity %q, want %q", got, tt.identity)
			}
			if tt.want != says {
				return
			}
			time.Sleep(13*time.Hour + 12*time.Minute)
			mustToken(t, cred)
			time.Sleep(time.Minute)
			if lines := logged(t, &log); n != 2 || len(lines) != 1 || lines[0].Level != "DEBUG" {
				t.Errorf("%d requests; of the renewal the log has %v, want no second warning", n,
					lines)
			}
		})
	}
}

// TestAppServiceThatIgnoresTheSelector: a stand-in for App Service that doesn't know principal_id
// gives its own identity's token, whose sub is the object ID and which has no oid, in an answer
// that names nobody.
func TestAppServiceThatIgnoresTheSelector(t *testing.T) {
	for _, tt := range []struct {
		name, claims string
		ok           bool
	}{
		{"another's sub", `{"sub":"` + otherTenant + `","appid":"` + otherTenant + `"}`, false},
		{"nobody", `{"appid":"` + otherTenant + `"}`, false},
		{"its sub", `{"sub":"` + guid + `","appid":"` + otherTenant + `"}`, true},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			cred := credentialAt(t, appServiceAt(), always(200, grantBody(jwtOf(tt.claims), time.Hour)),
				func(o *CredentialOptions) {
					o.ID = ObjectID(guid)
				})
			if _, err := getToken(t.Context(), cred); tt.ok != (err == nil) ||
				err != nil && !errors.Is(err, ErrIdentityMismatch) {
				t.Errorf("GetToken: %v, want a token: %v", err, tt.ok)
			}
		})
	}
}
