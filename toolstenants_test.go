package identity

import (
	"strings"
	"testing"
)

func TestToolsTenants(t *testing.T) {
	for _, d := range developers {
		for _, tt := range []struct {
			name    string
			home    string
			allowed []string
			ask     string
			want    string // the option's value; "" for none
			err     string
		}{
			{name: "none anywhere"},
			{name: "the options'", home: homeTenant, want: homeTenant},
			{name: "the options', asked for, too", home: homeTenant, ask: strings.ToUpper(homeTenant),
				want: homeTenant},
			{name: "the resource's, where none is named", ask: otherTenant, want: otherTenant},
			{name: "a domain", ask: "Contoso.OnMicrosoft.com", want: "contoso.onmicrosoft.com"},
			{name: "another", home: homeTenant, ask: otherTenant, err: "AdditionallyAllowedTenants"},
			{name: "another, allowed", home: homeTenant,
				allowed: []string{"x.example", strings.ToUpper(otherTenant)}, ask: otherTenant,
				want: otherTenant},
			{name: "another, all allowed", home: homeTenant, allowed: []string{"*"}, ask: otherTenant,
				want: otherTenant},
			{name: "another than those allowed", home: homeTenant, allowed: []string{"x.example"},
				ask: otherTenant, err: "AdditionallyAllowedTenants"},
			{name: "no home, another than those allowed", allowed: []string{homeTenant}, ask: otherTenant,
				err: "AdditionallyAllowedTenants"},
			{name: "no home, one of those allowed", allowed: []string{otherTenant}, ask: otherTenant,
				want: otherTenant},
			{name: "no home, all allowed", allowed: []string{"*"}, ask: otherTenant, want: otherTenant},
			{name: "an option", ask: "--debug", err: "TenantID"},
			{name: "a command", ask: "a;reboot", err: "TenantID"},
			{name: "quotes", ask: `a"b`, err: "TenantID"},
			{name: "a blank", ask: "a b", err: "TenantID"},
			{name: "a line break", ask: "a\nb", err: "TenantID"},
			{name: "not ASCII", ask: "tenänt", err: "TenantID"},
			{name: "a star", ask: "*", err: "TenantID"},
		} {
			t.Run(d.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				tool := granting(d.says)
				cred := d.credentialIn(t, newShared(), tool.env(), tt.home, tt.allowed...)
				_, err := ofTenant(cred, tt.ask)
				if tt.err != "" {
					wantErrorText(t, err, tt.err)
					if tool.count() != 0 {
						t.Errorf("it ran all the same: %q", tool.runs)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				for i, argument := range tool.runs[0] {
					if argument == d.option {
						got = tool.runs[0][i+1]
					}
				}
				if got != tt.want {
					t.Errorf("%q: tenant %q, want %q", tool.runs[0], got, tt.want)
				}
			})
		}
	}
}
