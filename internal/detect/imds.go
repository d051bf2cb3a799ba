package detect

import (
	"cmp"
	"errors"
	"strings"

	"github.com/keyless-go/identity/internal/check"
)

const (
	// IMDSBase is IMDS's fixed address, unless a variable moves it.
	IMDSBase = "http://169.254.169.254"
	imdsPath = "/metadata/identity/oauth2/token"
)

// imds takes whatever no other host claimed.
func imds(m Machine) (endpoint, reason string, ok bool) {
	endpoint, err := IMDSEndpoint(m)
	if err != nil {
		endpoint = m.Getenv(EnvAuthority)
	}
	reason = cmp.Or(halfOfAHost(m), "no other host's variables are set")
	if path := arcUnseen(m); path != "" {
		reason = "whether " + path + " exists can't be seen, and " + reason
	}
	if m.onAzureVM() {
		reason = "the chassis asset tag is that of an Azure virtual machine, and " + reason
	}
	if m.has(EnvAuthority) {
		reason = EnvAuthority + " is set, and " + reason
	}
	return endpoint, reason, true
}

// IMDSEndpoint is IMDS's token endpoint: at the fixed address, or where
// AZURE_POD_IDENTITY_AUTHORITY_HOST moves it. It has neither user info nor a query. An error names
// the variable, without its value.
func IMDSEndpoint(m Machine) (string, error) {
	base := m.Getenv(EnvAuthority)
	if base == "" {
		return IMDSBase + imdsPath, nil
	}
	const example = "http://127.0.0.1:8080"
	u, err := check.URL(EnvAuthority, base, example)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" {
		return "", errors.New(EnvAuthority + ": contains a query: want a URL such as " +
			example)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if !strings.HasSuffix(strings.ToLower(path), imdsPath) {
		path += imdsPath
	}
	return u.Scheme + "://" + u.Host + path, nil
}

// ExpectsIMDS says why an IMDS, or another host of Azure's, should be here. Its silence is then a
// fault. Otherwise, with "", silence means that this isn't Azure. That the machine of a pipeline is
// one of Azure's says nothing of an identity.
func ExpectsIMDS(m Machine) string {
	machine := Pipeline(m) == "" && (m.onAzureVM() || arcUnseen(m) != "")
	if !machine && !m.has(EnvAuthority) && halfOfAHost(m) == "" {
		return ""
	}
	_, reason, _ := imds(m)
	return reason
}

// OtherHost says why another host than IMDS may be meant, for the hint of an error of IMDS's; ""
// where nothing speaks for one.
func OtherHost(m Machine) string { return cmp.Or(halfOfAHost(m), appWithoutIdentity(m)) }

// halfOfAHost names variables that make a host only together with others: the likeliest reason for
// asking IMDS where there is none. It is "" if there are none.
func halfOfAHost(m Machine) string {
	var alone []string
	for _, name := range []string{EnvEndpoint, EnvHeader, EnvThumbprint, EnvIMDS, EnvMSISecret} {
		if m.has(name) {
			alone = append(alone, name)
		}
	}
	switch {
	case len(alone) == 0:
		return ""
	case !m.has(EnvEndpoint) && m.has(EnvHeader): // half of Service Fabric's variables
		return EnvEndpoint + " is not set, only " + strings.Join(alone, " and ") +
			", as on Container Instances, which use IMDS"
	}
	return "no other host has just " + strings.Join(alone, " and ")
}
