package eventhubs

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// suffixes are the domains of Event Hubs' namespaces: the public cloud, US Government, China.
// Each namespace's token has the namespace's own host name as its audience:
// https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview
var suffixes = []string{
	".servicebus.windows.net", ".servicebus.usgovcloudapi.net", ".servicebus.chinacloudapi.cn",
}

const (
	slashDefault = "/.default"
	example      = "https://NAMESPACE.servicebus.windows.net/.default"
)

var namespaceName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$`)
})

// Scope is the scope of the namespace that all of the brokers belong to. Brokers are host names
// with or without a port.
func Scope(brokers []string) (string, error) {
	if len(brokers) == 0 {
		return "", errors.New("no broker: want one such as NAMESPACE.servicebus.windows.net:9093")
	}
	scope := ""
	for _, broker := range brokers {
		host, _, err := namespace(broker)
		if err != nil {
			return "", err
		}
		of := "https://" + host + slashDefault
		if scope != "" && of != scope {
			return "", fmt.Errorf("brokers of two namespaces, %s and %s: a token is for one of "+
				"them, so use a client for each", brokers[0], broker)
		}
		scope = of
	}
	return scope, nil
}

// namespace is the host name of a broker and the domain of its cloud.
func namespace(broker string) (host, suffix string, err error) {
	host = hostOf(broker)
	i := slices.IndexFunc(suffixes, func(s string) bool { return strings.HasSuffix(host, s) })
	if i < 0 {
		return "", "", fmt.Errorf("broker %q isn't named as a namespace of Event Hubs: "+
			"set Options.Scope to the scope of its tokens, for Event Hubs %s", broker, example)
	}
	suffix = suffixes[i]
	if name := strings.TrimSuffix(host, suffix); !namespaceName().MatchString(name) {
		return "", "", fmt.Errorf("broker %q: %q is no name of a namespace: "+
			"want NAMESPACE%s, also behind a private endpoint", broker, name, suffix)
	}
	return host, suffix, nil
}

// checkPorts refuses a namespace without a port. Clients take 9092 then, where nothing answers, and
// the user sees a timeout only.
func checkPorts(brokers []string) error {
	for _, broker := range brokers {
		if _, port, err := net.SplitHostPort(broker); err != nil || port == "" {
			return fmt.Errorf("broker %q has no port: Event Hubs has Kafka at %s:9093",
				broker, strings.TrimSuffix(broker, ":"))
		}
	}
	return nil
}

// hostOf is the host name of a broker as a namespace's name is compared: without port and root dot,
// in lower case.
func hostOf(broker string) string {
	host, _, err := net.SplitHostPort(broker)
	if err != nil {
		host = broker // it has no port
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkScope refuses a scope that no broker can want.
func checkScope(scope string) error {
	resource, ok := strings.CutSuffix(scope, slashDefault)
	switch {
	case !ok || resource == "":
		return fmt.Errorf("Options.Scope: %q doesn't end in %s: want one such as %s",
			scope, slashDefault, example)
	case strings.EqualFold(strings.TrimRight(resource, "/"), "https://eventhubs.azure.net"):
		return fmt.Errorf("Options.Scope: %s is for AMQP clients: Kafka's brokers answer "+
			"\"Invalid tenant name 'eventhubs'\"; want %s", scope, example)
	}
	return nil
}
