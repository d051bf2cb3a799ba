package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// explain tells what is missing and what to do.
func (c config) explain(e *identity.AuthenticationError, r *report) *problem {
	p := &problem{
		Message: e.Error(),
		asked:   "a token of " + r.Asked.Identity + " for " + e.Resource,
		whom:    c.whom(e, r),
	}
	federated := e.Host == "" && e.Endpoint != ""
	host := e.Host
	if federated { // a pod's host is Entra, too
		host = identity.HostWorkloadIdentity
	}
	switch {
	case federated && e.Attempts == 0 && !errors.Is(e, context.DeadlineExceeded):
		p.Kind = notSent
		p.Missing = "the assertion, " + c.assertion() + ": without it Entra is not asked"
		p.Advice = "put right what the error names, and ask again"
		if c.federation.OfIdentity() {
			p.Advice += "; without -application whoami says more of this machine's identity"
		}
	case errors.Is(e, identity.ErrUnavailable):
		p.Kind, p.Missing, p.Advice = c.nobody(r)
	case errors.Is(e, identity.ErrIdentityNotFound):
		p.Kind = identityNotFound
		p.Missing, p.Advice = c.assignment(e, r)
	case errors.Is(e, identity.ErrIdentityMismatch):
		p.Kind = identityMismatch
		p.Missing = r.Asked.Identity + ": a token of another came, and was thrown away"
		p.Advice = "assign the identity to this host; if it is assigned, the host ignores what selects " +
			"it, as older agents of Azure Arc do: bring it up to date"
	case errors.Is(e, identity.ErrThrottled):
		p.Kind = throttled
		p.Missing = "room for one more request: the host answers 429"
		p.Advice = "wait a minute; find out what else here asks for tokens, and whether it keeps them " +
			"until they end"
	case errors.Is(e, context.DeadlineExceeded):
		c.late(p, cmp.Or(e.Endpoint, r.Endpoint))
	case e.Host == "" && !federated:
		p.Kind = toolFailed
		p.Missing = "a token of the login: the tool has another reason than that nobody is logged in"
		p.Advice = "do what its words say, then ask again"
	case e.Attempts == 0:
		p.Kind = notSent
		p.Missing = "what a request needs: none was sent"
		p.Advice = "put right what the error names, and ask again"
	case e.StatusCode == 0 || stranger(e):
		p.Kind = noAnswer
		p.Missing = "an answer: nothing comes from " + e.Endpoint
		if e.StatusCode != 0 {
			p.Missing = "an answer of the host: something else answers at " + e.Endpoint
		}
		p.Advice = silence(host)
		if host == identity.HostIMDS && r.set(movesIMDS) {
			p.Advice += " Unset " + movesIMDS + " if IMDS isn't meant to be elsewhere"
		}
	default:
		p.Kind = refused
		p.Missing = fmt.Sprintf("a token that can be used: the answer is %d without one", e.StatusCode)
		p.Advice = "check what the error asks; if it says nothing of this host's setup, ask again in a " +
			"minute"
	}
	return p
}

const allSources = "the default credential's sources, one after the other"

// whom is who was asked. What a chain's sources said is in a table of its own.
func (c config) whom(e *identity.AuthenticationError, r *report) string {
	var who string
	switch {
	case e.Host != "":
		who = e.Host.String() + " at " + e.Endpoint + ", because " + r.Reason
	case e.Endpoint != "":
		return "Entra at " + e.Endpoint + ", by " + c.assertion()
	}
	switch tools := r.toolsAsked(); {
	case tools == "":
		return cmp.Or(who, allSources)
	case who == "":
		return tools
	default:
		return who + "; then " + tools
	}
}

// assertion says in words what proves to Entra who asks.
func (c config) assertion() string {
	if c.federation.Asked() {
		return c.federation.String()
	}
	return "the token of this job"
}

// outOfTime is for a chain, one of whose sources has said nothing yet: a tool, say.
func (c config) outOfTime(err error, r *report) *problem {
	p := &problem{
		Message: commandline.OneLine(err.Error()),
		asked:   "a token of " + r.Asked.Identity + " for " + strings.TrimSuffix(c.scope, "/.default"),
		whom:    allSources,
	}
	c.late(p, r.Endpoint)
	return p
}

