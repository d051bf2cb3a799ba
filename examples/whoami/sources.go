package main

import (
	"os"
	"regexp"
	"strings"

	"github.com/keyless-go/identity"
)

// The variables that the default credential reads.
const (
	envClientID = "AZURE_CLIENT_ID"
	envSelects  = "AZURE_TOKEN_CREDENTIALS"
)

// words are the values that the library knows, and no secret.
var words = regexp.MustCompile(`^[A-Za-z]{0,40}$`)

// selection is what is said of the variable by which the default credential's sources are selected.
// Somebody may have put a secret there by mistake.
func selection() identity.Evidence {
	value := strings.TrimSpace(os.Getenv(envSelects))
	e := identity.Evidence{Name: envSelects, Set: value != "", Value: value}
	if !words.MatchString(value) {
		e.Value, e.Withheld = "", true
	}
	return e
}

// constructor is the one of the library whose credential is asked.
func (c config) constructor() string {
	switch {
	case c.federation.Asked():
		return "NewFederatedCredential"
	case c.managed:
		return "NewCredential"
	}
	return "NewDefaultCredential"
}

// asked is whose token is asked for, in words. first is the Status of the credential's first
// source, which knows what the variables say.
func (c config) asked(first identity.Status) string {
	own := "the host's default identity"
	switch variable := os.Getenv(envClientID); {
	case c.ID != nil:
		own = "the identity with " + c.Kind + " " + c.ID.String()
	case first.Host != "" && first.Identity == "" && variable != "":
		own += " (NewCredential doesn't read " + envClientID + " here)"
	case first.Host != "" && first.Identity != "":
		name := envClientID
		if os.Getenv(name) == "" || c.managed && first.Host == identity.HostAzureML {
			name = "DEFAULT_IDENTITY_CLIENT_ID"
		}
		own = "the identity with " + first.Identity + ", which " + name + " names"
	}
	switch {
	case c.federation.Asked():
		by := c.federation.String()
		if c.federation.OfIdentity() {
			by = "the token of " + own
		}
		return "application " + c.federation.Application.String() + " in tenant " + c.tenant +
			", by " + by
	case first.Host == "" && first.Endpoint != "": // a job that is an application
		return "the application with " + first.Identity + ", which this job's variables name"
	case first.Host == "" && first.Reason != "":
		return "whoever is logged in here"
	}
	return own
}

// source is one of the default credential's.
type source struct {
	Name string `json:"name"`
	Gave bool   `json:"gave"`          // the token is of this one
	Why  string `json:"why,omitempty"` // not, as the library says it

	asked, tool bool
}

// told enters what became of the credential's sources.
func (r *report) told(credential identity.Reporter) {
	for _, s := range credential.Statuses() {
		if !ofTool(s) {
			for _, resource := range s.Resources {
				r.Requests += resource.Requests // of the one resource that this process asks for
			}
		}
	}
	chain, ok := credential.(*identity.Chain)
	if !ok {
		return
	}
	status := chain.Status()
	because := ", because " + status.Azure
	for _, s := range status.Sources {
		own := source{Name: s.Name, Gave: s.Name == status.InUse, Why: s.LastError}
		own.tool = s.Credential != nil && ofTool(*s.Credential)
		own.asked = own.Gave || s.LastError != ""
		switch {
		case own.Gave:
			own.Why = ""
		case own.asked:
		case own.tool && status.Azure != "":
			own.Why = "not asked: this is Azure" + because
			because = "" // once is enough
		default:
			own.Why = "not asked"
		}
		r.Sources = append(r.Sources, own)
	}
}

// ofTool reports whether a source is one of the developer's tools.
func ofTool(s identity.Status) bool { return s.Host == "" && s.Endpoint == "" }

// toolsAsked are the developer's tools that were run, as a sentence lists them.
func (r *report) toolsAsked() string {
	var names []string
	for _, s := range r.Sources {
		if s.asked && s.tool {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " and ")
}

// toolInUse is the developer's tool that gave the token, "" for none.
func (r *report) toolInUse() string {
	for _, s := range r.Sources {
		if s.Gave && s.tool {
			return s.Name
		}
	}
	return ""
}

// onlyTools reports whether the variable leaves no other source.
func (r *report) onlyTools() bool {
	for _, s := range r.Sources {
		if !s.tool {
			return false
		}
	}
	return len(r.Sources) > 0
}
