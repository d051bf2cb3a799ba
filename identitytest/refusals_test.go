package identitytest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusal is what a host says no with. The zero fields aren't looked at.
type refusal struct {
	status int
	code   string
	text   string // within the message
}

// spoilers take one thing from a right request or put one into it, each by its name.
type spoilers map[string]func(*http.Request)

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

func path(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }

// header sets a header, or removes it if there is no value.
func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
}

// query sets a parameter, or removes it if there is no value.
func query(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q[name] = values
		r.URL.RawQuery = q.Encode()
	}
}

func rawQuery(more string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += more }
}

// form replaces the body.
func form(body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
}

// moreForm puts more behind what CloudShell is asked for.
func moreForm(more string) func(*http.Request) { return form("resource=" + vault + more) }

// asIMDS makes it a request of IMDS's form.
func asIMDS(change func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.URL.Path = "GET", "/metadata/identity/oauth2/token"
		r.URL.RawQuery = "api-version=2018-02-01&resource=" + vault
		r.Header.Del("Content-Type")
		change(r)
	}
}

// elsewhere is a secret where App Service has its own.
func elsewhere(r *http.Request) {
	r.Header = http.Header{"X-Identity-Header": r.Header["Secret"]}
}

// wrong has what each host says to wrong requests.
var wrong = map[string]map[refusal]spoilers{
	"IMDS": {
		{400, "invalid_request", "Required metadata header not specified"}: {
			"probe":              func(r *http.Request) { r.URL.RawQuery, r.Header = "", nil },
			"no metadata header": header("Metadata"),
			"metadata True":      header("Metadata", "True"),
			"metadata twice":     header("Metadata", "true", "true"),
		},
		{400, "invalid_request", "X-Forwarded-For"}:       {"forwarded": header("X-Forwarded-For", "")},
		{405, "method_not_allowed", "Method Not Allowed"}: {"post": method("POST")},
		{404, "not_found", "Not Found"}: {
			"other path":             path("/metadata/instance"),
			"path of App Service":    path("/msi/token"),
			"two slashes at the end": path("/metadata/identity/oauth2/token//"),
			"nonce of another":       path("/00000000/metadata/identity/oauth2/token"),
		},
		{400, "invalid_request", "'api-version' is missing"}: {"no api-version": query("api-version")},
		{400, "invalid_request", "'api-version' is not supported"}: {
			"api-version of App Service": query("api-version", "2019-08-01")},
		{400, "invalid_request", "'resource' is missing"}: {
			"no resource": query("resource"), "empty resource": query("resource", "")},
		{400, "invalid_request", `"resource" is given more than once`}: {
			"repeated resource": rawQuery("&resource=r")},
		{400, "invalid_request", "'bypass_cache' is not valid"}: {
			"bypass_cache of another value": rawQuery("&bypass_cache=false")},
		{400, "invalid_request",
			`"x" is given more than once`}: {"repeated stranger": rawQuery("&x=1&x=2")},
		{400, "invalid_request", "Malformed query"}: {"malformed query": rawQuery("&x=%zz")},
		{400, "invalid_request", "At most one"}: {
			"two selectors": rawQuery("&client_id=a&object_id=b")},
		{400, "invalid_request", "Identity not found"}: {
			"unknown client ID":   rawQuery("&client_id=a"),
			"empty client ID":     rawQuery("&client_id="),
			"unknown object ID":   rawQuery("&object_id=a"),
			"unknown resource ID": rawQuery("&msi_res_id=a"),
		},
		{400, "invalid_request", `" is not supported`}: unsupported("mi_res_id", "msi-res-id",
			"principal_id", "clientid", "Client_ID"),
	},
	"AppService": {
		{404, "", "Not Found"}: {
			"other path": path("/"), "path of IMDS": path("/metadata/identity/oauth2/token")},
		{405, "", "Method Not Allowed"}: {"post": method("POST")},
		{403, "", ""}: {
			"no secret":    header("X-IDENTITY-HEADER"),
			"empty secret": header("X-IDENTITY-HEADER", ""),
			"wrong secret": header("X-IDENTITY-HEADER", "wrong"),
		},
		{400, "", "api-version"}: {
			"no api-version":      query("api-version"),
			"api-version of IMDS": query("api-version", "2018-02-01"),
		},
		{400, "", "resource is missing"}: {"no resource": query("resource")},
		{400, "", "Malformed query"}:     {"malformed query": rawQuery("&x=%zz")},
		{400, "", "more than once"}:      {"repeated selector": rawQuery("&client_id=a&client_id=a")},
		{400, "", "At most one"}: {
			"two selectors":  rawQuery("&client_id=a&mi_res_id=b"),
			"name and alias": rawQuery("&principal_id=a&object_id=a"),
		},
		{400, "", ofNobody}: {
			"unknown client ID":   rawQuery("&client_id=a"),
			"unknown object ID":   rawQuery("&principal_id=a"),
			"unknown resource ID": rawQuery("&mi_res_id=a"),
		},
		{400, "", `" is not supported`}: unsupported("msi_res_id", "clientid"),
	},
	"AppService2017": {
		{404, "", "Not Found"}:          {"other path": path("/")},
		{405, "", "Method Not Allowed"}: {"post": method("POST")},
		{403, "", ""}: {
			"no secret":               header("secret"),
			"empty secret":            header("secret", ""),
			"wrong secret":            header("secret", "wrong"),
			"in the header of now":    elsewhere,
			"of another App Service":  header("secret", inMemory(NewAppService2017(nil))("MSI_SECRET")),
			"of the protocol of 2019": header("secret", inMemory(NewAppService(nil))("IDENTITY_HEADER")),
		},
		{400, "", "api-version"}: {
			"no api-version":      query("api-version"),
			"api-version of 2019": query("api-version", "2019-08-01"),
		},
		{400, "", "resource is missing"}: {
			"no resource": query("resource"), "empty resource": query("resource", "")},
		{400, "", "Malformed query"}: {"malformed query": rawQuery("&x=%zz")},
		{400, "", `"clientid" is given more than once`}: {
			"two clientids": rawQuery("&clientid=a&clientid=b")},
		{400, "", ofNobody}: {
			"unknown clientid": rawQuery("&clientid=a"), "empty clientid": rawQuery("&clientid=")},
		{400, "", `" is not supported`}: unsupported("client_id", "object_id", "principal_id",
			"mi_res_id"),
	},
	"AzureML": {
		{404, "NotFound", "Not Found"}: {
			"other path": path("/"), "path of IMDS": path("/metadata/identity/oauth2/token")},
		{405, "MethodNotAllowed", "Method Not Allowed"}: {"post": method("POST")},
		{401, "Unauthorized", "Unauthorized"}: {
			"no secret": header("secret"), "wrong secret": header("secret", "wrong"),
			"secret where App Service has it": elsewhere},
		{400, "BadRequest", "api-version"}: {
			"no api-version":             query("api-version"),
			"api-version of App Service": query("api-version", "2019-08-01"),
		},
		{400, "BadRequest", "resource is missing"}: {
			"no resource": query("resource"), "empty resource": query("resource", "")},
		{400, "BadRequest", "Malformed query"}: {"malformed query": rawQuery("&x=%zz")},
		{400, "BadRequest", `"clientid" is given more than once`}: {
			"two clientids": rawQuery("&clientid=a&clientid=a")},
		{400, "BadRequest", `" is not supported`}: unsupported("client_id", "clientId", "object_id",
			"mi_res_id"),
		{400, "IdentityNotFound", "isn't assigned"}: {"unknown clientid": rawQuery("&clientid=a")},
	},
	"ServiceFabric": merged(ofFabrics, map[refusal]spoilers{
		{400, "InvalidApiVersion", fabricVersions("")}: {"no api-version": query("api-version")},
		{400, "InvalidApiVersion", fabricVersions("2018-02-01")}: {
			"api-version of IMDS": query("api-version", "2018-02-01")},
	}),
	"ContainerInstances": merged(ofFabrics, map[refusal]spoilers{
		{400, "InvalidApiVersion", "The api-version '' is not supported."}: {
			"no api-version": query("api-version")},
		{400, "InvalidApiVersion", "The api-version '2019-07-01-preview' is not supported."}: {
			"api-version of Service Fabric": query("api-version", "2019-07-01-preview")},
		{404, "ManagedIdentityNotFound", "Managed identity not found for the specified"}: {
			"unknown identity":   query("principalId", "x"),
			"empty principal ID": query("principalId", ""),
		},
		{400, "BadRequest", "more than once"}: {"two principal IDs": query("principalId", "x", "x")},
		{400, "BadRequest", `" is not supported`}: unsupported("principal_id", "client_id",
			"msi_res_id"),
	}),
	"CloudShell": {
		{404, "NotFound", "Not Found"}: {"other path": path("/")},
		{405, "MethodNotAllowed", "Method Not Allowed"}: {
			"post at the path of IMDS": path("/metadata/identity/oauth2/token"),
			"get":                      method("GET"), "put": method("PUT"),
		},
		{400, "BadRequest", "metadata header"}: {
			"no metadata header": header("Metadata"), "metadata True": header("Metadata", "True"),
			"as IMDS, no metadata header": asIMDS(header("Metadata")),
		},
		{400, "BadRequest", "api-version"}: {"as IMDS, no api-version": asIMDS(query("api-version"))},
		{415, "UnsupportedMediaType", "Unsupported Media Type"}: {
			"no content type":        header("Content-Type"),
			"malformed content type": header("Content-Type", ";"),
			"json":                   header("Content-Type", "application/json"),
		},
		{400, "BadRequest", "Malformed form"}:  {"malformed form": moreForm("&x=%zz")},
		{400, "BadRequest", "Malformed query"}: {"malformed query": rawQuery("%zz")},
		{400, "BadRequest", `Form parameter "resource" is given more than once`}: {
			"two resources": moreForm("&resource=" + vault)},
		{400, "BadRequest", `" is not supported`}: {
			"client_id": moreForm("&client_id=a"), "clientid": moreForm("&clientid="),
			"object_id": moreForm("&object_id=a"), "mi_res_id": moreForm("&mi_res_id=a"),
			"selector in the query": query("msi_res_id", "a"),
			"as IMDS, client_id":    asIMDS(query("client_id", "a")),
		},
		{400, "AudienceNotSupported", "is not a supported MSI token audience"}: {
			"no body": form(""), "empty resource": form("resource="),
			"as IMDS, no resource": asIMDS(query("resource")),
			"resource in the query": func(r *http.Request) {
				form("")(r)
				query("resource", vault)(r)
			},
		},
	},
	"Arc": {
		{404, "not_found", "Not Found"}: {
			"other path": path("/metadata/instance"), "path of App Service": path("/msi/token")},
		{405, "method_not_allowed", "Method Not Allowed"}: {"post": method("POST")},
		{400, "invalid_request", "Required metadata header not specified"}: {
			"no metadata header": header("Metadata"),
			"metadata True":      header("Metadata", "True"),
			"metadata twice":     header("Metadata", "true", "true"),
		},
		{400, "invalid_request", "X-Forwarded-For"}: {
			"forwarded": header("X-Forwarded-For", "10.0.0.1")},
		{400, "invalid_request", "'api-version' is missing"}: {"no api-version": query("api-version")},
		{400, "invalid_request", "'api-version' is not supported"}: {
			"api-version of IMDS": query("api-version", "2018-02-01")},
		{400, "invalid_request", "'resource' is missing"}: {
			"no resource": query("resource"), "empty resource": query("resource", "")},
		{400, "invalid_request", `" is given more than once`}: {
			"two resources":   query("resource", "a", "b"),
			"mi_res_id twice": rawQuery("&mi_res_id=a&mi_res_id=a"),
		},
		{400, "invalid_request", "Malformed query"}: {"malformed query": rawQuery("&x=%zz")},
		{400, "invalid_request",
			"At most one"}: {"two selectors": rawQuery("&client_id=a&object_id=b")},
		{400, "invalid_request", `" is not supported`}: unsupported("principal_id", "clientid"),
	},
}

