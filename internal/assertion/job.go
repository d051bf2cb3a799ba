package assertion

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/transport"
)

// patience is how long an endpoint is waited for in one Get. It answers within a second or so; what
// is slower is stuck, and is asked again with the exchange.
const patience = 10 * time.Second

// job is what a service that runs jobs gives each of them: an endpoint, and a token to it. Both are
// in variables, which are read at each Get, since a long job gets new ones.
type job struct {
	name   string // of the endpoint, in errors
	getenv func(string) string
	client policy.Transporter

	endpoint, secret string // the variables' names
	example          string // of an endpoint
	field            string // of the JSON object in the answer, that has the assertion
	hint             func(status int) string
}

// connected is a job whose endpoint is asked by client; nil is for the default one.
func (j job) connected(client policy.Transporter) job {
	if client == nil {
		client = transport.Internet()
	}
	j.client = transport.Bounded(client)
	return j
}

// place is where the job's endpoint is, and the token to it.
func (j *job) place() (*url.URL, string, error) {
	u, err := check.URL(j.endpoint, j.getenv(j.endpoint), j.example)
	switch {
	case err != nil:
		return nil, "", err
	case u.Scheme != "https" && !check.IsLoopback(u.Hostname()):
		return nil, "", errors.New(j.endpoint + ": is not https: want a URL such as " +
			j.example)
	}
	secret := j.getenv(j.secret)
	return u, secret, check.Secret(j.secret, secret)
}

// proof tells jobs apart: whoever asks for one with another token may be refused.
func (j *job) proof(more string) string {
	return j.name + "\n" + j.getenv(j.endpoint) + "\n" + more + "\n" + j.getenv(j.secret)
}

// with is u with parameters in its query, in place of those of the same names. What else is there
// may be a key, and stays as it is.
func with(u *url.URL, parameters url.Values) *url.URL {
	var query []string
	for own := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(own, "=")
		if name, err := url.QueryUnescape(name); own != "" && (err != nil || !parameters.Has(name)) {
			query = append(query, own)
		}
	}
	other := *u
	other.RawQuery = strings.Join(append(query, parameters.Encode()), "&")
	return &other
}

// ask sends one request to the endpoint at u and reads the assertion in the answer.
func (j *job) ask(
	ctx context.Context, method string, u *url.URL, parameters url.Values, header http.Header,
	secret string,
) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secrets := []string{secret}
	for _, values := range u.Query() {
		for _, value := range values {
			if len(value) >= redact.LeastSecret {
				secrets = append(secrets, value)
			}
		}
	}
	req, err := http.NewRequestWithContext(transport.WithSecrets(ctx, secrets), method,
		with(u, parameters).String(), http.NoBody)
	if err != nil {
		return "", errors.New(j.name + ": can't make a request of the URL in " + j.endpoint)
	}
	req.Header = header
	resp, err := j.client.Do(req)
	if err != nil {
		return "", j.silence(ctx, u, err, secrets)
	}
	return j.read(resp, secrets)
}

// silence is a request without an answer, or without all of one.
func (j *job) silence(ctx context.Context, at *url.URL, err error, secrets []string) error {
	var u *url.Error
	if errors.As(err, &u) { // which repeats the URL with its query
		err = u.Err
	}
	why := redact.Line(redact.Text(err.Error(), secrets...))
	var body *transport.BodyError
	switch {
	case errors.As(err, &body):
		f := errors.New(j.name + ": " + why)
		if errors.Is(err, transport.ErrTooLarge) {
			return f
		}
		return failure.AtNextTry(f)
	case ctx.Err() != nil:
		why = "no answer in time"
	default:
		why = "no answer: " + why + failure.CertificateAdvice(err)
	}
	f := errors.New(j.name + ": " + why + ": may this machine reach " + redact.ParsedURL(at) +
		", and is HTTPS_PROXY right?")
	switch verdict := failure.OfTransport(err); {
	case ctx.Err() != nil || verdict == failure.Again:
		return failure.AtNextTry(f)
	case verdict == failure.Later:
		return failure.InAWhile(f)
	}
	return f
}
