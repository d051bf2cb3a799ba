package identity

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// toolOutcome is what becomes of a run of a developer's tool. TOKEN in its texts is a token.
type toolOutcome struct {
	life           time.Duration // of the token that it prints, 0 if it prints none
	inToken        string        // behind the token, in the same field
	stdout, stderr string        // with something in stderr it fails
	err            error         // of the run
	granted        bool
}

// toolOutcomes are all that may become of a run, with an opaque token and with a JWT.
var toolOutcomes = map[string]toolOutcome{
	"a token":             {life: time.Hour, granted: true},
	"an expired one":      {life: -time.Second},
	"a line behind it":    {life: time.Hour, inToken: "\r\nX-Evil: 1"},
	"a brace too many":    {life: time.Hour, stdout: "}", granted: true},
	"no date":             {stdout: `{"accessToken":"TOKEN","token":"TOKEN"}`},
	"a list":              {stdout: `["TOKEN"]`},
	"it is bare":          {stdout: `TOKEN`},
	"half of it":          {stdout: `{"accessToken":"TOKEN`},
	"a failure after it":  {life: time.Hour, err: exits(1, "boom")},
	"silence after it":    {life: time.Hour, err: exits(1, "")},
	"a signal after it":   {life: time.Hour, err: exits(-1, "")},
	"too long after it":   {life: time.Hour, err: context.DeadlineExceeded},
	"no process after it": {life: time.Hour, err: errors.New("can't fork")},
	"a complaint in JSON": {stderr: `DEBUG: response {"accessToken": "TOKEN"} ERROR`},
	"azd's complaint":     {stderr: `{"error":"fetching: {\"access_token\":\"TOKEN\"}"}`},
	"its refresh token":   {stderr: `ERROR: AADSTS70043: {'refresh_token': 'TOKEN'}`},
	"it in a form":        {stderr: `ERROR: sent grant_type=refresh_token&refresh_token=TOKEN&x=y`},
	"dates that are a token": {stdout: `{"accessToken":"TOKEN","token":"TOKEN","expires_on":"TOKEN",` +
		`"expiresOn":"TOKEN","tokenType":"TOKEN"}`},
	"azd's message": {stderr: `{"type":"consoleMessage","data":{"message":` +
		`"\nERROR: {\"refresh_token\": \"TOKEN\"}\n"}}`},
}

// jwtOutcomes are those in which only a JWT is known for what it is.
var jwtOutcomes = map[string]toolOutcome{
	"a complaint":      {stderr: "ERROR: az login: bad token TOKEN"},
	"a long complaint": {stderr: strings.Repeat("x", 280) + " TOKEN"},
	"a system's error": {err: errors.New("fork " + jwtToken)},
	"a panic":          {err: errPanics},
}

var errPanics = errors.New("it panics instead")

func (o toolOutcome) run(d developer, token string) ([]byte, error) {
	written := strings.NewReplacer("TOKEN", token)
	stdout := []byte(written.Replace(o.stdout))
	if o.life != 0 {
		stdout = append(d.says(token+o.inToken, o.life), stdout...)
	}
	switch {
	case o.err == errPanics:
		panic("fork " + token)
	case o.stderr != "":
		return nil, exits(1, written.Replace(o.stderr))
	}
	return stdout, o.err
}

// eachToolOutcome calls f with each outcome for each tool.
func eachToolOutcome(f func(name string, d developer, o toolOutcome, token string)) {
	for _, d := range developers {
		for name, o := range toolOutcomes {
			f(d.name+"/"+name, d, o, toolToken)
			f(d.name+"/JWT: "+name, d, o, jwtToken)
		}
		for name, o := range jwtOutcomes {
			f(d.name+"/JWT: "+name, d, o, jwtToken)
		}
	}
}

// driveTool is driveHost for a developer's tool.
func driveTool(t *testing.T, w *witness, d developer, o toolOutcome, token string) {
	time.Sleep(time.Hour) // no time before the bubble's beginning is a date
	tool := &fakeTool{answer: func(int) ([]byte, error) { return o.run(d, token) }}
	cred, err := d.make(newShared(), tool.env(), toolOptions{log: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	w.drove(map[string][]string{
		"az": {"NewAzureCLICredential", "AzureCLICredential.GetToken",
			"AzureCLICredential.Status", "AzureCLICredential.Statuses"},
		"azd": {"NewAzureDeveloperCLICredential", "AzureDeveloperCLICredential.GetToken",
			"AzureDeveloperCLICredential.Status", "AzureDeveloperCLICredential.Statuses"},
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
	w.show(cred.(Reporter).Statuses())

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
	content := must(os.ReadFile("testdata/api.txt"))(t)
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
			t.Errorf("%s is neither called nor printed by this test: let it be, with secrets wherever "+
				"there are some", name)
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