// ofNobody is App Service's word for an ID that it doesn't know.
const ofNobody = "No User Assigned or Delegated Managed Identity found for specified " +
	"ClientId/ResourceId/PrincipalId."

// ofFabrics is what Service Fabric and Container Instances have in common.
var ofFabrics = map[refusal]spoilers{
	{404, "NotFound", "Not Found"}: {
		"other path": path("/metadata/identity"), "path of App Service": path("/msi/token")},
	{405, "MethodNotAllowed", "Method Not Allowed"}: {"post": method("POST")},
	{400, "SecretHeaderNotFound", "Secret is not found in the request headers."}: {
		"no secret": header("Secret"), "secret of App Service": elsewhere},
	{404, "ManagedIdentityNotFound",
		"Managed identity not found for the specified application host."}: {
		"empty secret": header("Secret", ""), "wrong secret": header("Secret", "wrong")},
	{400, "ArgumentNullOrEmpty", "The parameter 'resource' should not be null or empty string."}: {
		"no resource": query("resource"), "empty resource": query("resource", "")},
	{400, "BadRequest", `Query parameter "resource" is given more than once`}: {
		"two resources": query("resource", "a", "b")},
	{400, "BadRequest", "Malformed query"}: {"malformed query": rawQuery("&x=%zz")},
}

