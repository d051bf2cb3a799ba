package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// readOne reads a secret of a real vault.
func readOne(ctx context.Context, out io.Writer, c config) error {
	r, err := newReport(out, c, c.vault)
	if err != nil {
		return err
	}
	r.head()
	// The client would try four times, 0.8 to 4 seconds apart: a mistyped name need not take that
	// long.
	options := &azsecrets.ClientOptions{ClientOptions: policy.ClientOptions{
		Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: 200 * time.Millisecond,
			MaxRetryDelay: time.Second},
	}}
	values, err := readSecrets(ctx, c.vault, c.ID, options, c.secret)
	if err != nil {
		return err
	}
	r.line("Secret", "%s: %s", c.secret, values[c.secret])
	return r.token(ctx)
}

// outageTime is far longer than this program runs.
const outageTime = 12 * time.Hour

// readTen reads ten secrets from the stand-ins, with two clients.
func readTen(ctx context.Context, out io.Writer, c config) error {
	s, err := startStandIns(c.host)
	if err != nil {
		return err
	}
	defer s.stop()
	r, err := newReport(out, c, s.vault.URL())
	if err != nil {
		return err
	}
	r.text("Stand-ins on loopback take the place of Azure. To read from a real vault: -vault and " +
		"-secret, see -h.\n")
	r.head()

	// The only thing that differs from a real vault: where its name leads to, and whose certificates
	// are trusted.
	options := &azsecrets.ClientOptions{ClientOptions: policy.ClientOptions{Transport: s.vault.Client}}
	before := map[string]string{}
	for i, names := range [][]string{standins.SecretsInVault[:5], standins.SecretsInVault[5:]} {
		values, err := readSecrets(ctx, s.vault.URL(), c.ID, options, names...)
		if err != nil {
			return err
		}
		r.text("")
		r.line(fmt.Sprint("Client ", i+1), "has a credential of its own, and read %s",
			count(len(values), "secret"))
		r.secrets(values)
		maps.Copy(before, values)
	}

	r.text("")
	if err := r.token(ctx); err != nil {
		return err
	}
	r.counts(s)
	if !c.outage {
		return nil
	}
	return readInOutage(ctx, r, s, c, options, before)
}

// readInOutage takes the identity endpoint down and reads everything again, with a client and a
// credential that are new: the clients so far hold the token themselves and wouldn't ask for it.
func readInOutage(
	ctx context.Context, r *report, s *standIns, c config, options *azsecrets.ClientOptions,
	before map[string]string,
) error {
	s.endpoint.Enqueue(identitytest.Response{Status: http.StatusServiceUnavailable, For: outageTime})
	status, err := get(ctx, s.client, r.detection.Endpoint)
	if err != nil {
		return err
	}
	r.text("")
	r.line("Outage", "the identity endpoint now answers %s; the held token lasts for another %s",
		status, inWords(time.Until(r.ends)))

	asked := len(s.endpoint.Requests())
	values, err := readSecrets(ctx, s.vault.URL(), c.ID, options, standins.SecretsInVault...)
	if err != nil {
		return err
	}
	same := "all as before"
	if !maps.Equal(values, before) {
		same = "not all as before"
	}
	r.line("Client 3", "is new, has a new credential, and read %s, %s", count(len(values), "secret"),
		same)
	asked = len(s.endpoint.Requests()) - asked
	r.line("Requests", "%d to the identity endpoint since the outage began, beside this program's "+
		"own look at it", asked)
	return nil
}

// get tells what an endpoint answers.
func get(ctx context.Context, client *http.Client, endpoint string) (status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	return resp.Status, resp.Body.Close()
}

// report prints what happens.
type report struct {
	out        io.Writer
	detection  identity.Detection
	credential *identity.Credential // to look at the token that the clients have used
	identity   string
	vault      string
	ends       time.Time // of the token
}

