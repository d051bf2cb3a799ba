package login

import (
	"strings"
	"testing"
)

// TestScope: what the token is for follows from the servers' names.
func TestScope(t *testing.T) {
	t.Parallel()
	const other = "set Options.Scope"
	for _, test := range []struct{ hosts, option, want, says string }{
		{hosts: "a.postgres.database.azure.com", want: services[0].scope},
		{hosts: "A.Postgres.Database.Azure.COM.", want: services[0].scope},
		{hosts: "a.privatelink.postgres.database.azure.com", want: services[0].scope},
		{hosts: "a.postgres.database.usgovcloudapi.net", want: services[1].scope},
		{hosts: "a.postgres.database.chinacloudapi.cn", want: services[2].scope},
		{hosts: "c-a.x1.postgres.cosmos.azure.com", want: services[3].scope},
		{hosts: "a.postgres.database.azure.com b.postgres.database.azure.com",
			want: services[0].scope},
		{hosts: "a.postgres.database.azure.com a.postgres.database.chinacloudapi.cn",
			says: "have a pool for each"},
		{hosts: "a.postgres.database.azure.com evil.example",
			says: `"evil.example" is no name of Azure's`},
		{hosts: "apostgres.database.azure.com", says: other},
		{hosts: "postgres.database.azure.com.evil.example", says: other},
		{hosts: "127.0.0.1", says: other},
		{hosts: "db.internal", option: "api://db/.default", want: "api://db/.default"},
		{hosts: "a.postgres.database.azure.com b", option: "x/.default", want: "x/.default"},
	} {
		var servers []Server
		for _, host := range strings.Fields(test.hosts) {
			servers = append(servers, Server{Host: host, TLS: true})
		}
		got, err := Client{Scope: test.option}.scope(servers)
		if got != test.want || (err == nil) != (test.says == "") ||
			err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %q, %v, want %q and an error with %q", test.hosts, got, err, test.want,
				test.says)
		}
		if err != nil && len(servers) == 1 && strings.Contains(err.Error(), test.hosts) {
			t.Errorf("%s: %v: the name stands twice in what Login returns", test.hosts, err)
		}
	}
}

// TestEncrypted: the address that is connected to decides, not the name.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server  Server
		refused bool
	}{
		{Server{Host: "localhost"}, false},
		{Server{Host: "localhost", Address: "10.0.0.4"}, true},
		{Server{Host: "db.example", Address: "127.0.0.1"}, false},
		{Server{Host: "localhost", Address: "10.0.0.4", TLS: true}, false},
		{Server{Host: "/run/postgresql", Socket: true}, false},
		{Server{Host: "::ffff:127.0.0.1"}, false},
		{Server{Host: ""}, true},
	} {
		if err := encrypted([]Server{{TLS: true}, test.server}); (err != nil) != test.refused {
			t.Errorf("%+v: %v, want refused %v", test.server, err, test.refused)
		}
	}
}
