package identity

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/principal"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

// imds is the Instance Metadata Service of virtual machines, scale sets, AKS and Batch nodes,
// Container Instances and Spring Apps.
//
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
type imds struct {
	url      string
	id       ID
	who      principal.ID // the same, as the engine knows it
	env      environment  // for otherHost
	expected string       // why it should be there, "" if nothing says so
}

// imdsAtOnce is how many requests go to one IMDS at once. A VM's answers 429 if there are more:
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#rate-limiting
const imdsAtOnce = 5

func newIMDS(env environment, options settings) (anyHost, error) {
	endpoint, err := detect.IMDSEndpoint(env.machine())
	if err != nil {
		return nil, err
	}
	return &imds{url: endpoint, id: options.ID, who: selected(options.ID), env: env,
		expected: detect.ExpectsIMDS(env.machine())}, nil
}

func (s *imds) host() Host       { return HostIMDS }
func (s *imds) Name() string     { return HostIMDS.String() }
func (s *imds) Answerer() string { return HostIMDS.String() }
func (s *imds) Identity() string { return inWords(s.id) }
func (s *imds) Endpoint() string { return s.url } // which has neither user info nor a query
func (s *imds) Address() string  { return s.url }
func (s *imds) identity() ID     { return s.id }

// Call asks for a token. Container Instances know the resource ID as msi_res_id only.
func (s *imds) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	endpoint, err := url.Parse(s.url)
	if err != nil {
		return acquire.Call{}, err
	}
	selector, value := s.who.Parameter("client_id", "object_id", "msi_res_id")
	u := transport.WithQuery(endpoint, selector, value, "api-version", "2018-02-01", "resource", r.Resource)
	return acquire.Call{Method: http.MethodGet, URL: u, Header: http.Header{"Metadata": {"true"}}}, nil
}

// Recognises tells IMDS from whatever else may answer at its address: Docker Desktop's proxy with a
// 403, a gateway with a 404 page, a captive portal with a 200. IMDS names itself in the Server
// header, or sends a JSON object with an error or a token; its look-alikes (the workload identity
// proxy, test doubles) do the latter.
func (s *imds) Recognises(a acquire.Answer) bool {
	server := a.Header.Get("Server")
	if strings.HasPrefix(server, "IMDS/") ||
		strings.HasPrefix(server, "azure-workload-identity/proxy") {
		return true
	}
	return token.IsOAuth(a.Body) || s.saysAzure(a)
}

// saysAzure recognises what only Azure is known to say at IMDS's address, although it is no JSON
// and doesn't have IMDS's name. Of an answer that broke off, the status and the headers say it.
//
//   - 410, and no page with it: IMDS is being updated.
//   - "Required metadata header not specified" as text: Container Instances, with "or not correct"
//     behind it.
//   - 5xx as text of "Microsoft-IIS": IMDS is starting anew.
//   - What the guest proxy agent of a VM with the Metadata Security Protocol says: see
//     fromGuestAgent.
//
// Docker Desktop, Firecracker, gateways and other clouds' services say who they are, or have a
// text.
func (s *imds) saysAzure(a acquire.Answer) bool {
	body := strings.TrimSpace(string(a.Body))
	kind := a.Header.Get("Content-Type")
	switch {
	case a.Status == http.StatusGone:
		return !strings.HasPrefix(body, "<") && !strings.HasPrefix(kind, "text/html")
	case a.Status == http.StatusBadRequest &&
		strings.HasPrefix(body, "Required metadata header not specified"):
		return true
	// moved by a variable, to something that may be neither
	case !strings.HasPrefix(s.url, detect.IMDSBase+"/"):
		return false
	case a.Status >= 500 && strings.HasPrefix(a.Header.Get("Server"), "Microsoft-IIS/"):
		return strings.HasPrefix(kind, "text/plain")
	}
	return fromGuestAgent(a)
}

