package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/keyless-go/identity"
)

// line prints a label and what stands behind it. The width is that of "Application (client) ID" and
// two blanks.
func line(out io.Writer, label, format string, args ...any) {
	_, _ = fmt.Fprintf(out, "%-25s%s\n", label, fmt.Sprintf(format, args...))
}

// printHost is what is known before anything is sent.
func (r *report) printHost(out io.Writer) {
	if r.Fake != "" {
		line(out, "Stand-in", "%s, on loopback: this is not Azure", r.Fake)
	}
	line(out, "Host", "%s", r.Host)
	line(out, "Because", "%s", r.Reason)
	line(out, "Endpoint", "%s", r.Endpoint)
	var variables, files []identity.Evidence
	for _, e := range r.Evidence {
		if e.File {
			files = append(files, e)
		} else {
			variables = append(variables, e)
		}
	}
	printEvidence(out, "Variables", variables)
	printEvidence(out, "Files", files)
}

// printEvidence is a table below one label.
func printEvidence(out io.Writer, label string, list []identity.Evidence) {
	width := 0
	for _, e := range list {
		width = max(width, len(e.Name))
	}
	for _, e := range list {
		line(out, label, "%-*s  %s", width, e.Name, finding(e))
		label = ""
	}
}

// finding is what was found, in words. An empty variable counts as unset.
func finding(e identity.Evidence) string {
	switch {
	case e.File && !e.Set:
		return "does not exist"
	case e.File && e.Withheld:
		return "exists, and is not Azure's"
	case e.File && e.Value != "":
		return e.Value // what it says, or why that can't be seen
	case e.File:
		return "exists"
	case !e.Set:
		return "not set"
	case e.Withheld:
		return "(set, not shown)"
	}
	return e.Value
}

// printAnswer is the rest, if the library has let pass what it was asked for: nothing in that
// breaks a line.
func (r *report) printAnswer(out io.Writer) {
	_, _ = fmt.Fprintln(out)
	line(out, "Credential", "%s", r.Asked.Credential)
	line(out, "Asked for", "%s, scope %s", r.Asked.Identity, r.Asked.Scope)
	r.printSources(out)
	line(out, "Answers", "%s", r.answer())
	if r.Token == nil {
		return
	}
	_, _ = fmt.Fprintln(out)
	if p := r.Identity; p != nil {
		line(out, "Type", "%s", typeNames[p.Type])
		for _, row := range []struct{ label, value string }{
			{"Application (client) ID", p.ApplicationID},
			{"Object ID", p.ObjectID},
			{"Tenant ID", p.TenantID},
			{"Resource ID", p.ResourceID},
		} {
			if row.value == "" {
				row.value = "not in the token"
			}
			line(out, row.label, "%s", row.value)
		}
		if p.UsedBy != "" {
			line(out, "Used by", "%s", p.UsedBy)
		}
	} else {
		line(out, "Type", "unknown: the token is opaque (no JWT), and only the resource can read it")
	}
	line(out, "Token for", "%s", r.Token.For)
	line(out, "Expires", "%s, in %s", r.Token.ExpiresOn.Format("2006-01-02 15:04:05 MST"),
		inWords(time.Until(r.Token.ExpiresOn)))
	r.printFooter(out)
}

// printSources is a table of the default credential's, if it has several.
func (r *report) printSources(out io.Writer) {
	if len(r.Sources) < 2 {
		return
	}
	width, asked := 0, 0
	for _, s := range r.Sources {
		width = max(width, len(s.Name))
		if s.asked {
			asked++
		}
	}
	label := "Sources"
	for _, s := range r.Sources {
		why := s.Why
		switch {
		case s.Gave:
			why = "gave the token"
		case s.asked && asked == 1 && r.Error != nil:
			why = "no token, see below"
		}
		line(out, label, "%-*s  %s", width, s.Name, why)
		label = ""
	}
}

var typeNames = map[string]string{
	systemAssigned: "system-assigned managed identity, a service principal",
	userAssigned:   "user-assigned managed identity, a service principal",
	application:    "application, a service principal without a resource in Azure",
	user:           "user, no service principal",
	unknown:        "unknown: the token doesn't say",
}

// answer says whether the host's endpoint answers, or who else does.
func (r *report) answer() string {
	words := "no"
	switch tool := r.toolInUse(); {
	case tool != "" && r.onlyTools():
		words = "not asked, the token is of " + tool
	case tool != "":
		words += ", the token is of " + tool
	case r.Token != nil:
		words = "yes"
	case r.Answers:
		words = fmt.Sprintf("yes, but with %d and no token", r.Status)
	case r.Status != 0:
		words = fmt.Sprintf("no: something else does, with %d", r.Status)
	case r.Error.Kind == timedOut:
		words = "not in time"
	case r.Error.Kind == notSent, r.onlyTools():
		return "not asked"
	}
	unit := time.Microsecond
	elapsed := time.Duration(r.ElapsedMS * float64(time.Millisecond))
	switch {
	case elapsed > time.Second:
		unit = 100 * time.Millisecond
	case elapsed > time.Millisecond:
		unit = time.Millisecond
	}
	requests := "1 request"
	if r.Requests != 1 {
		requests = fmt.Sprint(r.Requests, " requests")
	}
	return fmt.Sprintf("%s, in %v, %s", words, elapsed.Round(unit), requests)
}

// guids are the only IDs that are put into a command: it is to be copied into a shell, and nobody
// has verified the token.
var guids = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// printFooter says what these lines are worth and what to compare them with.
func (r *report) printFooter(out io.Writer) {
	if r.Identity == nil {
		return
	}
	_, _ = fmt.Fprintln(out, "\nRead from the token, not verified: the resource verifies it.")
	var commands [][2]string
	switch id := r.Identity.ApplicationID; {
	case r.Identity.Type == user:
		commands = [][2]string{
			{"az ad signed-in-user show", "id is the object ID"},
			{"Get-AzADUser -SignedIn", "Id is the object ID"},
		}
	case guids.MatchString(id):
		commands = [][2]string{
			{"az ad sp show --id " + id, "appId is the application (client) ID, id the object ID"},
			{"Get-AzADServicePrincipal -ApplicationId " + id,
				"AppId is the application (client) ID, Id the object ID"},
		}
	}
	if len(commands) > 0 {
		_, _ = fmt.Fprintln(out, "To compare:")
	}
	width := 0
	for _, c := range commands {
		width = max(width, len(c[0]))
	}
	for _, c := range commands {
		_, _ = fmt.Fprintf(out, "  %-*s  %s\n", width, c[0], c[1])
	}
}

// inWords is a duration for people, in whole minutes where it has some.
func inWords(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