func fabricVersions(asked string) string {
	return fmt.Sprintf("The api-version '%s' is not supported. Supported version is "+
		"'2019-07-01-preview'.", asked)
}

func merged(a, b map[refusal]spoilers) map[refusal]spoilers {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// unsupported are parameters that the host doesn't have, each by its name.
func unsupported(names ...string) spoilers {
	all := spoilers{}
	for _, name := range names {
		all[name] = rawQuery("&" + name + "=a")
	}
	return all
}

func TestHostsRefuse(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, host hostTest) {
		for want, all := range wrong[host.name] {
			for name, spoil := range all {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					e := host.fresh(t)
					r := host.request(t, inMemory(e), "")
					spoil(r)
					got := do(t, e, r)
					host.check(t, got, want)
					if n := len(e.Requests()); n != 1 {
						t.Errorf("got %d requests recorded, want 1", n)
					}
				})
			}
		}
	})
}

// What is refused hands out no key, and spends none.
func TestArcRefusalsSpendNoKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := NewArc(&Options{Dir: dir})
	key := readKey(t, do(t, e, arcRequest(t, inMemory(e), "", "")))
	for want, all := range wrong["Arc"] {
		for name, spoil := range all {
			for _, given := range []string{"", key} {
				r := arcRequest(t, inMemory(e), "", given)
				spoil(r)
				got := do(t, e, r)
				checkFlat(t, got, want)
				if challenge := got.Header.Get("WWW-Authenticate"); challenge != "" {
					t.Errorf("%s: got a challenge %q with a refusal", name, challenge)
				}
			}
		}
	}
	if files := names(t, dir); len(files) != 1 {
		t.Errorf("got files %q, want the one of the first request", files)
	}
	tokenOf(t, do(t, e, arcRequest(t, inMemory(e), "", key)))
}