func newReport(out io.Writer, c config, vault string) (*report, error) {
	credential, err := identity.NewCredential(&identity.CredentialOptions{ID: c.ID})
	if err != nil {
		return nil, err
	}
	id := defaultOf(credential.Host())
	if c.ID != nil {
		id = c.Kind + " " + c.ID.String()
	}
	return &report{out: out, detection: identity.Detect(), credential: credential, identity: id,
		vault: vault}, nil
}

// defaultOf says which identity a host's default is, where that isn't for the host alone to say.
func defaultOf(host identity.Host) string {
	const text = "the host's default"
	switch host {
	case identity.HostServiceFabric:
		return text + ", which the application's manifest names"
	case identity.HostCloudShell:
		return text + ", which is the signed-in user"
	case identity.HostWorkloadIdentity:
		return text + ", which AZURE_CLIENT_ID names"
	}
	return text
}

func (r *report) text(text string) { _, _ = fmt.Fprintln(r.out, text) }

func (r *report) line(label, format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, "%-10s%s\n", label, fmt.Sprintf(format, args...))
}

// head is what is known before anything is sent.
func (r *report) head() {
	r.line("Host", "%s, because %s", r.credential.Host(), r.detection.Reason)
	r.line("Endpoint", "%s", r.detection.Endpoint)
	r.line("Identity", "%s", r.identity)
	r.line("Vault", "%s", r.vault)
}

func (r *report) secrets(values map[string]string) {
	width := 0
	for name := range values {
		width = max(width, len(name))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		r.line("", "%-*s  %s", width, name, values[name])
	}
}

// token shows the token that the clients have used. It comes out of the process's cache: all
// credentials of one identity share one.
func (r *report) token(ctx context.Context) error {
	scope := vaultScope(r.vault)
	// EnableCAE, as the clients set it: some hosts have another token for those who don't understand
	// claims challenges.
	token, err := r.credential.GetToken(ctx,
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
	if err != nil {
		return err
	}
	r.ends = token.ExpiresOn
	r.line("Token", "for %s", strings.TrimSuffix(scope, "/.default"))
	r.line("Expires", "%s", when(token.ExpiresOn))
	r.line("Renewal", "%s, in the background, at the first use from then on", when(token.RefreshOn))
	return nil
}

func when(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05 MST") + ", in " + inWords(time.Until(t))
}

// vaultScope is what a token for the vault is for: https://vault.azure.net, or the same in another
// cloud. The client learns it from the vault's challenge, and refuses one that doesn't match the
// vault's name.
func vaultScope(vaultURL string) string {
	domain := ""
	if u, err := url.Parse(vaultURL); err == nil {
		_, domain, _ = strings.Cut(u.Hostname(), ".")
	}
	return "https://" + domain + "/.default"
}

// counts is what the stand-ins have seen.
func (r *report) counts(s *standIns) {
	vault := s.vault.Counted()
	for _, id := range vault.Readers {
		r.line("Reader", "%s, as the vault read in the token", describe(id))
	}
	r.line("Requests", "%s, for %s", identityRequests(s.endpoint.Requests()),
		count(vault.Reads, "secret"))
	r.line("", "%d to the vault: %d to learn what a token must be for, %d with the token",
		vault.Requests, vault.Challenges, vault.Requests-vault.Challenges)
}

// identityRequests counts them. Only Azure Arc's have an Authorization header: its first answer
// names a file, the content of which makes the second request a proof of who asks.
func identityRequests(requests []*http.Request) string {
	text, proofs := fmt.Sprintf("%d to the identity endpoint", len(requests)), 0
	for _, r := range requests {
		if r.Header.Get("Authorization") != "" {
			proofs++
		}
	}
	if proofs > 0 {
		text += fmt.Sprintf(" (%d to learn which key file to read, %d with the key)",
			len(requests)-proofs, proofs)
	}
	return text
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}

// inWords is a duration for people: whole minutes are enough.
func inWords(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	d = d.Round(time.Minute)
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
}
