package aks_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keyless-go/identity/examples/recipes/aks"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// get asks the API server for its version.
func get(t *testing.T, config *rest.Config) error {
	t.Helper()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Get().AbsPath("/version").MaxRetries(0).Do(t.Context()).Error()
}

// TestConfig asks a server that takes this moment's token only, before and after it has changed.
// The kubeconfig's own user is not sent. A BearerToken, which is what is often written, works once.
func TestConfig(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+azure.Token(t, aks.Scope) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure",
				"message":"Unauthorized","reason":"Unauthorized","code":401}`)
			return
		}
		fmt.Fprint(w, `{"major":"1","minor":"34"}`)
	}))
	t.Cleanup(server.Close)
	cluster := &rest.Config{
		Host:        server.URL,
		BearerToken: "the kubeconfig's",
		ContentConfig: rest.ContentConfig{
			NegotiatedSerializer: serializer.NewCodecFactory(scheme.Scheme).WithoutConversion(),
		},
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(
			&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
	}
	withPlugin := rest.CopyConfig(cluster)
	withPlugin.ExecProvider = &clientcmdapi.ExecConfig{Command: "kubelogin"}
	ours, naive := aks.Config(withPlugin, azure.Credential), rest.CopyConfig(cluster)
	naive.BearerToken = azure.Token(t, aks.Scope)
	for name, config := range map[string]*rest.Config{"ours": ours, "naive": naive} {
		if err := get(t, config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ours.BearerToken != "" || ours.ExecProvider != nil {
		t.Error("ours has the kubeconfig's user beside the identity")
	}
	azure.Rotate(t, aks.Scope)
	if err := get(t, ours); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
	if err := get(t, naive); err == nil {
		t.Error("naive, after its token ended: no error")
	}
	if cluster.BearerToken == "" || cluster.WrapTransport != nil {
		t.Error("the caller's configuration was changed")
	}
	if err := get(t, aks.Config(cluster, standin.Broken{})); !errors.Is(err, standin.ErrBroken) {
		t.Errorf("%v, want the credential's error", err)
	}
	plain := rest.CopyConfig(cluster)
	plain.Host = "http://" + server.Listener.Addr().String()
	plain.TLSClientConfig = rest.TLSClientConfig{}
	if err := get(t, aks.Config(plain, azure.Credential)); err == nil {
		t.Error("plain http: no error")
	}
}
