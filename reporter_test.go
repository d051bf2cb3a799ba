package identity

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

var (
	_ Reporter = (*Credential)(nil)
	_ Reporter = (*FederatedCredential)(nil)
	_ Reporter = (*AzureCLICredential)(nil)
	_ Reporter = (*AzureDeveloperCLICredential)(nil)
	_ Reporter = (*Chain)(nil)
)

// laptopTool is az with tokens that live an hour.
func laptopTool(t *testing.T) *AzureCLICredential {
	t.Helper()
	d := developers[0]
	return azureCLIOf(t, &fakeTool{answer: func(int) ([]byte, error) {
		return d.says(toolToken, time.Hour), nil
	}}, AzureCLICredentialOptions{})
}

// TestStatuses: of each credential, with the end and the renewal of what it holds, in a chain, too.
func TestStatuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		host, tool := onIMDS(t, identitytest.NewIMDS(nil)), laptopTool(t)
		inner := mustChain(t, nil, tool, tokenFunc("another's"))
		outer := mustChain(t, nil, host, inner, tool)
		for name, tt := range map[string]struct {
			cred Reporter
			want []string // reasons
		}{
			"a host":       {host, []string{host.Status().Reason}},
			"a tool":       {tool, []string{"Azure CLI"}},
			"a chain":      {outer, []string{host.Status().Reason, "Azure CLI"}},
			"a zero chain": {&Chain{}, []string{}},
			"a zero tool":  {&AzureCLICredential{}, []string{""}},
		} {
			if len(tt.want) > 0 && tt.want[0] != "" {
				mustToken(t, tt.cred)
			}
			list := tt.cred.Statuses()
			if list == nil || len(list) != len(tt.want) {
				t.Errorf("%s: got %+v, want %d", name, list, len(tt.want))
				continue
			}
			for i, s := range list {
				if s.Reason != tt.want[i] || s.Resources == nil {
					t.Errorf("%s: %d is %+v, want %s", name, i, s, tt.want[i])
				}
			}
		}
		mustToken(t, tool)
		s := mustChain(t, nil, tool).Status().Sources[0].Credential
		if s == nil || len(s.Resources) != 1 || s.Resources[0].ExpiresOn.IsZero() ||
			s.Resources[0].RefreshOn.IsZero() || s.Resources[0].Acquisitions != 1 || s.Host != "" {
			t.Errorf("a chain says of its tool %+v", s)
		}
	})
}

// TestChainRefresh asks the source in use past what it holds, and no other.
func TestChainRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		host, other := onIMDS(t, ep), &scripted{name: "other"}
		chain := mustChain(t, nil, host, other)
		first, changed, err := chain.Refresh(t.Context(), vaultScope)
		if err != nil || !changed || first.Token == "" {
			t.Fatalf("without a token: %v, %v", changed, err)
		}
		time.Sleep(time.Minute)
		second, changed, err := mustChain(t, nil, chain).Refresh(t.Context(), vaultScope)
		if err != nil || !changed || second.Token == "" {
			t.Errorf("of a chain in a chain: %v, %v", changed, err)
		}
		third, changed, err := chain.Refresh(t.Context(), vaultScope)
		if err != nil || !changed || third.Token == first.Token || len(ep.Requests()) != 2 {
			t.Errorf("with one: %v, %v, after %d requests", changed, err, len(ep.Requests()))
		}
		time.Sleep(time.Minute)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		if _, _, err := chain.Refresh(t.Context(), vaultScope); err == nil || other.asks.Load() > 0 {
			t.Errorf("in an outage: %v, the next source was asked %d times", err, other.asks.Load())
		}
		foreign := mustChain(t, nil, other)
		for i, want := range []bool{true, false} {
			token, changed, err := foreign.Refresh(t.Context(), vaultScope)
			if err != nil || changed != want || token.Token != "other" {
				t.Errorf("another's, %d: %v, %v, %v", i, token, changed, err)
			}
		}
		var own *AuthenticationError
		_, _, err = mustChain(t, nil, onIMDS(t, identitytest.NewIMDS(nil),
			func(o *CredentialOptions) { o.ID = ClientID(guid) })).Refresh(t.Context(), vaultScope)
		if !errors.As(err, &own) {
			t.Errorf("an identity that isn't assigned: %v", err)
		}
		if _, _, err := (&Chain{}).Refresh(context.Background(), vaultScope); err == nil {
			t.Error("a zero chain has a token")
		}
	})
}
