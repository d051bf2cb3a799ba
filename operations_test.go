package identity

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
)

// errNobodyListens is as Linux says it.
var errNobodyListens = errors.New("dial tcp: connect: connection refused")

// failures are those that docs/operations.md quotes whole, as they come out of the library.
var failures = map[string]func(t *testing.T) error{
	"IMDS refuses": func(t *testing.T) error {
		return failsAt(t, HostIMDS, nil, withID(ClientID(guid)))
	},
	"IMDS without a system-assigned identity": func(t *testing.T) error {
		ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{}, {}}})
		return fails(t, onIMDS(t, ep))
	},
	"no IMDS": func(t *testing.T) error {
		return fails(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errNobodyListens
		})))
	},
	"a gateway in its place": func(t *testing.T) error {
		return fails(t, onIMDS(t, always(http.StatusBadGateway, "<html>Bad Gateway</html>")))
	},
	"IMDS is down": func(t *testing.T) error {
		return failsAt(t, HostIMDS, &identitytest.Response{Status: 503, For: time.Hour})
	},
	"IMDS throttles": func(t *testing.T) error {
		return failsAt(t, HostIMDS, &identitytest.Response{Status: 429, For: time.Hour})
	},
	"App Service refuses": func(t *testing.T) error {
		return failsAt(t, HostAppService, nil, withID(ClientID(guid)))
	},
	"App Service doesn't answer": func(t *testing.T) error {
		return failsAt(t, HostAppService, &identitytest.Response{Err: errNobodyListens, For: time.Hour})
	},
	"Service Fabric refuses": func(t *testing.T) error {
		return failsAt(t, HostServiceFabric, &identitytest.Response{Status: 404})
	},
	"Container Instances on Windows refuses": func(t *testing.T) error {
		return failsAt(t, HostContainerInstances, &identitytest.Response{Status: 404})
	},
	"Azure ML refuses": func(t *testing.T) error {
		return failsAt(t, HostAzureML, nil, withID(ClientID(guid)))
	},
	"Cloud Shell has no token for that": func(t *testing.T) error {
		return failsAt(t, HostCloudShell, &identitytest.Response{Status: 400,
			Body: codedProblem("AudienceNotSupported",
				"Audience https://vault.azure.net is not a supported MSI token audience.")})
	},
	"Azure Arc's agent doesn't run": func(t *testing.T) error {
		return failsAt(t, HostArc, &identitytest.Response{Err: errNobodyListens, For: time.Hour})
	},
	"workload identity without trust": func(t *testing.T) error {
		const subject = "system:serviceaccount:shop:orders"
		stub := always(http.StatusUnauthorized, entraRefusal("invalid_client", 700213, "No matching "+
			"federated identity record found for presented assertion subject '"+subject+"'."))
		claims := `{"iss":"https://westeurope.oic.prod-aks.azure.com/t/c/","sub":"` + subject +
			`","aud":["api://AzureADTokenExchange"]}`
		return fails(t, credentialAt(t, inPod(t, envTokenFile, assertionFile(t, jwtOf(claims))), stub))
	},
	"an application without trust": func(t *testing.T) error {
		const tenant, oid = "0c1f6d4a-97d1-4f7f-8c0e-3d1b7e0a5f11", "6f7c0b7e-2f4b-4f39-9a53-1c5f0d9e7b42"
		stub := always(http.StatusUnauthorized, entraRefusal("invalid_client", 700213,
			"No matching federated identity record found for presented assertion subject '"+oid+"'."))
		token := jwtOf(`{"iss":"https://login.microsoftonline.com/` + tenant + `/v2.0","sub":"` + oid +
			`","aud":"api://AzureADTokenExchange"}`)
		return fails(t, federatedAt(t, stub, CredentialAssertion(tokenFunc(token))))
	},
	"the caller leaves": func(t *testing.T) error {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := getToken(ctx, onIMDS(t, ep))
		return err
	},
	"nobody is logged in": func(t *testing.T) error {
		return fails(t, azureCLIOf(t, &fakeTool{answer: func(int) ([]byte, error) {
			return nil, errNotLoggedIn
		}}, AzureCLICredentialOptions{}))
	},
	"the default credential on a laptop": func(t *testing.T) error {
		l := &laptop{az: errNotLoggedIn}
		return fails(t, l.credential(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errNobodyListens
		})))
	},
}

// failsAt is the failure at a host whose next answer is that one, nil for its usual one.
func failsAt(
	t *testing.T, host Host, answer *identitytest.Response, adjust ...func(*CredentialOptions),
) error {
	t.Helper()
	for _, p := range places {
		if p.host == host {
			s := p.open(t)
			if answer != nil {
				s.ep.Enqueue(*answer)
			}
			return fails(t, s.credential(t, adjust...))
		}
	}
	t.Fatalf("no place is of host %s", host)
	return nil
}

func fails(t *testing.T, cred azcore.TokenCredential) error {
	t.Helper()
	tk, err := getToken(t.Context(), cred)
	if err == nil {
		t.Errorf("got the token %s, want an error", tk.Token)
	}
	return err
}

// What differs between two runs.
var variable = []struct {
	found *regexp.Regexp
	shown string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "GUID"},
	{regexp.MustCompile(`/[0-9a-f]{8}/`), "/"}, // of a fake's URL
	{regexp.MustCompile(`"/[^"]*/azure-identity-token"`), "FILE"},
	{regexp.MustCompile(`\b[0-9][0-9.hmµn]*s\b`), "TIME"},
	{regexp.MustCompile(`[0-9]+ attempts?`), "N attempts"},
	{regexp.MustCompile(`correlation ID [^)]*`), "correlation ID"},
}

func steady(text string) string {
	for _, v := range variable {
		text = v.found.ReplaceAllString(text, v.shown)
	}
	return text
}

// TestOperationsQuotes: each error that docs/operations.md quotes whole is one of the library's,
// and each of failures is quoted there.
func TestOperationsQuotes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := map[string]bool{}
	blocks := regexp.MustCompile("(?s)```text\n(.*?)```")
	for _, block := range blocks.FindAllStringSubmatch(string(page), -1) {
		for _, text := range strings.Split(strings.TrimSpace(block[1]), "\nidentity: ") {
			quoted[steady("identity: "+strings.TrimPrefix(text, "identity: "))] = false
		}
	}
	var mu sync.Mutex
	t.Run("failures", func(t *testing.T) {
		for name, failure := range failures {
			bubbleIn(t, name, func(t *testing.T) {
				err := failure(t)
				mu.Lock()
				defer mu.Unlock()
				if _, ok := quoted[steady(err.Error())]; !ok {
					t.Errorf("docs/operations.md does not quote:\n%s", err)
				}
				quoted[steady(err.Error())] = true
			})
		}
	})
	for text, real := range quoted {
		if !real {
			t.Errorf("docs/operations.md quotes what none of failures is:\n%s", text)
		}
	}
}
