package eventhubs

import (
	"strings"
	"testing"
)

func TestScope(t *testing.T) {
	t.Parallel()
	const public = "https://example.servicebus.windows.net/.default"
	for _, test := range []struct{ name, brokers, want, err string }{
		{"public", "example.servicebus.windows.net:9093", public, ""},
		{"no port", "example.servicebus.windows.net", public, ""},
		{"capitals, root dot", "Example.ServiceBus.Windows.net.:9093", public, ""},
		{"US Government", "a-1.servicebus.usgovcloudapi.net:9093",
			"https://a-1.servicebus.usgovcloudapi.net/.default", ""},
		{"China", "a.servicebus.chinacloudapi.cn:9093",
			"https://a.servicebus.chinacloudapi.cn/.default", ""},
		{"twice", "example.servicebus.windows.net:9093 example.servicebus.windows.net:9094",
			public, ""},
		{"none", "", "", "no broker"},
		{"two namespaces", "a.servicebus.windows.net b.servicebus.windows.net", "",
			"two namespaces"},
		{"private name", "kafka.corp:9093", "", "Options.Scope"},
		{"one of two private", "a.servicebus.windows.net kafka.corp:9093", "", "Options.Scope"},
		{"address", "10.0.0.4:9093", "", "Options.Scope"},
		{"private link", "a.privatelink.servicebus.windows.net:9093", "", "private endpoint"},
		{"suffix alone", ".servicebus.windows.net:9093", "", "no name"},
		{"suffix within", "a.servicebus.windows.net.corp:9093", "", "Options.Scope"},
		{"URL", "https://a.servicebus.windows.net", "", "Options.Scope"},
		{"other name before the suffix", "a/b.servicebus.windows.net", "", "no name"},
	} {
		got, err := Scope(strings.Fields(test.brokers))
		if got != test.want || (err == nil) != (test.err == "") ||
			err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %q, %v; want %q, %q", test.name, got, err, test.want, test.err)
		}
	}
}
