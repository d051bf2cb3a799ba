package identity

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/keyless-go/identity/identitytest"
)

var nobodyListens transportFunc = func(*http.Request) (*http.Response, error) {
	return nil, refused()
}

// TestProxyThatIsNotUsed: no endpoint that a variable names is asked through a proxy. Where one may
// be the way, the error says so, and how.
func TestProxyThatIsNotUsed(t *testing.T) {
	for _, tt := range []struct {
		name, variable, endpoint string
		proxy                    string // the variable; "" for none
		want                     bool
	}{
		{"a made-up name", "MSI_ENDPOINT", "https://azure-msi.teleport.dev/key", "HTTPS_PROXY", true},
		{"in small letters", "MSI_ENDPOINT", "https://azure-msi.teleport.dev/key", "https_proxy", true},
		{"App Service's variable", "IDENTITY_ENDPOINT", "https://20.1.2.3/msi/token", "HTTPS_PROXY",
			true},
		{"no proxy", "MSI_ENDPOINT", "https://azure-msi.teleport.dev/key", "", false},
		{"the proxy of http", "MSI_ENDPOINT", "https://azure-msi.teleport.dev/key", "HTTP_PROXY", false},
		{"plain http", "MSI_ENDPOINT", "http://azure-msi.teleport.dev/key", "HTTPS_PROXY", false},
		{"this machine", "MSI_ENDPOINT", "https://localhost:2377/token", "HTTPS_PROXY", false},
		{"loopback", "MSI_ENDPOINT", "https://127.0.0.1:2377/token", "HTTPS_PROXY", false},
		{"link-local", "MSI_ENDPOINT", "https://169.254.1.2/token", "HTTPS_PROXY", false},
		{"private", "MSI_ENDPOINT", "https://10.0.0.2/token", "HTTPS_PROXY", false},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			env := environmentOf(map[string]string{tt.variable: tt.endpoint,
				tt.proxy: "http://proxy.example:8080"})
			if tt.variable == "IDENTITY_ENDPOINT" {
				env = environmentOf(map[string]string{tt.variable: tt.endpoint,
					"IDENTITY_HEADER": "s", tt.proxy: "http://proxy.example:8080"})
			}
			e, _ := mustFail(t, credentialAt(t, env, nobodyListens))
			wantErrorText(t, e, "is that where "+tt.variable+" should point?")
			if got := strings.Contains(e.Error(),
				"It was asked without the proxy of "+tt.proxy+": "); got != tt.want {
				t.Errorf("it tells of the proxy: %v, want %v: %v", got, tt.want, e)
			}
			if strings.Contains(e.Error(), "proxy.example") {
				t.Errorf("it shows the variable: %v", e)
			}
		})
	}
}

// TestAppWithoutIdentity: App Service and Container Apps set no variable of a host where the app
// has no identity, so that IMDS is asked, which is not there. The error says what is missing.
func TestAppWithoutIdentity(t *testing.T) {
	const assign = "which sets it where the app has an identity: assign one"
	for _, tt := range []struct {
		name      string
		variables map[string]string
		want      string // "" for nothing of an app
	}{
		{"App Service", map[string]string{"WEBSITE_SITE_NAME": "shop"},
			"IDENTITY_ENDPOINT is not set. WEBSITE_SITE_NAME says that this is App Service, " + assign},
		{"switched off", map[string]string{"WEBSITE_SITE_NAME": "shop", "WEBSITE_DISABLE_MSI": "true"},
			"this is App Service, where WEBSITE_DISABLE_MSI switches the token endpoint off"},
		{"Container Apps", map[string]string{"CONTAINER_APP_NAME": "shop"},
			"CONTAINER_APP_NAME says that this is Container Apps, " + assign},
		{"a job of Container Apps", map[string]string{"CONTAINER_APP_JOB_NAME": "shop"},
			"CONTAINER_APP_JOB_NAME says that this is Container Apps, " + assign},
		{"a VM", nil, ""},
		{"a VM with an endpoint",
			map[string]string{"WEBSITE_SITE_NAME": "shop", "IDENTITY_ENDPOINT": "http://localhost/"}, ""},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			e, _ := mustFail(t, credentialAt(t, environmentOf(tt.variables), nobodyListens))
			wantErrorText(t, e, "IMDS", tt.want)
			if got := strings.Contains(e.Error(), "says that this is"); got != (tt.want != "") {
				t.Errorf("got %v", e)
			}
		})
	}
	bubbleIn(t, "App Service's endpoint is switched off", func(t *testing.T) {
		variables := variablesAt(identitytest.NewAppService(nil), "http://localhost:4141")
		variables["WEBSITE_DISABLE_MSI"] = "1"
		e, _ := mustFail(t, credentialAt(t, environmentOf(variables), nobodyListens))
		wantErrorText(t, e,
			"WEBSITE_DISABLE_MSI is set, which switches this app's token endpoint off")
		if errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v", e)
		}
	})
}