// fromGuestAgent recognises the guest proxy agent, which stands before IMDS on VMs with the
// Metadata Security Protocol. It closes the connection after a refusal, which has no body, and only
// the headers that each answer has: 403 for programs that the VM's allow list doesn't have, 421 and
// 500 where it doesn't know who asks, 502 and 503 where it can't reach IMDS. It marks what it
// passes on.
//
// https://github.com/Azure/GuestProxyAgent/blob/main/proxy_agent/src/proxy/proxy_server.rs
func fromGuestAgent(a acquire.Answer) bool {
	if a.Header.Get("X-Ms-Azure-Host-Authorization") != "" {
		return true
	}
	switch a.Status {
	case http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable:
	default:
		return false
	}
	if a.Raw == nil { // it broke off: there was a body
		return false
	}
	// net/http says so in the field, other Transports in the header
	closes := a.Raw.Close || strings.EqualFold(a.Header.Get("Connection"), "close")
	for name := range a.Header {
		if name != "Connection" && name != "Content-Length" && name != "Date" {
			return false
		}
	}
	return closes && len(a.Body) == 0
}

// otherHost is added to hints where another host may be meant.
func (s *imds) otherHost() string {
	half := detect.OtherHost(s.env.machine())
	if half == "" {
		return ""
	}
	return " IMDS was asked because " + half
}

// Mismatch implements acquire.Host.
func (s *imds) Mismatch(t token.Token) string { return s.who.Mismatch(t, false) }

// NotAssigned: IMDS refuses an identity with 400 invalid_request. A resource that doesn't exist is
// invalid_resource.
func (s *imds) NotAssigned(status int, said failure.Said) bool {
	return status == http.StatusBadRequest && said.Code == "invalid_request" && !said.FromEntra()
}

func (s *imds) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer && s.expected != "":
		return "nothing at " + s.Endpoint() + " is IMDS, though it should be: " + s.expected +
			". May this process reach that address?"
	case status == acquire.NoAnswer:
		return "nothing at " + s.Endpoint() + " is IMDS: is this an Azure VM, and may this process reach that address?" + s.otherHost()
	case s.NotAssigned(status, said) && s.id != nil:
		return "is " + inWords(s.id) + " assigned to this VM?" + s.otherHost()
	case s.NotAssigned(status, said):
		return "is a system-assigned identity enabled on this VM? Set CredentialOptions.ID to choose a user-assigned one" + s.otherHost()
	case status == http.StatusForbidden && said == (failure.Said{}):
		return "is this program on the VM's allow list for IMDS? The guest proxy agent (Metadata Security Protocol) refuses all others"
	case (status == http.StatusMisdirectedRequest || status >= 500) && said == (failure.Said{}):
		return "IMDS is starting, or the VM's guest proxy agent (Metadata Security Protocol) before it is"
	case status == http.StatusTooManyRequests:
		return "IMDS serves 20 token requests a second and 5 at once per VM: what else on this VM asks it?"
	case status == http.StatusNotFound || status == http.StatusGone:
		return "IMDS is being updated, or the identity was assigned a moment ago: this passes within a few minutes"
	}
	return ""
}

// Rules: the budget covers the 70 seconds within which IMDS promises to be back from an update
// (410), and leaves 5 for the last try. IMDS asks for at least a second between a 5xx and the next
// try. If nothing answers within 5 s, and nothing ever has, there is no IMDS. 40 s per try: IMDS
// answers a cold request from Entra within seconds, but a node under load has been seen to take
// half a minute. Where something says that IMDS should be there, it gets as much time as a host
// that a variable names. A 421 comes from the guest proxy agent while it doesn't know the
// connection yet.
//
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
func (s *imds) Rules() acquire.Rules {
	r := acquire.Rules{Unavailable: true, AtOnce: imdsAtOnce, Rules: retry.Rules{
		Budget:      75 * time.Second,
		Unanswered:  5 * time.Second,
		TryTimeout:  40 * time.Second,
		Delay:       1750 * time.Millisecond, // retry.Rules.Range says why
		MaxDelay:    5 * time.Second,
		ServerDelay: time.Second,
		Passes:      http.StatusGone,
		Retries: func(status int) bool {
			return status == http.StatusNotFound || status == http.StatusGone ||
				status == http.StatusMisdirectedRequest || retry.Anywhere(status)
		},
	}}
	if s != nil && s.expected != "" {
		r.Unanswered, r.Unavailable = retry.Usual().Unanswered, false
	}
	return r
}
