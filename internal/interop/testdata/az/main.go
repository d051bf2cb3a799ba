// Command az stands in for the Azure CLI: it prints a token, another one at each run, and notes the
// run in the file runs beside it. For a resource whose name has "logged-out" in it nobody is logged
// in.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	arguments := os.Args[1:]
	i := slices.Index(arguments, "--resource")
	if len(arguments) < 4 || !slices.Equal(arguments[:2], []string{"account", "get-access-token"}) ||
		i < 0 || i+1 == len(arguments) {
		fail(fmt.Sprintf("ERROR: the following arguments are not understood: %q", arguments), 2)
	}
	resource := arguments[i+1]
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	token := jwt(map[string]any{
		"aud": resource, "appid": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
		"oid": "0d1c2b3a-7e5f-4c68-9b0a-5e4d3c2b1a09",
		"nbf": expires.Add(-time.Hour).Unix(), "exp": expires.Unix(), "uti": rand.Text(),
	})
	note(map[string]string{"resource": resource, "token": token})
	if strings.Contains(resource, "logged-out") {
		fail("ERROR: Please run 'az login' to setup account.", 1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"accessToken": token, "expires_on": expires.Unix(),
		"expiresOn":    expires.Local().Format("2006-01-02 15:04:05.000000"),
		"subscription": "00000000-0000-4000-8000-000000000001",
		"tenant":       "00000000-0000-4000-8000-000000000002", "tokenType": "Bearer",
	})
}

func jwt(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload) + "." +
		encode([]byte("signature"))
}

func note(run map[string]string) {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	file, err := os.OpenFile(filepath.Join(filepath.Dir(program), "runs"),
		os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(file).Encode(run); err != nil {
		panic(err)
	}
	_ = file.Close()
}

func fail(message string, status int) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(status)
}
