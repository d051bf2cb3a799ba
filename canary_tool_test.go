package identity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// toolOutcome is what becomes of a run of a developer's tool.
type toolOutcome struct {
	name    string
	run     func() ([]byte, error)
	granted bool
}

func toolOutcomes(d developer) []toolOutcome {
	fails := func(stdout []byte, err error) func() ([]byte, error) {
		return func() ([]byte, error) { return stdout, err }
	}
	list := []toolOutcome{
		{"a token", func() ([]byte, error) { return d.says(toolToken, time.Hour), nil }, true},
		{"a JWT", func() ([]byte, error) { return d.says(jwtToken, time.Hour), nil }, true},
	}
	for name, token := range map[string]string{"token": toolToken, "JWT": jwtToken} {
		list = append(list,
			toolOutcome{"an expired " + name, func() ([]byte, error) {
				return d.says(token, -time.Second), nil
			}, false},
			toolOutcome{"a line behind a " + name, func() ([]byte, error) {
				return d.says(token+"\r\nX-Evil: 1", time.Hour), nil
			}, false},
			toolOutcome{"a brace too many behind a " + name, func() ([]byte, error) {
				return append(d.says(token, time.Hour), '}'), nil
			}, true},
			toolOutcome{"no date of a " + name,
				fails(fmt.Appendf(nil, `{"accessToken":%q,"token":%[1]q}`, token), nil), false},
			toolOutcome{"dates that are a " + name,
				fails(fmt.Appendf(nil,
					`{"accessToken":%q,"token":%[1]q,"expires_on":%[1]q,"expiresOn":%[1]q,"tokenType":%[1]q}`, token), nil), false},
			toolOutcome{"a list of a " + name, fails(fmt.Appendf(nil, `[%q]`, token), nil), false},
			toolOutcome{"a bare " + name, fails([]byte(token), nil), false},
			toolOutcome{"half of a " + name, fails([]byte(`{"accessToken":"`+token), nil), false},
			toolOutcome{"a failure after a " + name, fails(d.says(token, time.Hour), exits(1, "boom")),
				false},
			toolOutcome{"a silent failure after a " + name, fails(d.says(token, time.Hour), exits(1, "")),
				false},
			toolOutcome{"a signal after a " + name, fails(d.says(token, time.Hour), exits(-1, "")), false},
			toolOutcome{"too long after a " + name,
				fails(d.says(token, time.Hour), context.DeadlineExceeded), false},
			toolOutcome{"no process after a " + name,
				fails(d.says(token, time.Hour), errors.New("can't fork")), false},
			toolOutcome{"a complaint in JSON with a " + name,
				fails(nil, exits(1, `DEBUG: response {"accessToken": "`+token+`"} ERROR`)), false},
			toolOutcome{"azd's complaint with a " + name,
				fails(nil, exits(1, `{"error":"fetching: {\"access_token\":\"`+token+`\"}"}`)), false},
			toolOutcome{"azd's message with a " + name,
				fails(nil, exits(1, `{"type":"consoleMessage","data":{"message":"\nERROR: {\"refresh_token\": \"`+token+`\"}\n"}}`)), false},
			toolOutcome{"a complaint with a refresh " + name,
				fails(nil, exits(1, `ERROR: AADSTS70043: {'refresh_token': '`+token+`'}`)), false},
			toolOutcome{"a form with a refresh " + name,
				fails(nil, exits(1, `ERROR: sent grant_type=refresh_token&refresh_token=`+token+
					`&x=y`)), false},
		)
	}
	return append(list,
		toolOutcome{"a complaint about a JWT",
			fails(nil, exits(1, "ERROR: az login: bad token "+jwtToken)), false},
		toolOutcome{"a long complaint about a JWT",
			fails(nil, exits(1, strings.Repeat("x", 280)+" "+jwtToken)), false},
		toolOutcome{"a system's error with a JWT", fails(nil, errors.New("fork "+jwtToken)), false},
		toolOutcome{"a panic with a JWT", func() ([]byte, error) { panic("fork " + jwtToken) }, false},
	)
}

// driveTool is driveHost for a developer's tool.
func driveTool(t *testing.T, w *witness, d developer, o toolOutcome) {
	time.Sleep(time.Hour) // no time before the bubble's beginning is a date
	tool := &fakeTool{answer: func(int) ([]byte, error) { return o.run() }}
	cred, err := d.make(newShared(), tool.env(), toolOptions{log: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	w.drove(map[string][]string{
		"az":  {"NewAzureCLICredential", "AzureCLICredential.GetToken"},
		"azd": {"NewAzureDeveloperCLICredential", "AzureDeveloperCLICredential.GetToken"},
	}[d.name]...)
	w.show(&AzureCLICredentialOptions{Logger: w.logger})
	w.show(&AzureDeveloperCLICredentialOptions{Logger: w.logger})
	w.show(&ChainOptions{Logger: w.logger})
	_, err = getToken(t.Context(), cred)
	if (err == nil) != o.granted {
		t.Fatalf("got error %v, want a token: %t", err, o.granted)
	}
	w.showError(err)
	_, err = asClientChallenged(t.Context(), cred)
	w.showError(err)
	time.Sleep(40 * time.Minute) // renewal, where there is something to renew
	_, err = cred.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: otherTenant})
	w.showError(err)
	synctest.Wait()
	w.show(cred)

	env := tool.env(envTokenCredentials, "dev")
	options := &DefaultCredentialOptions{Logger: w.logger}
	w.loud(&options.ClientOptions)
	chain, err := newDefaultCredential(newShared(), options, env)
	if err != nil {
		t.Fatal(err)
	}
	_, err = getToken(t.Context(), chain)
	w.showError(err)
	synctest.Wait()
	w.show(chain)
	w.show(chain.Status())
	time.Sleep(5 * time.Minute)
}

// checkDriven compares what a test has called and printed with testdata/api.txt, so that a name
// which comes there comes into the test as well.
func checkDriven(t *testing.T, driven map[string]bool) {
	t.Helper()
	content, err := os.ReadFile("testdata/api.txt")
	if err != nil {
		t.Fatal(err)
	}
	// without identitytest, whose secrets are made up
	own, _, _ := strings.Cut(string(content), "\npackage ")
	n := 0
	for line := range strings.Lines(own) {
		name, ok := apiName(line)
		if !ok {
			continue
		}
		n++
		switch name {
		case "ID", "ClientID", "ObjectID", "ResourceID", "ClientID.String", "ObjectID.String",
			"ResourceID.String":
			continue // what the caller has given
		}
		if !driven[name] {
			t.Errorf("%s is neither called nor printed by this test: let it be, with secrets wherever there are some", name)
		}
	}
	if n < 30 {
		t.Errorf("%d names found in testdata/api.txt: this would see none missing", n)
	}
}

// apiName is the name that a line of testdata/api.txt declares as a function, a method or a type.
func apiName(line string) (name string, ok bool) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "type "); ok {
		name, _, _ = strings.Cut(rest, " ")
		return name, true
	}
	rest, ok := strings.CutPrefix(line, "func ")
	if !ok {
		return "", false
	}
	if receiver, method, found := strings.Cut(strings.TrimPrefix(rest, "("), ") "); found &&
		strings.HasPrefix(rest, "(") {
		_, receiver, _ = strings.Cut(receiver, " ")
		method, _, _ = strings.Cut(method, "(")
		return strings.TrimPrefix(receiver, "*") + "." + method, true
	}
	name, _, _ = strings.Cut(rest, "(")
	return name, true
}
