package recorder

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/record"
)

var (
	media    = regexp.MustCompile(`^[a-z]{3,15}/[a-z.+-]{2,40}(; ?charset="?[A-Za-z0-9-]{3,12}"?)?$`)
	products = regexp.MustCompile(`^[A-Za-z-]{2,30}(/[A-Za-z-]{0,8}\d{0,4}(\.\d{1,6}){0,4})?$`)
	seconds  = regexp.MustCompile(`^\d{1,9}$`)
	realm    = regexp.MustCompile(`^(?i:Basic realm=)(.*)$`)
)

// header keeps the lines by which a host is recognised and a client is told what to do, and says
// how many others there were.
func (m *mask) header(h http.Header) (kept record.Header, left int) {
	kept = record.Header{}
	for name, values := range h {
		for _, value := range values {
			masked, known := m.line(name, value)
			if !known {
				left++
				continue
			}
			kept[name] = append(kept[name], masked)
		}
	}
	return kept, left
}

func (m *mask) line(name, value string) (masked string, known bool) {
	known = true
	keep := func(form *regexp.Regexp) string {
		if form.MatchString(value) {
			return value
		}
		return m.named("TEXT", value)
	}
	switch name {
	case "Metadata":
		masked = m.text(value)
	case "X-Identity-Header", "Secret", "X-Ms-Azure-Host-Authorization":
		masked = m.secret(value)
	case "Authorization":
		scheme, rest, _ := strings.Cut(value, " ")
		if !slices.Contains([]string{"Basic", "Bearer", "bearer"}, scheme) {
			return m.secret(value), true
		}
		masked = scheme + " " + m.named("KEY", rest)
	case "Content-Type", "Accept":
		masked = keep(media)
	case "Server":
		masked = keep(products)
	case "Retry-After", "Retry-After-Ms", "X-Ms-Retry-After-Ms":
		if _, err := http.ParseTime(value); err == nil {
			return value, true
		}
		masked = keep(seconds)
	case "Date":
		if _, err := http.ParseTime(value); err != nil {
			return m.named("TEXT", value), true
		}
		masked = value
	case "Connection":
		masked = keep(regexp.MustCompile(`^(?i:close|keep-alive)$`))
	case "Www-Authenticate":
		if file := realm.FindStringSubmatch(value); file != nil {
			return "Basic realm=" + m.keyFile(file[1]), true
		}
		masked = m.text(value)
	case "X-Ms-Request-Id", "X-Ms-Correlation-Request-Id", "Client-Request-Id",
		"X-Ms-Client-Request-Id":
		masked = m.id(value)
	case "Location":
		masked = m.url(value)
	default:
		known = false
	}
	return masked, known
}

// agentDirectories are where Azure Arc's agent has its keys.
var agentDirectories = []string{"/var/opt/azcmagent/tokens/",
	`C:\ProgramData\AzureConnectedMachineAgent\Tokens\`}

// keyFile is the path of one of Azure Arc's keys. Whether it is in the agent's directory stays.
func (m *mask) keyFile(file string) string {
	for _, directory := range agentDirectories {
		if name, ok := strings.CutPrefix(file, directory); ok && !strings.ContainsAny(name, `/\`) {
			return directory + m.named("NAME", name) + path.Ext(name)
		}
	}
	return m.named("PATH", file)
}