func (c config) late(p *problem, endpoint string) {
	p.Kind = timedOut
	p.Missing = fmt.Sprintf("a token within %v", c.Timeout)
	p.Advice = fmt.Sprintf("wait longer with -timeout %v; if that is no help, is a firewall or a "+
		"proxy in the way of %s?", max(time.Minute, 2*c.Timeout), endpoint)
}

// nobody is for sources none of which is here.
func (c config) nobody(r *report) (kind, missing, advice string) {
	const login = "log in: az login or azd auth login"
	switch {
	case r.onlyTools():
		return noLogin, "a login of a developer: " + envSelects + " leaves nobody else", login
	case r.toolsAsked() != "":
		return unavailable, "a managed identity endpoint, and a developer's login: nothing here says " +
				"that this is Azure, and nobody is logged in",
			"on a laptop " + login + ", or see it with -fake imds; on Azure assign an identity to this " +
				"host"
	}
	return unavailable,
		"a managed identity endpoint: this is not Azure, or something keeps this process from " +
			"reaching it",
		"on a laptop leave -managed out and log in with az login, or see it with -fake imds; on Azure " +
			"assign an identity to this host"
}

const movesIMDS = "AZURE_POD_IDENTITY_AUTHORITY_HOST"

// assignment is what to do where the host doesn't have the identity.
func (c config) assignment(
	e *identity.AuthenticationError, r *report,
) (missing, advice string) {
	switch {
	case c.federation.Asked():
		return "application " + c.federation.Application.String() + ": Entra doesn't know it in tenant " +
				c.tenant + ", or it doesn't trust the assertion",
			"check -application and -tenant; let it trust what the error shows of the assertion: " +
				"az ad app federated-credential create"
	case e.Host == "":
		return r.Asked.Identity + ": Entra doesn't know it in its tenant, or it doesn't trust this job",
			"check AZURE_CLIENT_ID and AZURE_TENANT_ID; let it trust what the error shows of the " +
				"assertion: az ad app federated-credential create"
	}
	missing = r.Asked.Identity + ": this host doesn't have it"
	switch e.Host {
	case identity.HostIMDS:
		advice = "assign it: az vm identity assign, or the host's own command or its page Identity in " +
			"the portal"
	case identity.HostAppService:
		advice = "assign it: az webapp identity assign, az functionapp identity assign or az " +
			"containerapp identity assign"
	case identity.HostWorkloadIdentity:
		missing = r.Asked.Identity +
			": Entra doesn't know it, or it doesn't trust this pod's service account"
		advice = "check AZURE_CLIENT_ID and AZURE_TENANT_ID; let it trust the service account: az " +
			"identity federated-credential create"
	default:
		advice = "assign it to this host, in its template or on its page Identity in the portal"
	}
	if c.ID == nil && e.Host != identity.HostWorkloadIdentity {
		if e.ID == nil {
			advice += "; or select one that is assigned, with -client-id"
		} else {
			advice += "; or unset " + envClientID + ", or let it name one that is assigned"
		}
	}
	if r.Fake != "" {
		advice += " (-h lists the identities of the stand-ins)"
	}
	return missing, advice
}

// silence is what to do where an endpoint says nothing that should be there.
func silence(host identity.Host) string {
	const inherited = " was inherited from elsewhere, unset it; otherwise start this process anew, " +
		"with the variables that its host has now"
	switch host {
	case identity.HostIMDS:
		return "ask again; if IMDS stays silent, is a firewall or a proxy in the way, or IMDS being " +
			"updated?"
	case identity.HostArc:
		return "is the agent running? azcmagent show tells"
	case identity.HostWorkloadIdentity:
		return "let this process reach Entra: DNS, network policies and HTTPS_PROXY decide that, and " +
			"AZURE_AUTHORITY_HOST where Entra is"
	case identity.HostAzureML, identity.HostCloudShell:
		return "if MSI_ENDPOINT" + inherited
	}
	return "if IDENTITY_ENDPOINT" + inherited
}

// stranger reports whether something answered that isn't the host.
func stranger(e *identity.AuthenticationError) bool {
	return strings.Contains(e.Error(), "not an answer of ")
}

// set reports whether a variable is.
func (r *report) set(name string) bool {
	for _, e := range r.Evidence {
		if e.Name == name {
			return e.Set
		}
	}
	return false
}
