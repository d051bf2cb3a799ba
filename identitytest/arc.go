package identitytest

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/keyless-go/identity/internal/seam"
)

// arc is the agent of a server that is connected to Azure by Arc:
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
type arc struct {
	metadataService
	directory string // of the key files

	mu   sync.Mutex
	keys map[string]string // those that haven't been presented, with their files
}

var arcSelectors = map[string]property{
	"client_id":  byClientID,
	"object_id":  byObjectID,
	"msi_res_id": byResourceID,
	"mi_res_id":  ignored,
}

// NewArc returns a fake of the agent of an Azure Arc-enabled server, api-version 2020-06-01, and
// 2019-11-01 as well. It panics if options has no meaning, see [Options], and without Options.Dir.
//
// It refuses what [NewIMDS] refuses, with the same bodies. A right request without an Authorization
// header is answered 401, and WWW-Authenticate names a key file, which only root and the group
// himds could read on a real server; the second request has the content of that file:
// "Authorization: Basic", a blank, and the content as it is. A key is good for one request, and its
// file is removed when it is presented. A wrong or used key is answered with the next challenge. It
// works on every system, though the agent runs on Linux and Windows only. Files of keys that nobody
// presents stay until [Endpoint.RotateSecret], or until the test's directory is removed.
//
// A request without a selector means the system-assigned identity, and no other. An identity that
// the server doesn't have, that one included, is answered 404 with the code identity_not_found, in
// place of the challenge, so that no key is spent on it. So is the system-assigned one by an ID of
// its own. mi_res_id is ignored, as by the real agent: the answer has the token of the
// system-assigned identity, and no echo of the parameter.
//
// A client learns the address from the environment, so set it from [Endpoint.Env], also when the
// Endpoint is its transport; [Endpoint.Start] does that by itself. A credential in this process
// that finds the endpoint by these variables takes keys from Options.Dir. For any other client,
// only what lies in the agent's own directory is a key: see [Endpoint.Env].
func NewArc(options *Options) *Endpoint {
	host := &arc{
		metadataService: metadataService{selectors: arcSelectors,
			versions: []string{"2020-06-01", "2019-11-01"}},
		directory: options.directory("NewArc"),
		keys:      make(map[string]string),
	}
	e := newEndpoint(options, host,
		resourceGroupID+"/providers/Microsoft.HybridCompute/machines/machine-test")
	e.standIn(seam.Place{KeyDirectory: host.directory})
	return e
}

func (h *arc) env(_ *Endpoint, base string) []string {
	return []string{"IDENTITY_ENDPOINT=" + base + h.path(), "IMDS_ENDPOINT=" + base}
}

func (h *arc) answer(e *Endpoint, r received) answer {
	query, selected, refusal := h.parse(e, r)
	if refusal.status != 0 {
		return refusal
	}
	id, ok := systemAssigned(e.identities)
	if selected.name != "" {
		id, ok = find(e.identities, arcSelectors[selected.name], selected.value)
		ok = ok && !id.System
	}
	// before the challenge:
	// https://github.com/AzureAD/microsoft-authentication-library-for-python/pull/962
	if !ok {
		return h.failure(http.StatusNotFound)
	}
	if !h.spend(r.Header.Get("Authorization")) {
		return h.challenge()
	}
	return h.success(e, r, demand{id: id, resource: query.Get("resource")}, selected)
}

// challenge hands out a new key.
func (h *arc) challenge() answer {
	key := base64.StdEncoding.EncodeToString(random(32))
	file := filepath.Join(h.directory, randomGUID()+".key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		return h.failure(http.StatusInternalServerError)
	}
	h.mu.Lock()
	h.keys[key] = file
	h.mu.Unlock()
	// not documented
	body := map[string]string{"error": "access_denied", "error_description": "Unauthorized"}
	a := h.json(http.StatusUnauthorized, body)
	a.header.Set("WWW-Authenticate", "Basic realm="+file)
	return a
}

// spend reports whether authorization has a key, which it is the end of.
func (h *arc) spend(authorization string) bool {
	key, ok := strings.CutPrefix(authorization, "Basic ")
	if !ok {
		return false
	}
	h.mu.Lock()
	file, ok := h.keys[key]
	delete(h.keys, key)
	h.mu.Unlock()
	if ok {
		_ = os.Remove(file)
	}
	return ok
}

// rotate makes an end of all keys that nobody has presented.
func (h *arc) rotate() (changed []string, err error) {
	h.mu.Lock()
	keys := h.keys
	h.keys = make(map[string]string)
	h.mu.Unlock()
	for _, file := range keys {
		_ = os.Remove(file)
	}
	return nil, nil
}

// failure differs from that of IMDS where Arc's own protocol does: 401 is a challenge, and 404 is
// about the identity.
func (h *arc) failure(status int) answer {
	switch status {
	case http.StatusUnauthorized:
		return h.challenge()
	case http.StatusNotFound:
		return h.json(status, map[string]string{"error": "identity_not_found",
			"error_description": "Identity not found"})
	}
	return h.metadataService.failure(status)
}
