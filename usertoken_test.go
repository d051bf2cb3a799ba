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
	const other, user = "token of another identity refused", `{"idtyp":"user"}`
	shell := environmentOf(map[string]string{envMSI: "http://localhost:50342/oauth2/token"})
	for name, tt := range map[string]struct {
		env      environment
		claims   string
		id       ID
		want     string // the log's first line, "token acquired" by default
		identity string // of Status
	}{
		"Azure ML, idtyp": {env: msi(""), claims: `{"idtyp":"user","oid":"o"}`, want: says},
		"Azure ML, upn":   {env: msi(""), claims: `{"upn":"dev@contoso.example"}`, want: says},
		"Azure ML, scp":   {env: msi(""), claims: `{"scp":"user_impersonation"}`, want: says},
		"Azure ML, a placeholder for the default": {env: msi("clientid"), claims: user, want: says},
		"Azure ML, with a default": {env: msi(guid), claims: `{"idtyp":"user","appid":"` + guid + `"}`,
			want: other, identity: "client ID " + guid},
		"Azure ML, with an ID": {env: msi(""), claims: `{"idtyp":"user","appid":"` + guid + `"}`,
			id: ClientID(guid), want: other, identity: "client ID " + guid},
		"Azure ML, an application":         {env: msi(""), claims: `{"idtyp":"app","oid":"o"}`},
		"Azure ML, a JWT that doesn't say": {env: msi(""), claims: `{"oid":"o"}`},
		"IMDS":                             {env: nowhere(), claims: user, want: says},
		"IMDS, with an ID": {env: nowhere(), claims: `{"idtyp":"user","xms_mirid":"` + identityID + `"}`,
			id: ResourceID(identityID), want: other, identity: "resource ID " + identityID},
		"App Service": {env: appServiceAt(), claims: `{"scp":"s"}`,
			want: says},
		"Cloud Shell, whose token is the user's": {env: shell, claims: `{"idtyp":"user","scp":"s"}`},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			var log bytes.Buffer
			n, different := 0, tt.want == other
			if tt.want == says {
				tt.identity = "a signed-in user"
			} else if tt.want == "" {
				tt.want = "token acquired"
			}
			cred := credentialAt(t, tt.env, transportFunc(func(*http.Request) (*http.Response, error) {
				n++
				return respond(200,
					grantBody(jwtOf(strings.Replace(tt.claims, "}", fmt.Sprintf(`,"uti":"%d"}`, n),
						1)), 24*time.Hour)), nil
			}), func(o *CredentialOptions) {
				o.ID = tt.id
				o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			if _, err := getToken(t.Context(), cred); (err != nil) != different ||
				err != nil && !errors.Is(err, ErrIdentityMismatch) {
				t.Fatalf("GetToken: %v, want a mismatch: %v", err, different)
			} else if different {
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
				t.Errorf("%d requests; of the renewal the log has %v, want no second warning", n, lines)
			}
		})
	}
}