// justJSON is the header of answers without any of their own.
var justJSON = http.Header{"Content-Type": {"application/json; charset=utf-8"}}

var imdsHeader = http.Header{"Server": {"IMDS/150.870.65.1854"},
	"Content-Type": {"application/json; charset=utf-8"}}

func checkIMDS(t *testing.T, got reply, want refusal) {
	t.Helper()
	checkBody(t, got, want, imdsHeader)
}

func checkFlat(t *testing.T, got reply, want refusal) {
	t.Helper()
	without := got
	without.Header = got.Header.Clone()
	without.Header.Del("WWW-Authenticate")
	checkBody(t, without, want, justJSON)
}

// checkBody checks an error of the form {"error", "error_description"}.
func checkBody(t *testing.T, got reply, want refusal, header http.Header) {
	t.Helper()
	body := fields(t, got.Body)
	if got.Status != want.status || body["error"] != want.code ||
		!strings.Contains(body["error_description"], want.text) || len(body) != 2 {
		t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, want.status, want.code, want.text)
	}
	if diff := cmp.Diff(header, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// checkAppService checks an error of App Service's. That of a wrong secret has no body.
func checkAppService(t *testing.T, got reply, want refusal) {
	t.Helper()
	var body struct {
		StatusCode             int
		Message, CorrelationID string
	}
	if want.status == http.StatusForbidden {
		if got.Status != want.status || got.Body != "" || got.Header.Get("Server") != "Kestrel" {
			t.Errorf("got %+v, want 403 without a body", got)
		}
		return
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("body %q: %v", got.Body, err)
	}
	if got.Status != want.status || body.StatusCode != want.status ||
		!strings.Contains(body.Message, want.text) || !guidPattern.MatchString(body.CorrelationID) {
		t.Errorf("got %d %s, want %d with %q, and a GUID", got.Status, got.Body, want.status, want.text)
	}
	header := justJSON.Clone()
	header.Set("Server", "Kestrel")
	header.Set("X-Correlation-Id", body.CorrelationID)
	if diff := cmp.Diff(header, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// coded is an error of the form {"error": {"code", "message"}}.
type coded struct {
	Error struct {
		CorrelationID, Code, Message string
		Details                      []any
	}
}

func readCoded(t *testing.T, got reply, want refusal) (body coded) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("body %q: %v", got.Body, err)
	}
	if got.Status != want.status || body.Error.Code != want.code ||
		!strings.Contains(body.Error.Message, want.text) {
		t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, want.status, want.code, want.text)
	}
	return body
}

func checkCoded(t *testing.T, got reply, want refusal) {
	t.Helper()
	readCoded(t, got, want)
	if diff := cmp.Diff(justJSON, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// checkFabric: Service Fabric's errors have a correlation ID, but for one that is text.
func checkFabric(t *testing.T, got reply, want refusal) {
	t.Helper()
	if want.status == http.StatusTooManyRequests {
		if got.Status != want.status || got.Body != want.text {
			t.Errorf("got %d %q, want %d %q", got.Status, got.Body, want.status, want.text)
		}
		return
	}
	checkCoded(t, got, want)
	if id := readCoded(t, got, want).Error.CorrelationID; !guidPattern.MatchString(id) {
		t.Errorf("correlation ID: got %q, want a GUID", id)
	}
}

// checkGroup: those of Container Instances have details, and Kestrel's headers.
func checkGroup(t *testing.T, got reply, want refusal) {
	t.Helper()
	if body := readCoded(t, got, want); body.Error.Details == nil {
		t.Errorf("got %s, want details", got.Body)
	}
	if id := got.Header.Get("x-ms-request-id"); got.Header.Get("Server") != "Kestrel" ||
		!guidPattern.MatchString(id) {
		t.Errorf("headers: got %v, want Kestrel's and a request ID", got.Header)
	}
}
